use nanohost_core::ToolFacts;

use super::super::artifact::{Files, Packed};
use super::*;

const MANIFEST_TEXT: &str = "name = \"echo\"\nversion = \"1.0.0\"\ndescription = \"Says it again.\"\n";

fn packed(component: &[u8]) -> Fetched {
    let files =
        Files { component: component.to_vec(), manifest: MANIFEST_TEXT.into(), signature: None, bill: None };
    let manifest = Manifest::parse(Source::new("manifest.toml", MANIFEST_TEXT)).expect("a manifest");
    let facts = ToolFacts {
        component: Digest::of(component),
        size: component.len() as u64,
        imports: Vec::new(),
        exports: Vec::new(),
    };
    let packed = Packed::of(&files, &manifest, &facts);
    Fetched {
        digest: packed.digest(),
        image: packed.image,
        config: packed.config,
        component: files.component,
        manifest: Some(files.manifest),
        signature: None,
        bill: None,
    }
}

fn cache() -> (tempfile::TempDir, PackageCache) {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = PackageCache { root: folder.path().join("packages") };
    (folder, cache)
}

#[test]
fn what_is_kept_is_found_and_what_was_changed_is_not_believed() {
    let (_folder, cache) = cache();
    let package = packed(b"a component");
    let held = cache.hold(package.digest).expect("it can be held");
    assert!(cache.find(&held).expect("nothing is wrong").is_none());
    cache.keep(&package).expect("it is written");
    let kept = cache.find(&held).expect("it is whole").expect("it is there");
    assert_eq!((kept.component, kept.manifest.text.as_str()), (Digest::of(b"a component"), MANIFEST_TEXT));
    assert!(cache.whole(&held).expect("it is whole").is_some());
    for (name, text) in [(IMAGE, "{}"), (MANIFEST, "name = \"other\""), (PREBUILT, "another")] {
        fs::write(kept.folder.join(name), text).expect("it is ours");
        let error = cache.whole(&held).expect_err(name).to_string();
        assert!(
            error.contains("package_mismatch")
                || error.contains("something else")
                || error.contains("not its own"),
            "{error}"
        );
        cache.keep(&package).expect("it is written anew");
        assert!(cache.whole(&held).expect("it is whole").is_some(), "{name}");
    }
    fs::remove_file(kept.folder.join(MANIFEST)).expect("it is ours");
    assert!(cache.find(&held).is_err(), "half of it is not none of it");
}

#[test]
fn what_is_held_stays() {
    let (_folder, cache) = cache();
    let package = packed(b"a component");
    cache.keep(&package).expect("it is written");
    let [entry] = &cache.list().expect("it is there")[..] else { panic!("one") };
    assert_eq!(entry.tool, Some(("echo".to_owned(), "1.0.0".to_owned())));
    let held = cache.hold(package.digest).expect("it can be held");
    let other = cache.hold(package.digest).expect("by two");
    assert!(!cache.remove(&package.digest).expect("nothing is wrong"));
    drop(held);
    assert!(!cache.remove(&package.digest).expect("nothing is wrong"));
    drop(other);
    assert!(cache.remove(&package.digest).expect("nothing is wrong"));
    assert!(cache.list().expect("it is there").is_empty());
    let left: Vec<_> =
        fs::read_dir(&cache.root).expect("it is there").flatten().map(|own| own.file_name()).collect();
    assert_eq!(left, [LOCKS]);
}

#[test]
fn what_was_interrupted_is_swept_when_it_is_old() {
    let (_folder, cache) = cache();
    cache.keep(&packed(b"a component")).expect("it is written");
    fs::create_dir(cache.root.join(format!("{UNFINISHED}x"))).expect("it is ours");
    assert_eq!(cache.sweep(SystemTime::UNIX_EPOCH).expect("nothing is wrong"), 0);
    let later = SystemTime::now() + std::time::Duration::from_secs(3600);
    assert_eq!(cache.sweep(later).expect("nothing is wrong"), 1);
    assert_eq!(cache.list().expect("it is there").len(), 1);
}

#[test]
fn what_is_written_anew_takes_the_place_of_the_whole() {
    let (_folder, cache) = cache();
    let before = packed(b"a component");
    cache.keep(&before).expect("it is written");
    let held = cache.hold(before.digest).expect("it can be held");
    let kept = cache.find(&held).expect("it is whole").expect("it is there");
    let open = File::open(kept.folder.join(IMAGE)).expect("it is there");
    // Where no file can be put: what is written one file after another ends half way.
    fs::create_dir_all(kept.folder.join(Part::Bill.file()).join("x")).expect("it is ours");
    let bill = Some(b"{}".to_vec());
    cache.keep(&Fetched { bill: bill.clone(), ..packed(b"a component") }).expect("it is mended");
    assert_eq!(cache.whole(&held).expect("it is whole").expect("it is there").bill, bill);
    // Whoever reads has the files of the one or of the other.
    assert_eq!(read_all(open), before.image);
    cache.keep(&before).expect("it is written anew");
    assert_eq!(cache.whole(&held).expect("it is whole").expect("it is there").bill, None);
    let mut left: Vec<_> =
        fs::read_dir(&cache.root).expect("it is there").flatten().map(|own| own.file_name()).collect();
    left.sort();
    let mut expect = [before.digest.to_string(), LOCKS.to_owned()];
    expect.sort();
    assert_eq!(left, expect.map(std::ffi::OsString::from));
}

#[test]
fn where_folders_cannot_be_exchanged_they_are_moved() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    for (path, text) in [(&one, "one"), (&other, "other")] {
        fs::create_dir(path).expect("it is new");
        fs::write(path.join("file"), text).expect("it is ours");
    }
    by_turns(&one, &other).expect("both are there");
    assert_eq!(fs::read_to_string(one.join("file")).expect("it is there"), "other");
    assert_eq!(fs::read_to_string(other.join("file")).expect("it is there"), "one");
}

fn read_all(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes).expect("it is open");
    bytes
}

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

//! What a new folder holds, and which names are none. That it builds is tried by the tests of the command line.

use std::path::Path;

use super::*;

#[test]
fn a_folder_is_made_once() {
    let folder = tempfile::tempdir().expect("it can be made");
    let path = folder.path().join("tools/stock-level");
    for language in [Language::Rust, Language::Python, Language::JavaScript] {
        let files = create(&path, language, None).expect("nothing is there");
        assert!(files.iter().all(|file| path.join(file).is_file()), "{files:?}");
        let left = files.iter().find(|file| {
            let text = fs::read_to_string(path.join(file)).expect("it is text");
            !file.starts_with(sdk::FOLDER) && ["@NAME@", "@SDK@"].iter().any(|mark| text.contains(mark))
        });
        assert_eq!(left, None, "something is left to fill in");
        let again = create(&path, language, None).expect_err("it is there");
        assert!(again.to_string().contains("already_there"), "{again}");
        fs::remove_dir_all(&path).expect("it was just made");
    }
}

#[test]
fn names_are_names_everywhere() {
    for good in ["stock-level", "a", "x2-y", &"a".repeat(MAX_NAME)] {
        assert!(check_name(good).is_ok(), "{good}");
    }
    let long = "a".repeat(MAX_NAME + 1);
    for bad in [
        "",
        "A",
        "a_b",
        "a--b",
        "-a",
        "a-",
        "2a",
        "a-2",
        "a/b",
        "..",
        "ä",
        "fn",
        "test",
        "serde",
        "nanohost-guest",
        &long,
    ] {
        assert!(check_name(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_lock_is_in_the_order_of_cargo() {
    for name in ["aaa", "mmm", "zzz"] {
        let text = lock(name);
        let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
        assert!(
            names.is_sorted() && text.contains(&format!("name = \"{name}\"\nversion = \"0.1.0\"\n")),
            "{names:?}"
        );
        assert!(text.ends_with('\n') && !text.contains("\n\n\n"), "{text}");
    }
    // Of the one that was in its place already nothing changes.
    assert_eq!(lock("word-count"), filled(LOCK, "word-count"));
}

/// What a tool brings along is the whole library, and nothing that is gone.
#[test]
fn the_library_is_whole() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest-sdk"));
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it is part of the repository").flatten() {
            let path = entry.path();
            let own = path.strip_prefix(root).expect("it lies there");
            match path.is_dir() {
                true if own != Path::new("target") => folders.push(path),
                true => {}
                false if own == Path::new("Cargo.lock") => {}
                false => drop(found.insert(own.to_str().expect("UTF-8").to_owned())),
            }
        }
    }
    let embedded: BTreeSet<String> = sdk::FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(embedded, found);
}

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

use nanohost_core::Digest;

use super::{Identity, SETTLED, of};

fn file(path: &Path, text: &str) -> File {
    fs::write(path, text).expect("it is ours");
    File::open(path).expect("it is there")
}

#[test]
fn a_memory_is_of_one_file_as_it_is() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let (path, memory) = (folder.path().join("program"), folder.path().join("memory"));
    let identity = |path: &Path| {
        let file = File::open(path).expect("it is there");
        Identity::of(&file).expect("it is a file").expect("it tells when it changed")
    };
    file(&path, "one");
    let recall = || of(&File::open(&path).expect("it is there"), Some(&memory)).expect("it is readable");

    // A digest that is not its own shows what comes from the memory.
    let (other, own) = (Digest::of(b"other"), Digest::of(b"one"));
    identity(&path).remember(&memory, &other).expect("it is ours");
    assert_eq!(recall(), other);

    // Every other form of a memory, and every other memory, is none.
    let text = fs::read_to_string(&memory).expect("it is there");
    for changed in [
        "".to_owned(),
        text.replace('\n', ""),
        format!("{text}\n"),
        format!(" {text}"),
        text.replacen(' ', "1 ", 1),
        text.replace(&other.to_string(), "0"),
        text.repeat(9),
    ] {
        fs::write(&memory, changed).expect("it is ours");
        assert_eq!(recall(), own);
    }
    fs::remove_file(&memory).expect("it is ours");
    assert_eq!(of(&File::open(&path).expect("it is there"), None).expect("it is readable"), own);

    // The same length and, by force, the same time of its content: the entry's own time tells.
    identity(&path).remember(&memory, &other).expect("it is ours");
    let modified = fs::metadata(&path).and_then(|found| found.modified()).expect("it has one");
    let before = identity(&path);
    while identity(&path) == before {
        file(&path, "two");
        let times = FileTimes::new().set_modified(modified);
        File::options().write(true).open(&path).and_then(|file| file.set_times(times)).expect("it is ours");
    }
    assert_eq!(recall(), Digest::of(b"two"));
}

#[test]
fn what_changed_just_now_is_not_remembered() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let (path, memory) = (folder.path().join("program"), folder.path().join("memory"));
    let opened = file(&path, "one");
    assert_eq!(of(&opened, Some(&memory)).expect("it is readable"), Digest::of(b"one"));
    assert!(!memory.exists());
    let at = |changed| Identity { text: String::new(), changed };
    let now = SystemTime::now();
    assert!(!at(now).is_settled() && !at(now + Duration::from_secs(60)).is_settled());
    assert!(at(now - 2 * SETTLED).is_settled());
}

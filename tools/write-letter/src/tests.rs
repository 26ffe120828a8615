use std::fs;
use std::path::PathBuf;

use nanohost_guest::{Failure, testing};

use crate::letters::{Letter, write_letter};

fn write(order: &str, name: &str, reason: &str) -> Result<Letter, Failure> {
    write_letter(order.to_owned(), name.to_owned(), reason.to_owned())
}

/// A folder of the test's own under cargo's temporary one.
fn letters(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("write-letter-{}-{test}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for letters");
    testing::mount("/letters", &folder);
    folder
}

#[test]
fn a_letter_lies_under_the_order_s_id() {
    let folder = letters("one");
    let letter = write("A-1001", "Mira Halvorsen", "more than 30 days have passed").expect("a letter");
    assert_eq!(letter.path, "/letters/A-1001.txt");
    let text = fs::read_to_string(folder.join("A-1001.txt")).expect("the letter's file");
    assert_eq!(letter.bytes, text.len() as u64);
    assert!(
        text.starts_with("Dear Mira Halvorsen,\n") && text.contains("We cannot refund it: more than 30 days")
    );
    assert_eq!(write("A-1001", "Mira Halvorsen", "more than 30 days have passed"), Ok(letter));
    fs::remove_dir_all(folder).expect("the test's own folder goes");
}

#[test]
fn bad_arguments_write_nothing() {
    let folder = letters("none");
    for (order, name, reason) in [
        ("../A", "Mira", "late"),
        ("A", "", "late"),
        ("A", "Mira\nPS", "late"),
        ("A", "Mira", " "),
        ("A", &"x".repeat(501), "late"),
    ] {
        assert!(
            matches!(write(order, name, reason), Err(Failure::InvalidInput(_))),
            "{order} {name} {reason}"
        );
    }
    assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 0);
    fs::remove_dir_all(folder).expect("the test's own folder goes");
}

#[test]
fn a_folder_that_is_not_there_is_said_so() {
    testing::mount("/letters", "no-such-folder");
    assert!(matches!(write("A-1", "Mira", "late"), Err(Failure::Unavailable(_))));
}

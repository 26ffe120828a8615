//! The file, read again by the library that wrote it.

use super::*;

#[test]
fn suites_hold_their_cases() {
    let folder = tempfile::tempdir().expect("it can be made");
    let path = folder.path().join("junit.xml");
    let result = |suite: &str, name: &str, problem: Option<&str>| Result {
        suite: suite.to_owned(),
        name: name.to_owned(),
        problems: problem.map(str::to_owned).into_iter().collect(),
        took: Duration::from_millis(3),
    };
    // What a tool said may hold what XML does not take.
    let results =
        [result("a", "one", None), result("a", "two <&>", Some("\u{1b}[2J ]]>")), result("b", "one", None)];
    write(&path, "own", &results).expect("it is writable");
    let text = std::fs::read_to_string(&path).expect("it was written");
    let read = Report::deserialize_from_str(&text).expect("it is JUnit");
    let counts: Vec<(String, usize, usize)> =
        read.test_suites.iter().map(|suite| (suite.name.to_string(), suite.tests, suite.failures)).collect();
    assert_eq!(counts, [("a".to_owned(), 2, 1), ("b".to_owned(), 1, 0)]);
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(write(&folder.path().join("no/such.xml"), "own", &results).is_err());
}

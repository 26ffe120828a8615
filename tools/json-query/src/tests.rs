use nanohost_guest::Failure;

use crate::json::{query, texts};

const ORDERS: &str = r#" {"orders": [
    {"id": "A-1", "total": 100, "paid": true},
    {"id": "A-2", "total": 250, "paid": false},
    {"id": "A-3", "total": 9007199254740993, "paid": true}
]} "#;

fn asked(expression: &str) -> Result<String, Failure> {
    query(ORDERS.to_owned(), expression.to_owned())
}

#[test]
fn what_is_there_is_found() {
    for (expression, found) in [
        ("orders[?paid].id", r#"["A-1","A-3"]"#),
        ("orders[?total > `200`].id | [0]", r#""A-2""#),
        ("length(orders)", "3"),
        ("orders[0].{order: id, cents: total}", r#"{"cents":100,"order":"A-1"}"#),
        ("customers", "null"),
    ] {
        assert_eq!(asked(expression).as_deref(), Ok(found), "{expression}");
    }
}

#[test]
fn large_numbers_stay_what_they_are() {
    assert_eq!(asked("orders[2].total").as_deref(), Ok("9007199254740993"));
}

#[test]
fn lists_of_texts_are_lists() {
    let ids = texts(ORDERS.to_owned(), "orders[].id".to_owned());
    assert_eq!(ids, Ok(vec!["A-1".to_owned(), "A-2".to_owned(), "A-3".to_owned()]));
    for expression in ["orders[].total", "orders[0].id", "nothing"] {
        assert!(matches!(texts(ORDERS.to_owned(), expression.to_owned()), Err(Failure::Rejected(_))));
    }
}

#[test]
fn what_is_wrong_is_said() {
    assert!(matches!(asked("orders[?"), Err(Failure::InvalidInput(_))));
    assert!(matches!(asked("abs('text')"), Err(Failure::Rejected(_))));
    assert!(matches!(asked(&"a".repeat(20_000)), Err(Failure::InvalidInput(_))));
    let document = query("{\"a\": 1".to_owned(), "a".to_owned());
    assert!(matches!(document, Err(Failure::InvalidInput(_))));
}

/// Parsers that recurse are ended by depth, and not by the end of their stack.
#[test]
fn depth_is_bounded() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert!(matches!(query(deep, "@".to_owned()), Err(Failure::InvalidInput(_))));
}

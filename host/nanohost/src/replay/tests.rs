use serde_json::json;

use super::*;

#[test]
fn the_first_difference_has_a_place() {
    let diff = |recorded: Value, replayed: Value| {
        first_difference(&recorded, &replayed).map(|diff| (diff.at, diff.recorded, diff.replayed))
    };
    let at = |at: &str, a: Value, b: Value| Some((at.to_owned(), Some(a), Some(b)));
    assert_eq!(diff(json!({ "a": [1, { "b": 2 }] }), json!({ "a": [1, { "b": 2 }] })), None);
    assert_eq!(
        diff(json!({ "a": [1, { "b": 2 }] }), json!({ "a": [1, { "b": 3 }] })),
        at("/a/1/b", json!(2), json!(3))
    );
    assert_eq!(diff(json!(1), json!("1")), at("", json!(1), json!("1")));
    assert_eq!(diff(json!({ "a/b~": 1 }), json!({ "a/b~": 2 })), at("/a~1b~0", json!(1), json!(2)));
    assert_eq!(diff(json!([1]), json!([1, 2])), Some(("/1".to_owned(), None, Some(json!(2)))));
    assert_eq!(diff(json!({ "a": 1 }), json!({})), Some(("/a".to_owned(), Some(json!(1)), None)));
    // Bytes are compared, and the order of fields is in them.
    let order = diff(json!({ "a": 1, "b": 2 }), json!({ "b": 2, "a": 1 }));
    assert_eq!(order, at("", json!({ "a": 1, "b": 2 }), json!({ "b": 2, "a": 1 })));
}

#[test]
fn ends_that_come_by_chance() {
    let end = |how: &str, code: &str| End {
        how: how.to_owned(),
        code: code.to_owned(),
        value: Some(Value::Null),
        role: Role::MESSAGE,
        deadline: None,
    };
    for code in ["deadline", "step_timeout", "cancelled", "host"] {
        assert!(by_chance(&end("failure", &format!("TOOL_TIMEOUT {code}, may be tried again"))).is_some());
        assert!(by_chance(&end("failure", &format!("IN_DOUBT {code}"))).is_some());
    }
    for end in [end("failure", "GUEST_FAULT trap"), end("success", ""), end("denied", "host deadline")] {
        assert!(by_chance(&end).is_none(), "{end:?}");
    }
}

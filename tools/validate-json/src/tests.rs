use nanohost_guest::Failure;

use crate::schema::{require, validate};

const ORDER: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["id", "total_cents"],
    "properties": {
        "id": { "type": "string", "pattern": "^[A-Z]-[0-9]+$" },
        "total_cents": { "type": "integer", "minimum": 0 }
    },
    "additionalProperties": false
}"#;

#[test]
fn a_document_that_fits_comes_back_as_it_was() {
    let document = "{ \"id\": \"A-1\",  \"total_cents\": 5 }";
    assert_eq!(validate(document.to_owned(), ORDER.to_owned()), Ok(Vec::new()));
    assert_eq!(require(document.to_owned(), ORDER.to_owned()).as_deref(), Ok(document));
}

#[test]
fn each_problem_has_its_place() {
    let document = r#"{"id": "a1", "total_cents": -1, "note": null}"#;
    let problems = validate(document.to_owned(), ORDER.to_owned()).expect("a schema");
    let mut places: Vec<&str> = problems.iter().map(|problem| problem.place.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["", "/id", "/total_cents"]);
    assert!(problems.iter().any(|problem| problem.rule == "/properties/id/pattern"));
    assert!(matches!(require(document.to_owned(), ORDER.to_owned()), Err(Failure::Rejected(_))));
}

#[test]
fn nothing_is_fetched() {
    for reference in ["https://example.com/order.json", "file:///etc/passwd", "other.json"] {
        let schema = format!(r#"{{"$ref": "{reference}"}}"#);
        assert!(matches!(validate("{}".to_owned(), schema), Err(Failure::InvalidInput(_))), "{reference}");
    }
}

#[test]
fn what_is_no_json_or_no_schema_is_said() {
    assert!(matches!(validate("{".to_owned(), "{}".to_owned()), Err(Failure::InvalidInput(_))));
    assert!(matches!(validate("{}".to_owned(), "{".to_owned()), Err(Failure::InvalidInput(_))));
    let typeless = r#"{"type": "strin"}"#;
    assert!(matches!(validate("{}".to_owned(), typeless.to_owned()), Err(Failure::InvalidInput(_))));
}

#[test]
fn no_more_than_a_hundred_problems_are_listed() {
    let document = format!("[{}]", vec!["1"; 1000].join(","));
    let problems = validate(document, r#"{"items": {"type": "string"}}"#.to_owned());
    assert_eq!(problems.map(|problems| problems.len()), Ok(100));
}

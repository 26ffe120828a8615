//! What the shared vectors do not show: offsets, bounds, exactness, withheld values.

use serde_json::{Value, json};

use super::{Condition, EvalError};
use crate::template::{Root, Scope};

struct Inputs(Value);

impl Scope for Inputs {
    fn root(&self, name: &str) -> Root<'_> {
        match name {
            "withheld" => Root::Withheld,
            _ => self.0.get(name).map_or(Root::Absent, Root::Plain),
        }
    }
}

fn parse(text: &str) -> Condition {
    Condition::parse(text).unwrap_or_else(|error| panic!("{text:.100}: {error}"))
}

fn check(text: &str, inputs: Value, expect: bool) {
    assert_eq!(parse(text).evaluate(&Inputs(inputs)), Ok(expect), "{text:.100}");
}

fn refused(text: &str, offset: usize) {
    let error = Condition::parse(text).expect_err("the text is no condition");
    assert_eq!(error.offset, offset, "{text:.100}: {error}");
}

#[test]
fn errors_name_the_byte() {
    refused("", 0);
    refused("$x == ", 6);
    refused("$x = 1", 3);
    refused("ü == 1", 0);
    refused("$ü == @", 7);
    refused("$x.01", 3);
    refused("$x.1st", 3);
    refused("$x == 'a\\n'", 8);
    refused("$x == '$y'", 6);
    refused("$x == '${y.z}'", 6);
    refused("($x", 3);
    refused("$x == 1 $y", 8);
    refused("$x not 1", 7);
    refused("1.", 1);
    refused("$x == 1and $y", 7);
}

#[test]
fn references_have_clear_ends_too() {
    check("${x.y} == 1", json!({"x": {"y": 1}}), true);
    check("$x == '$5'", json!({"x": "$5"}), true);
    check("$x == 'pay $y'", json!({"x": "pay $y"}), true);
}

#[test]
fn numbers_compare_exactly() {
    check("$x == 9007199254740993", json!({"x": 9007199254740993_u64}), true);
    check("$x == 9007199254740993", json!({"x": 9007199254740992_u64}), false);
    check("$x == 9007199254740993", json!({"x": 9007199254740992.0}), false);
    check("$x == $y", json!({"x": u64::MAX, "y": u64::MAX as f64}), false);
    check("$x < 18446744073709551616", json!({"x": u64::MAX}), true);
    check("$x == 0.1", json!({"x": 0.1}), true);
    check("$x < 0.30000000000000005", json!({"x": 0.1 + 0.2}), true);
    check("$x == 0.0010", json!({"x": 1e-3}), true);
    check("$x == 10000000000000000000000", json!({"x": 1e22}), true);
    check("$x == -0", json!({"x": 0}), true);
    check("$x == 0", json!({"x": -0.0}), true);
    check("-2 < -1.5 and -1.5 < 0 and 0 < 0.001 and 0.09 < 0.1 and 9 < 10", json!({}), true);
    check("$x == $y", json!({"x": {"a": [1, {"b": 2.0}]}, "y": {"a": [1.0, {"b": 2}]}}), true);
    check("$x > 1", json!({"x": 1e300}), true);
    check("007 == 7", json!({}), true);
}

#[test]
fn bounds_hold() {
    let digits = |count: usize| "9".repeat(count);
    check(&format!("{} > 1", digits(1000)), json!({}), true);
    refused(&format!("{} > 1", digits(1001)), 0);
    refused(&format!("0.{} > 1", digits(1000)), 0);
    let nested = |depth: usize| format!("{}$x{}", "(".repeat(depth), ")".repeat(depth));
    check(&nested(64), json!({"x": 1}), true);
    refused(&nested(65), 64);
    check(&format!("{}$x", "not ".repeat(64)), json!({"x": 1}), true);
    refused(&format!("{}$x", "not ".repeat(65)), 64 * 4);
    let long = format!("$x{}", " or $x".repeat(10_000));
    assert!(long.len() < 64 * 1024);
    check(&long, json!({"x": 0}), false);
    refused(&format!("{}$x", " ".repeat(64 * 1024)), 64 * 1024);
}

#[test]
fn deep_values_need_no_stack() {
    let mut value = json!(1);
    for _ in 0..100_000 {
        value = Value::Array(vec![value]);
    }
    let inputs = Inputs(json!({}));
    assert!(super::equal(super::Datum::Value(&value), super::Datum::Value(&value)));
    // Dropping a value of this depth would itself recurse.
    while let Value::Array(mut items) = value {
        value = items.pop().unwrap_or(Value::Null);
    }
    assert_eq!(parse("1").evaluate(&inputs), Ok(true));
}

#[test]
fn withheld_matters_only_where_it_is_needed() {
    let evaluate = |text: &str| parse(text).evaluate(&Inputs(json!({"yes": true, "no": false})));
    assert_eq!(evaluate("$yes or $withheld"), Ok(true));
    assert_eq!(evaluate("$no and $withheld > 1"), Ok(false));
    assert_eq!(evaluate("not ($yes or $withheld.x)"), Ok(false));
    assert_eq!(evaluate("$no or $withheld"), Err(EvalError::Withheld));
    assert_eq!(evaluate("$withheld == None"), Err(EvalError::Withheld));
}

#[test]
fn short_circuits_nest() {
    for bits in 0..16_u32 {
        let value = |bit: u32| bits >> bit & 1 == 1;
        let (a, b, c, d) = (value(0), value(1), value(2), value(3));
        let inputs = || json!({"a": a, "b": b, "c": c, "d": d});
        check("$a or $b and $c or $d", inputs(), a || b && c || d);
        check("($a or $b) and not ($c or $d)", inputs(), (a || b) && !(c || d));
        check("not ($a and ($b or not $c)) and $d", inputs(), !(a && (b || !c)) && d);
        check("$a and $b or $c and $d", inputs(), a && b || c && d);
    }
}

#[test]
fn type_errors_say_what_met_what() {
    let error = parse("$x and $y >= 'a'").evaluate(&Inputs(json!({"x": 1}))).expect_err("null has no order");
    assert_eq!(error.to_string(), "`>=` cannot compare null with a string, at byte 10");
}

#[test]
fn lists_its_references() {
    let condition = parse("$a.b == $c or 'x' in $d and $e contains 1 and $a");
    let all: Vec<_> = condition.references().map(ToString::to_string).collect();
    assert_eq!(all, ["$a.b", "$c", "$d", "$e", "$a"]);
    let haystacks: Vec<_> = condition.haystacks().map(ToString::to_string).collect();
    assert_eq!(haystacks, ["$d", "$e"]);
}

#[test]
fn doubles_and_digits_agree() {
    // Comparisons that take the short way through doubles come out as those of the digits do.
    let texts = [
        "0",
        "-0.0",
        "0.1",
        "0.10",
        "0.30000000000000004",
        "0.3",
        "1",
        "1.0",
        "-1",
        "4.35",
        "123456789012345",
        "1234567890123456",
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "9007199254740994.5",
        "18446744073709551615",
        "18446744073709551616",
        "100000000000000000000000",
        "0.000000000000001",
        "123456789.123456",
        "129.5",
        "500",
        "2.5",
        "99999999999999.9",
        "999999999999999.9",
    ];
    let values =
        ["5e-324", "1e300", "1.7976931348623157e308", "1e22", "1e23", "0.1", "4.35", "9007199254740993.0"];
    let json = texts.iter().filter(|text| text.len() < 20).chain(&values);
    for number in json {
        let value: Value = serde_json::from_str(number).expect("a number");
        let Value::Number(parsed) = &value else { panic!("{number}") };
        let exact = super::Decimal::of(parsed);
        for literal in texts {
            let expected = exact.cmp(&super::Decimal::read(literal));
            let inputs = || json!({ "x": value });
            check(&format!("$x < {literal}"), inputs(), expected.is_lt());
            check(&format!("$x == {literal}"), inputs(), expected.is_eq());
            check(&format!("$x >= {literal}"), inputs(), expected.is_ge());
        }
        for other in texts.iter().filter(|text| text.len() < 20).chain(&values) {
            let other: Value = serde_json::from_str(other).expect("a number");
            let Value::Number(second) = &other else { panic!("{other}") };
            let expected = exact.cmp(&super::Decimal::of(second));
            check("$x < $y", json!({ "x": value, "y": other }), expected.is_lt());
            check("$x == $y", json!({ "x": [value], "y": [other] }), expected.is_eq());
        }
    }
}

use serde_json::json;

use super::*;
use crate::schema;
use crate::shape::Returns;

fn name(wit: &str) -> Name {
    Name::new(wit)
}

fn order() -> Shape {
    Shape::Record(vec![
        (name("order-id"), Shape::String),
        (name("cents"), Shape::Int(Int::U64)),
        (name("note"), Shape::Option(Box::new(Shape::String))),
    ])
}

fn status() -> Shape {
    Shape::Variant(vec![(name("not-yet"), None), (name("done"), Some(Shape::Int(Int::S8)))])
}

fn option(inner: Shape) -> Shape {
    Shape::Option(Box::new(inner))
}

fn outcome() -> Shape {
    Shape::Result { ok: None, err: Some(Box::new(Shape::String)) }
}

/// What is read from `input`, written out again; or the error.
fn again(shape: &Shape, input: &str) -> String {
    let value = serde_json::from_str(input).expect("the case is JSON");
    match to_wit(shape, &value).and_then(|val| from_wit(shape, &val)) {
        Ok(value) => value.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn forms() {
    let int = Shape::Int;
    for (shape, input, expect) in [
        (Shape::Bool, "true", "true"),
        (Shape::Bool, "1", "$: expected true or false, found the number 1"),
        (int(Int::S8), "-128", "-128"),
        (int(Int::S8), "128", "$: expected an integer from -128 to 127, found the number 128"),
        (int(Int::U8), "-1", "$: expected an integer from 0 to 255, found the number -1"),
        (int(Int::U32), "1.0", "$: expected an integer from 0 to 4294967295, found the number 1.0"),
        (int(Int::S64), "-9223372036854775808", "-9223372036854775808"),
        (int(Int::U64), "18446744073709551615", "18446744073709551615"),
        (int(Int::U64), "9007199254740993", "9007199254740993"),
        (Shape::Float64, "0.1", "0.1"),
        (Shape::Float64, "3", "3.0"),
        (Shape::Float64, "-0.0", "-0.0"),
        (
            Shape::Float64,
            "9007199254740993",
            "$: expected a number that a float can hold exactly, found the number 9007199254740993",
        ),
        (Shape::Float32, "0.1", "0.1"),
        (Shape::Float32, "16777217", "16777216.0"),
        (Shape::Float32, "1e39", "$: expected a number within the range of f32, found the number 1e+39"),
        (Shape::Char, "\"é\"", "\"é\""),
        (Shape::Char, "\"ab\"", "$: expected a string of one character, found the string \"ab\""),
        (Shape::Char, "\"\"", "$: expected a string of one character, found the string \"\""),
        (Shape::List(Box::new(int(Int::U8))), "[1, 2]", "[1,2]"),
        (
            Shape::List(Box::new(int(Int::U8))),
            "[1, 256]",
            "$[1]: expected an integer from 0 to 255, found the number 256",
        ),
        (Shape::Tuple(vec![Shape::Bool, Shape::Char]), "[true, \"x\"]", "[true,\"x\"]"),
        (
            Shape::Tuple(vec![Shape::Bool, Shape::Char]),
            "[true]",
            "$: expected an array of 2, found an array of 1",
        ),
        (order(), r#"{"cents": 5, "order_id": "A"}"#, r#"{"order_id":"A","cents":5,"note":null}"#),
        (order(), r#"{"cents": 5}"#, "$: the key \"order_id\" is missing"),
        (order(), r#"{"order-id": "A"}"#, "$: unknown key \"order-id\"; the keys are order_id, cents, note"),
        (
            order(),
            r#"{"order_id": "A", "cents": "5"}"#,
            "$.cents: expected an integer from 0 to 18446744073709551615, found the string \"5\"",
        ),
        (status(), "\"not_yet\"", "\"not_yet\""),
        (status(), "{\"done\": 7}", "{\"done\":7}"),
        (status(), "\"done\"", "$: the case \"done\" takes a payload: write it as {\"done\": …}"),
        (status(), "{\"not_yet\": null}", "$: the case \"not_yet\" takes no payload: write it as a string"),
        (
            status(),
            "{\"done\": 1, \"not_yet\": 1}",
            "$: expected the name of a case, or an object with one case as its key, found an object",
        ),
        (status(), "\"not-yet\"", "$: unknown name \"not-yet\"; the names are not_yet, done"),
        (status(), "{\"done\": 300}", "$.done: expected an integer from -128 to 127, found the number 300"),
        (Shape::Enum(vec![name("in-transit")]), "\"in_transit\"", "\"in_transit\""),
        (
            Shape::Enum(vec![name("in-transit")]),
            "0",
            "$: expected the name of a case as a string, found the number 0",
        ),
        (Shape::Flags(vec![name("a"), name("b")]), "[\"b\", \"a\"]", "[\"a\",\"b\"]"),
        (Shape::Flags(vec![name("a"), name("b")]), "[\"b\", \"b\"]", "$: the flag \"b\" stands there twice"),
        (option(Shape::Bool), "null", "null"),
        (option(Shape::Bool), "false", "false"),
        (option(option(Shape::Bool)), "null", "null"),
        (option(option(Shape::Bool)), "{\"some\": null}", "{\"some\":null}"),
        (option(option(Shape::Bool)), "{\"some\": true}", "{\"some\":true}"),
        (
            option(option(Shape::Bool)),
            "true",
            "$: expected null or an object with the one key \"some\", found a boolean",
        ),
        (outcome(), "\"ok\"", "\"ok\""),
        (outcome(), "{\"err\": \"late\"}", "{\"err\":\"late\"}"),
        (outcome(), "{\"ok\": null}", "$: the case \"ok\" takes no payload: write it as a string"),
        (Shape::String, "{\"\\u001b[31m\": 1}", "$: expected a string, found an object"),
        (
            Shape::Bool,
            "\"\\u001b[31m\\u202e\"",
            "$: expected true or false, found the string \"\\u{1b}[31m\\u{202e}\"",
        ),
    ] {
        assert_eq!(again(&shape, input), expect, "{input}");
    }
}

#[test]
fn foreign_text_is_escaped_and_short() {
    let key = format!("\u{1b}{}", "x".repeat(1_000));
    let error = to_wit(&order(), &json!({ key: 1 })).expect_err("an unknown key");
    assert!(error.message.starts_with("unknown key \"\\u{1b}xxx"), "{error}");
    assert!(error.message.len() < 200, "{error}");
}

#[test]
fn no_json_for_nan_and_infinity() {
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let list = Shape::List(Box::new(Shape::Float64));
        let error = from_wit(&list, &Val::List(vec![Val::Float64(1.0), Val::Float64(float)]));
        assert_eq!(error.expect_err("refused").to_string(), "$[1]: NaN and infinity have no JSON form");
    }
}

#[test]
fn arguments_are_an_object_in_the_order_of_the_parameters() {
    let params = vec![(name("b-first"), Shape::Bool), (name("a"), option(Shape::Bool))];
    let signature = Signature { params, result: Returns::Nothing };
    let vals = arguments(&signature, &json!({ "b_first": true })).expect("arguments");
    assert_eq!(vals, [Val::Bool(true), Val::Option(None)]);
    let canonical = canonical(&signature, &vals).expect("a canonical form");
    assert_eq!(canonical.to_string(), r#"{"b_first":true,"a":null}"#);
    assert!(arguments(&signature, &json!([true])).is_err());
}

/// A small generator (xorshift64*), so that a failing case is found again by its number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    fn name(&mut self, index: usize) -> Name {
        let stem = ["a", "order-id", "x-y-z", "type"][self.below(4) as usize];
        Name::new(&format!("{stem}-{index}"))
    }

    fn shape(&mut self, depth: u32) -> Shape {
        let kinds = if depth == 0 { 13 } else { 21 };
        match self.below(kinds) {
            0 => Shape::Bool,
            1 => Shape::Int(Int::S8),
            2 => Shape::Int(Int::U8),
            3 => Shape::Int(Int::S16),
            4 => Shape::Int(Int::U16),
            5 => Shape::Int(Int::S32),
            6 => Shape::Int(Int::U32),
            7 => Shape::Int(Int::S64),
            8 => Shape::Int(Int::U64),
            9 => Shape::Float32,
            10 => Shape::Float64,
            11 => Shape::Char,
            12 => Shape::String,
            13 => Shape::List(Box::new(self.shape(depth - 1))),
            14 => Shape::Record(
                (0..self.below(4) as usize + 1).map(|i| (self.name(i), self.shape(depth - 1))).collect(),
            ),
            15 => Shape::Tuple((0..self.below(4) + 1).map(|_| self.shape(depth - 1)).collect()),
            16 => Shape::Variant(
                (0..self.below(4) as usize + 1)
                    .map(|i| (self.name(i), (self.below(2) == 0).then(|| self.shape(depth - 1))))
                    .collect(),
            ),
            17 => Shape::Enum((0..self.below(5) as usize + 1).map(|i| self.name(i)).collect()),
            18 => Shape::Flags((0..self.below(70) as usize + 1).map(|i| self.name(i)).collect()),
            19 => option(self.shape(depth - 1)),
            _ => Shape::Result {
                ok: (self.below(2) == 0).then(|| Box::new(self.shape(depth - 1))),
                err: (self.below(2) == 0).then(|| Box::new(self.shape(depth - 1))),
            },
        }
    }

    fn val(&mut self, shape: &Shape) -> Val {
        match shape {
            Shape::Bool => Val::Bool(self.below(2) == 0),
            Shape::Int(Int::S8) => Val::S8(self.roll() as i8),
            Shape::Int(Int::U8) => Val::U8(self.roll() as u8),
            Shape::Int(Int::S16) => Val::S16(self.roll() as i16),
            Shape::Int(Int::U16) => Val::U16(self.roll() as u16),
            Shape::Int(Int::S32) => Val::S32(self.roll() as i32),
            Shape::Int(Int::U32) => Val::U32(self.roll() as u32),
            Shape::Int(Int::S64) => Val::S64(self.roll() as i64),
            Shape::Int(Int::U64) => Val::U64(self.roll()),
            Shape::Float32 => loop {
                let float = f32::from_bits(self.roll() as u32);
                if float.is_finite() {
                    break Val::Float32(float);
                }
            },
            Shape::Float64 => loop {
                let float = f64::from_bits(self.roll());
                if float.is_finite() {
                    break Val::Float64(float);
                }
            },
            Shape::Char => loop {
                if let Some(char) = char::from_u32(self.below(0x11_0000) as u32) {
                    break Val::Char(char);
                }
            },
            Shape::String => {
                let text = ["", "a", "\u{1b}\"\\\n", "some", "née \u{1F600}", "ok"];
                Val::String(text[self.below(text.len() as u64) as usize].to_owned())
            }
            Shape::List(item) => Val::List((0..self.below(4)).map(|_| self.val(item)).collect()),
            Shape::Record(fields) => {
                Val::Record(fields.iter().map(|(name, shape)| (name.wit.clone(), self.val(shape))).collect())
            }
            Shape::Tuple(shapes) => Val::Tuple(shapes.iter().map(|shape| self.val(shape)).collect()),
            Shape::Variant(cases) => {
                let (name, payload) = &cases[self.below(cases.len() as u64) as usize];
                Val::Variant(name.wit.clone(), payload.as_ref().map(|shape| Box::new(self.val(shape))))
            }
            Shape::Enum(names) => Val::Enum(names[self.below(names.len() as u64) as usize].wit.clone()),
            Shape::Flags(names) => {
                Val::Flags(names.iter().filter(|_| self.below(2) == 0).map(|name| name.wit.clone()).collect())
            }
            Shape::Option(inner) => Val::Option((self.below(3) > 0).then(|| Box::new(self.val(inner)))),
            Shape::Result { ok, err } => Val::Result(if self.below(2) == 0 {
                Ok(ok.as_ref().map(|shape| Box::new(self.val(shape))))
            } else {
                Err(err.as_ref().map(|shape| Box::new(self.val(shape))))
            }),
        }
    }
}

#[test]
fn every_value_comes_back_and_fits_its_schema() {
    for seed in 1..=1_500 {
        let mut dice = Dice(seed);
        let shape = dice.shape(4);
        let val = dice.val(&shape);
        let written = from_wit(&shape, &val).expect("finite values have a form").to_string();
        let value: Value = serde_json::from_str(&written).expect("the form is JSON");
        let back = to_wit(&shape, &value).unwrap_or_else(|error| panic!("seed {seed}: {error} in {written}"));
        assert_eq!(back, val, "seed {seed}: {written}");
        assert_eq!(from_wit(&shape, &back).expect("as before").to_string(), written, "seed {seed}");

        let signature =
            Signature { params: vec![(name("value"), shape.clone())], result: Returns::Value(shape) };
        for (schema, value) in [
            (schema::output(&signature), value.clone()),
            (schema::input(&signature), json!({ "value": value })),
        ] {
            let validator = jsonschema::validator_for(&schema).expect("a valid schema");
            let verdict = validator.validate(&value).map_err(|error| error.to_string());
            assert_eq!(verdict, Ok(()), "seed {seed}: {value} against {schema}");
        }
    }
}

/// What the schema lets through, the conversion takes: a caller that validated is not surprised.
#[test]
fn values_of_one_type_offered_to_another() {
    let mut agreed = 0;
    for seed in 1..=1_500 {
        let mut dice = Dice(seed);
        let (shape, other) = (dice.shape(2), dice.shape(2));
        let value = from_wit(&other, &dice.val(&other)).expect("finite values have a form");
        let signature = Signature { params: Vec::new(), result: Returns::Value(shape.clone()) };
        let valid = jsonschema::is_valid(&schema::output(&signature), &value);
        let taken = to_wit(&shape, &value).is_ok();
        // JSON Schema has `1.0` as an integer, and does not say how much a float holds.
        let number = value.to_string().bytes().any(|byte| byte.is_ascii_digit());
        assert!(taken || !valid || number, "seed {seed}: {value} for {shape:?}");
        agreed += u32::from(taken == valid);
    }
    assert!(agreed > 1_300, "{agreed}");
}

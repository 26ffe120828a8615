//! Values against declared inputs: a schema on the first line, a value on the others.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::{Format, Program, Source, read_json};
use serde_json::Map;

fuzz_target!(|text: &str| {
    let (schema, value) = text.split_once('\n').unwrap_or((text, "null"));
    let program = format!(r#"{{"inputs":{{"i":{schema}}},"steps":[{{"id":"a","type":"tool"}}]}}"#);
    let Ok((program, _)) =
        Program::parse(Source::new("p.json", program), Format::Json).and_then(Program::check)
    else {
        return;
    };
    let _ = program.bind_inputs(Map::from_iter([("i".to_owned(), program.read_input("i", value))]));
    if let Ok(value) = read_json(&Source::new("i", value)) {
        let _ = program.bind_inputs(Map::from_iter([("i".to_owned(), value)]));
    }
});

//! Templates and references: resolved text is never expanded again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::{
    Known, Personal, Projection, Reference, Root, Scope, Target, Template, TextTemplate, View,
};
use serde_json::Value;

struct Same(Value);

impl Scope for Same {
    fn root(&self, name: &str) -> Root<'_> {
        if name.len() < 4 { Root::Step { output: &self.0, proposal: None } } else { Root::Absent }
    }
}

fuzz_target!(|text: &str| {
    let scope = Same(Value::String("$a ${b} \\$".into()));
    let (personal, known) = (Personal::default(), Known::default());
    let view = View::new(&scope, Projection::new(Target::Tool, &personal, &known));
    if let Ok(reference) = Reference::parse(text) {
        assert_eq!(Reference::parse(&reference.to_string()), Ok(reference));
    }
    if let Ok(template) = TextTemplate::parse(text)
        && let Ok(resolved) = template.resolve(&view)
    {
        assert_eq!(resolved.text.matches("$a ${b} \\$").count() >= template.references().count(), true);
        let whole = Template::parse(&Value::String(text.into())).expect("the same grammar");
        assert_eq!(whole.resolve(&view), Ok(Value::String(resolved.text)));
    }
    if let Ok(value) = serde_json::from_str(text)
        && let Ok(template) = Template::parse(&value)
    {
        let _ = template.resolve(&view);
    }
});

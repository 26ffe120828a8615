//! A tool that gives back what it is given, and one that never ends. Both have a memory as large as a Rust
//! guest's, and import nothing.

use std::collections::HashMap;
use std::sync::Arc;

use nanohost_core::{
    Admission, Format, Manifest, Offer, Plan, Policy, Program, Source, ToolName, Trust, admit,
};
use nanohost_sandbox::{CallContext, Cancellation, Engine, KvUnavailable, KvView, Tool};

use crate::Failure;

/// The lengths that are echoed, bytes.
pub(crate) const LENGTHS: [usize; 3] = [100, 1 << 10, 10 << 10];

/// Steps of the program whose run is divided by them.
pub(crate) const STEPS: usize = 256;

const COMPONENT: &str = r#"(component
    (core module $m
        (memory (export "memory") 17)
        (data (i32.const 1048576) "a Rust guest has constants of its own")
        (global $free (mut i32) (i32.const 1049600))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (local $at i32)
            (local.set $at (global.get $free))
            (global.set $free (i32.add (global.get $free) (local.get 3)))
            local.get $at)
        (func (export "echo") (param $from i32) (param $length i32) (result i32)
            (local $to i32)
            (local.set $to (global.get $free))
            (memory.copy (local.get $to) (local.get $from) (local.get $length))
            (i32.store (i32.const 1024) (local.get $to))
            (i32.store (i32.const 1028) (local.get $length))
            i32.const 1024)
        (func (export "spin") (loop $again (br $again))))
    (core instance $i (instantiate $m))
    (alias core export $i "memory" (core memory $memory))
    (alias core export $i "realloc" (core func $realloc))
    (func (export "echo") (param "text" string) (result string)
        (canon lift (core func $i "echo") (memory $memory) (realloc $realloc)))
    (func (export "spin") (canon lift (core func $i "spin"))))"#;

/// A table and what it lets be called.
pub(crate) type Admitted = (Arc<Plan>, HashMap<ToolName, Arc<Tool>>);

/// The component in its binary form.
pub(crate) fn component() -> Result<Arc<[u8]>, Failure> {
    Ok(wat::parse_str(COMPONENT)?.into())
}

/// A text of that many bytes.
pub(crate) fn text(length: usize) -> String {
    "nanohost ".chars().cycle().take(length).collect()
}

/// One of its functions, admitted with those limits.
pub(crate) fn tool(engine: &Engine, function: &str, limits: &str) -> Result<Tool, Failure> {
    let step = match function {
        "echo" => "{ text = \"\" }",
        _ => "{}",
    };
    let program = format!(
        "name = \"bench\"\n[tools.echo]\npath = \"echo\"\nfunction = \"{function}\"\n\
         [[steps]]\nid = \"s\"\ntype = \"tool\"\ntool = \"echo\"\nargs = {step}\n"
    );
    let (_, mut linked) = admitted(engine, program, function, "pure", limits)?;
    let tool = linked.drain().next().ok_or("the one tool")?.1;
    Ok(Tool::clone(&tool))
}

/// A program of [`STEPS`] calls of the echo, of that effect, and its linked tools.
pub(crate) fn program(engine: &Engine, effect: &str, length: usize) -> Result<Admitted, Failure> {
    let text = text(length);
    let mut program = "name = \"bench\"\n[tools.echo]\npath = \"echo\"\nfunction = \"echo\"\n".to_owned();
    for at in 0..STEPS {
        program.push_str(&format!(
            "[[steps]]\nid = \"s{at}\"\ntype = \"tool\"\ntool = \"echo\"\nargs = {{ text = {text:?} }}\n"
        ));
    }
    admitted(engine, program, "echo", effect, "")
}

fn admitted(
    engine: &Engine,
    program: String,
    function: &str,
    effect: &str,
    limits: &str,
) -> Result<Admitted, Failure> {
    let loaded = engine.load(&component()?)?;
    let manifest = format!(
        "name = \"echo\"\nversion = \"1.0.0\"\n[functions.{function}]\neffect = \"{effect}\"\n[limits]\n{limits}\n"
    );
    let program = Program::parse(Source::new("program.toml", program), Format::Toml);
    let (program, _) = program.map_err(findings)?.check().map_err(findings)?;
    let local = ToolName::new("echo")?;
    let plan = admit(Admission {
        program: Arc::new(program),
        offers: vec![Offer {
            local: local.clone(),
            manifest: Manifest::parse(Source::new("manifest.toml", manifest)).map_err(findings)?,
            facts: loaded.facts().clone(),
            signature: None,
        }],
        policies: vec![
            Policy::parse(Source::new("policy.toml", ""), "/nowhere", Trust::Trusted).map_err(findings)?,
        ],
        today: "2026-11-23T00:00:00.000Z".parse()?,
    });
    let plan = plan.map_err(|refusal| format!("{refusal:?}"))?;
    let row = plan.row(&local).ok_or("the row of the one tool")?;
    let tool = engine.link(&loaded, &row.grants, &row.export.path())?;
    Ok((Arc::new(plan), HashMap::from([(local, Arc::new(tool))])))
}

fn findings(findings: impl std::fmt::Debug) -> Failure {
    format!("{findings:?}").into()
}

/// What a call is told.
pub(crate) fn context() -> CallContext {
    CallContext {
        idempotency_key: "key".into(),
        attempt: 1,
        time: nanohost_core::Timestamp::from_millis(0),
        seed: [7; 32],
        identity: "s/1/1".into(),
        kv: Arc::new(NoKeys),
        cancellation: Cancellation::default(),
    }
}

/// The echo has no keys.
struct NoKeys;

impl KvView for NoKeys {
    fn get(&self, _: &str, _: &str) -> Result<Option<(Vec<u8>, u64)>, KvUnavailable> {
        Ok(None)
    }

    fn list(&self, _: &str, _: &str, _: Option<&str>, _: usize) -> Result<Vec<String>, KvUnavailable> {
        Ok(Vec::new())
    }

    fn held(&self) -> Result<u64, KvUnavailable> {
        Ok(0)
    }
}

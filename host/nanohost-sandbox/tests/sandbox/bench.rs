//! From a component and the lines of a manifest to a tool, through a real admission.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nanohost_core::{
    Admission, Format, Manifest, Offer, Plan, Policy, Program, Refusal, Source, ToolFacts, ToolName, Trust,
    admit,
};
use nanohost_sandbox::{
    CallContext, CallReport, Cancellation, Engine, FaultCode, KvUnavailable, KvView, LinkError, Loaded,
    Outcome, ReplayContext, ReplayTool, Tool,
};
use serde_json::Value;

/// One engine for all tests, as in a host.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new().expect("the engine starts"))
}

/// A Rust guest, compiled once.
pub(crate) fn guest(name: &'static str) -> Loaded {
    static LOADED: OnceLock<Mutex<HashMap<&str, Loaded>>> = OnceLock::new();
    let loaded = LOADED.get_or_init(Mutex::default);
    let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
    let load = || engine().load(&crate::guests::guest(name)).expect("the guest loads");
    loaded.entry(name).or_insert_with(load).clone()
}

/// A component in the text format.
pub(crate) fn wat(text: &str) -> Loaded {
    let bytes = wat::parse_str(text).expect("the text is a component");
    engine().load(&bytes.into()).expect("the component loads")
}

/// What a tool asks for and gets.
#[derive(Clone, Default)]
pub(crate) struct Asks {
    /// Lines of `[capabilities]`, in the manifest and in the policy's one row alike.
    pub(crate) capabilities: String,
    /// What the policy's row says instead.
    pub(crate) permits: Option<String>,
    /// Lines of `[limits]`.
    pub(crate) limits: String,
    /// The value of `stub`.
    pub(crate) stub: Option<&'static str>,
    /// Further tables of the policy: folders, variables.
    pub(crate) host: String,
}

/// Admits one function of a component.
pub(crate) fn plan(facts: &ToolFacts, function: &str, asks: &Asks) -> Result<Plan, Refusal> {
    let Asks { capabilities, permits, limits, stub, host } = asks;
    // Many guests share a busy machine: only where the deadline is what is tested may it end a call.
    let patience = if limits.contains("deadline") { "" } else { "deadline = \"60s\"\n" };
    let stub = stub.map(|stub| format!("stub = {stub}\n")).unwrap_or_default();
    let manifest = format!(
        "name = \"guest\"\nversion = \"1.0.0\"\n{stub}[functions.{function}]\neffect = \"external\"\n\
         [capabilities]\n{capabilities}\n[limits]\n{patience}{limits}\n"
    );
    let row = format!(
        "[[permit]]\nid = \"all\"\nreason = \"tests\"\nowner = \"tests\"\nprogram = \"test\"\ntool = \"guest\"\n\
         {stub}{}\n",
        permits.as_ref().unwrap_or(capabilities)
    );
    let row = if capabilities.is_empty() && stub.is_empty() { String::new() } else { row };
    // What the function takes, from inputs that nobody here gives: admission looks at the names.
    let export = facts.exports.iter().find(|export| export.function == function);
    let required = export.and_then(|export| export.input["required"].as_array()).into_iter().flatten();
    let args: Vec<String> =
        required.filter_map(|name| Some(format!("{0:?} = \"$given\"", name.as_str()?))).collect();
    let program = format!(
        "name = \"test\"\n[tools.guest]\npath = \"guest\"\nfunction = \"{function}\"\n\
         [[steps]]\nid = \"s\"\ntype = \"tool\"\ntool = \"guest\"\nargs = {{ {} }}\n",
        args.join(", ")
    );
    let program = Program::parse(Source::new("program.toml", program), Format::Toml).expect("a program");
    let (program, _) = program.check().expect("a sound program");
    admit(Admission {
        program: Arc::new(program),
        offers: vec![Offer {
            local: name(),
            manifest: Manifest::parse(Source::new("manifest.toml", manifest)).expect("a manifest"),
            facts: facts.clone(),
            signature: None,
        }],
        policies: vec![
            Policy::parse(Source::new("policy.toml", format!("{row}{host}")), "/nowhere", Trust::Trusted)
                .expect("a policy"),
        ],
        today: "2026-11-23T00:00:00.000Z".parse().expect("a moment"),
    })
}

fn name() -> ToolName {
    ToolName::new("guest").expect("a name")
}

/// Links what was admitted.
pub(crate) fn link(loaded: &Loaded, plan: &Plan) -> Result<Tool, LinkError> {
    link_in(engine(), loaded, plan)
}

fn link_in(engine: &Engine, loaded: &Loaded, plan: &Plan) -> Result<Tool, LinkError> {
    let row = plan.row(&name()).expect("the row of the one tool");
    engine.link(loaded, &row.grants, &row.export.path())
}

/// Admits and links one function.
pub(crate) fn tool(loaded: &Loaded, function: &str, asks: &Asks) -> Tool {
    tool_in(engine(), loaded, function, asks)
}

/// The same in another engine.
pub(crate) fn tool_in(engine: &Engine, loaded: &Loaded, function: &str, asks: &Asks) -> Tool {
    let plan =
        plan(loaded.facts(), function, asks).unwrap_or_else(|refusal| panic!("{function}: {refusal:?}"));
    link_in(engine, loaded, &plan).expect("what was admitted links")
}

/// Admits and links one function for replays.
pub(crate) fn replay_tool(loaded: &Loaded, function: &str, asks: &Asks) -> ReplayTool {
    let plan =
        plan(loaded.facts(), function, asks).unwrap_or_else(|refusal| panic!("{function}: {refusal:?}"));
    let row = plan.row(&name()).expect("the row of the one tool");
    engine().link_replay(loaded, &row.grants, &row.export.path()).expect("what was admitted links")
}

/// What the calls of [`context`] were told, told again.
pub(crate) fn replay_context() -> ReplayContext {
    let CallContext { idempotency_key, attempt, time, seed, identity, .. } = context();
    let cancellation = Cancellation::default();
    ReplayContext { idempotency_key, attempt, time, seed, identity, cancellation }
}

/// A context in which the guest has an empty store.
pub(crate) fn context() -> CallContext {
    CallContext {
        idempotency_key: "key-1".into(),
        attempt: 1,
        time: "2026-11-23T02:26:00.000Z".parse().expect("a moment"),
        seed: [7; 32],
        identity: "s/1/1".into(),
        kv: Arc::new(Shelf::default()),
        cancellation: Cancellation::default(),
    }
}

/// One call in a context of its own.
pub(crate) async fn call(tool: &Tool, input: Value) -> CallReport {
    tool.call(&input, context()).await
}

/// The result of a call that has to succeed.
pub(crate) fn success(report: &CallReport) -> &Value {
    match &report.outcome {
        Outcome::Success(value) => value,
        other => panic!("expected a success, got {other:?}; denied: {:?}", report.denied),
    }
}

/// The error of a call that has to give one of the tool's own.
pub(crate) fn tool_error(report: &CallReport) -> &Value {
    match &report.outcome {
        Outcome::ToolError(value) => value,
        other => panic!("expected the tool's error, got {other:?}"),
    }
}

/// The code of a call that has to be a fault.
pub(crate) fn fault(report: &CallReport) -> FaultCode {
    match &report.outcome {
        Outcome::Fault(fault) => fault.code,
        other => panic!("expected a fault, got {other:?}"),
    }
}

/// Refusals as `operation value`.
pub(crate) fn denied(report: &CallReport) -> Vec<String> {
    report.denied.iter().map(|refusal| format!("{} {}", refusal.operation, refusal.value)).collect()
}

/// Committed values, each with its version.
#[derive(Default)]
pub(crate) struct Shelf(pub(crate) BTreeMap<(String, String), (Vec<u8>, u64)>);

impl Shelf {
    /// With the given keys in one namespace, at version 3.
    pub(crate) fn with(namespace: &str, entries: &[(&str, &str)]) -> Arc<Self> {
        let entries = entries
            .iter()
            .map(|(key, value)| ((namespace.to_owned(), (*key).to_owned()), (value.as_bytes().to_vec(), 3)));
        Arc::new(Self(entries.collect()))
    }
}

impl KvView for Shelf {
    fn get(&self, namespace: &str, key: &str) -> Result<Option<(Vec<u8>, u64)>, KvUnavailable> {
        Ok(self.0.get(&(namespace.to_owned(), key.to_owned())).cloned())
    }

    fn list(
        &self,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, KvUnavailable> {
        let keys = self.0.keys().filter(|(space, _)| space == namespace).map(|(_, key)| key.clone());
        let in_range =
            |key: &String| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after);
        Ok(keys.filter(in_range).take(limit).collect())
    }

    fn held(&self) -> Result<u64, KvUnavailable> {
        Ok(self.0.iter().map(|((_, key), (value, _))| (key.len() + value.len()) as u64).sum())
    }
}

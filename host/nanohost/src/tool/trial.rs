//! Calls of a tool as a case says: in the sandbox, with exactly what its manifest asks for, in a world made
//! for the one call. Files are copies, other hosts are the case's answers, key-value entries its own;
//! nothing is recorded. Only TCP connections, where the manifest asks for them, are real: whoever calls this
//! has asked for that.

mod entries;
mod judged;
mod world;

use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use nanohost_core::cases::ToolCase;
use nanohost_core::{
    Admission, Capability, Diagnostic, Format, Manifest, Offer, Plan, Policy, Program, Refusal, Source,
    Timestamp, ToolName, Trust, admit, capability_lines,
};
use nanohost_sandbox::{
    CallContext, CallReport, Cancellation, Engine, Network, SecretValues, StandIn, StoodIn,
};
use zeroize::Zeroizing;

use super::Package;
use crate::failure::Failure;
use world::World;

pub use entries::Entries;
pub use judged::{outcome, shown};

/// What the tool is called in the program of a trial.
const LOCAL: &str = "tool";

/// When every trial begins, by the tool's clock: 2026-01-01T00:00:00Z. A trial gives the same today and next year.
pub const BEGINNING: i64 = 1_767_225_600_000;

/// What a trial came to.
pub struct Tried {
    /// What is not as the case says; empty: it passed.
    pub problems: Vec<String>,
    /// The call, where one was made.
    pub report: Option<CallReport>,
}

impl Tried {
    /// Whether it came out as the case says.
    pub fn passed(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Calls a tool as `case` says, with what `manifest` asks for. Paths of the case are from `folder`.
///
/// # Errors
/// Where no call can be made at all: a manifest that does not fit the component, a folder that is not there.
pub async fn call(
    package: &Package,
    manifest: &Manifest,
    case: &ToolCase,
    folder: &Path,
    engine: &Engine,
) -> anyhow::Result<Tried> {
    let function = match &case.function {
        Some(named) => package.function(named)?,
        None => package.only_function()?,
    };
    let world = World::new(manifest, case, folder)?;
    let plan = plan(package, manifest, &function.function, &world)?;
    let local = ToolName::new(LOCAL).context("it is a name")?;
    let row = plan.row(&local).context("the program names the tool")?;
    if let Err(refused) = plan.check_args(row, &case.input) {
        return Ok(judged::refused(&refused, case));
    }
    let answers = Arc::new(Answers { case: case.http.clone(), unanswered: Mutex::default() });
    let engine = engine.with_network(Network::system().with_stand_in(Arc::clone(&answers) as _));
    let tool = engine
        .link(&package.loaded, &row.grants, &row.export.path())
        .map_err(|error| Failure::usage(Diagnostic::error(error.code(), error.to_string())))?;
    let tool = tool.with_secrets(secrets(manifest)?);
    let context = CallContext {
        idempotency_key: "trial".to_owned(),
        attempt: 1,
        time: Timestamp::from_millis(BEGINNING),
        seed: [0; 32],
        identity: "trial".to_owned(),
        kv: world.kv(),
        cancellation: Cancellation::default(),
    };
    let report = tool.call(&case.input, context).await;
    let mut problems = judged::problems(&report, case, &world);
    let unanswered =
        std::mem::take(&mut *answers.unanswered.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    problems.extend(unanswered.into_iter().map(|request| format!("the case has no answer to {request}")));
    Ok(Tried { problems, report: Some(report) })
}

/// The table for one function, under a policy that permits all that the manifest asks for.
fn plan(package: &Package, manifest: &Manifest, function: &str, world: &World) -> anyhow::Result<Plan> {
    let program = serde_json::json!({
        "name": "trial",
        "inputs": {},
        "tools": { LOCAL: { "path": ".", "function": function } },
        "steps": [{ "id": "call", "type": "llm", "prompt": "call", "allowed_outputs": ["called"] }],
    });
    let program = Source::new("trial.json", program.to_string());
    let (program, _) =
        Program::parse(program, Format::Json).and_then(Program::check).map_err(Failure::usage)?;
    let policy = policy(manifest, world);
    let policy =
        Policy::parse(Source::new("trial.toml", policy), "/", Trust::Trusted).map_err(Failure::usage)?;
    let local = ToolName::new(LOCAL).context("it is a name")?;
    let admission = Admission {
        program: Arc::new(program),
        offers: vec![Offer {
            local,
            manifest: manifest.clone(),
            facts: package.loaded.facts().clone(),
            signature: None,
        }],
        policies: vec![policy],
        today: Timestamp::from_millis(BEGINNING),
    };
    admit(admission).map_err(|refusal| match refusal {
        Refusal::Invalid(findings) => Failure::usage(findings),
        Refusal::Denied(denied) => Failure::usage(denied.diagnostics()),
    })
}

/// The text of that policy.
fn policy(manifest: &Manifest, world: &World) -> String {
    let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let permits: Vec<Capability> =
        manifest.asks().iter().filter(|ask| ask.span.is_some()).map(|ask| ask.capability.clone()).collect();
    let stubs: Vec<String> = manifest.stubs().iter().map(|stub| text(&stub.value.to_string())).collect();
    let name = manifest.name();
    let mut policy = format!("[[permit]]\nid = \"trial\"\ntool = \"{name}\"\n{}", capability_lines(&permits));
    policy.push_str(&format!("stub = [{}]\n", stubs.join(", ")));
    if !world.folders().is_empty() {
        policy.push_str(&format!("[folders.{name}]\n"));
        for (guest, host) in world.folders() {
            policy.push_str(&format!("{} = {}\n", text(guest), text(&host.display().to_string())));
        }
    }
    let variables: Vec<&str> = permits
        .iter()
        .filter_map(|own| match own {
            Capability::Env(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    if !variables.is_empty() {
        policy.push_str(&format!("[env.{name}]\n"));
        for variable in variables {
            policy.push_str(&format!("{} = {}\n", text(variable), text(world.variable(variable))));
        }
    }
    policy
}

/// Values that are no secrets, under the names that the manifest asks for.
fn secrets(manifest: &Manifest) -> anyhow::Result<SecretValues> {
    let mut values = SecretValues::default();
    for ask in manifest.asks() {
        if let Capability::Secrets(rule) = &ask.capability {
            let value = Zeroizing::new(format!("no-secret-{}", rule.name));
            values = values.with(&rule.name, value).context("it is visible ASCII")?;
        }
    }
    Ok(values)
}

/// What the case answers in place of other hosts.
struct Answers {
    case: Vec<nanohost_core::cases::Answer>,
    unanswered: Mutex<Vec<String>>,
}

impl StandIn for Answers {
    fn answer(&self, request: &str) -> Option<StoodIn> {
        match self.case.iter().find(|own| own.request.matches(request)) {
            Some(own) => Some(StoodIn {
                status: own.status,
                headers: own.headers.clone(),
                body: own.body.clone().into_bytes(),
            }),
            None => {
                let mut unanswered =
                    self.unanswered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                unanswered.push(request.to_owned());
                None
            }
        }
    }
}

//! A run of a program as a case says: the same machine, under the policy, with tools and models that the case
//! stands in for. In memory: no store, no evidence, no server, no other host; what a tool writes is gone with it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use nanohost_core::cases::{Gives, ProgramCase};
use nanohost_core::run::{
    Action, Ask, Call, CallEnd, Code, Denial, ErrorKind, Event, Failure as StepFailure, Next, Place, Retry,
    Run, Slot, Status,
};
use nanohost_core::{
    Access, Admission, Denied, Diagnostic, Diagnostics, Gap, Policy, Refusal, Row, Timestamp, ToolName,
    Trust, admit,
};
use nanohost_sandbox::{CallContext, Cancellation, Engine, KvView, Network, SecretValues, StandIn, StoodIn};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::cli::ProgramArgs;
use crate::drive::{How, event, refusals};
use crate::failure::Failure;
use crate::model::{SCRIPTED, Scripted};
use crate::prepare::{self, Behind};
use crate::project::{self, FoundPolicy};
use crate::registry::Reach;
use crate::tool::trial::{BEGINNING, Entries};

/// The word for a run that waits for somebody.
const SUSPENDED: &str = "suspended";

/// A program with its tools and the policy that judges it.
pub struct Stage {
    path: PathBuf,
    behind: Behind,
    policy: Policy,
    /// The policies that a run would stand under, with who trusts them: whose tools may run is asked of
    /// those, whatever a case says.
    real: Vec<Policy>,
    /// The project of a policy that nobody trusts: its tools read nothing outside.
    within: Option<PathBuf>,
}

/// What a rehearsal came to.
#[derive(Debug, Default, PartialEq)]
pub struct Came {
    /// How the run ended, or that it waits.
    pub status: String,
    /// Why it failed.
    pub error: Option<&'static str>,
    /// Its business outcome.
    pub outcome: Option<String>,
    /// Its output.
    pub output: Value,
    /// The steps, in the order in which they ended.
    pub path: Vec<String>,
    /// What was refused.
    pub denied: Vec<String>,
}

impl Stage {
    /// Reads a program and the policy that is named, else the nearest. What a policy's author means is
    /// tested, whether or not anybody trusts it yet. Builds tools where that is due and allowed.
    ///
    /// # Errors
    /// What is wrong with any of them.
    pub fn read(
        program: &Path,
        policy: Option<&Path>,
        reach: &Reach<'_>,
        engine: &Engine,
    ) -> anyhow::Result<Self> {
        let Reach { places, asked, progress } = *reach;
        let nearest = project::find(None, program, places)?;
        let within = within(program, policy, &nearest)?;
        let real = nearest.policies.clone();
        let found = match policy {
            Some(_) => project::find(policy, program, places)?,
            None => nearest,
        };
        let policy = match &found.path {
            Some(path) => project::read_policy(path, path)?,
            None => Policy::none(),
        };
        let args = ProgramArgs { packages: asked.clone(), ..ProgramArgs::of(program) };
        let behind = Behind::read(&args, places, engine, progress)?;
        Ok(Self { path: program.to_owned(), behind, policy, real, within })
    }

    /// Runs it once.
    ///
    /// # Errors
    /// Where it cannot be run at all: inputs that do not fit, no answer of a model, a tool that would reach
    /// something real.
    pub async fn run(
        &self,
        case: &ProgramCase,
        folder: &Path,
        engine: &Engine,
        today: Timestamp,
    ) -> anyhow::Result<Came> {
        let program = Arc::clone(&self.behind.program);
        let inputs = program.bind_inputs(case.inputs.clone()).map_err(Failure::usage)?;
        let offers = prepare::offers(&self.behind.tools);
        let real = Admission {
            program: Arc::clone(&program),
            offers: offers.clone(),
            policies: self.real.clone(),
            today,
        };
        if let Err(Refusal::Denied(denied)) = admit(real) {
            let publishers = denied.gaps().iter().filter(|gap| gap.code.is_of_publisher());
            let findings: Diagnostics = publishers.map(Gap::diagnostic).collect();
            if !findings.is_empty() {
                return Err(Failure::denied(findings));
            }
        }
        let admission = Admission { program, offers, policies: vec![self.policy.clone()], today };
        let plan = match admit(admission) {
            Ok(plan) => Arc::new(plan),
            Err(Refusal::Invalid(findings)) => return Err(Failure::usage(findings)),
            Err(Refusal::Denied(denied)) => return Ok(not_admitted(&denied)),
        };
        if let Some(unknown) = case.tools.iter().find(|own| plan.row(&own.tool).is_none()) {
            let message =
                format!("the case stands in for `{}`, which the program has no such tool", unknown.tool);
            return Err(Failure::usage(
                Diagnostic::error("unknown_tool", message).help("use the program's names of its tools"),
            ));
        }
        let run = Run::start(plan, inputs, Timestamp::from_millis(BEGINNING));
        let engine = engine.with_network(Network::system().with_stand_in(Arc::new(Nobody)));
        let models = self.models(case, folder)?;
        let mut rehearsal =
            Rehearsal { stage: self, case, engine, models, run, entries: HashMap::new(), denied: Vec::new() };
        rehearsal.drive().await?;
        Ok(rehearsal.came())
    }

    /// Who answers for all models: the case's own words, then a file.
    fn models(&self, case: &ProgramCase, folder: &Path) -> anyhow::Result<Scripted> {
        let own = self.behind.program.scripted().map(|file| self.path.with_file_name(file));
        let file = case.answers.as_ref().map(|file| folder.join(file)).or(own);
        let scripted = match file {
            Some(file) => Scripted::read(&file)?,
            None => Scripted::silent(),
        };
        Ok(scripted.saying(&case.model))
    }
}

/// The folder that a test reads nothing outside of; `None` where the user trusts the policy. Cases name
/// policies too, and are as much a stranger's as the policy: only the one that is trusted counts as such.
fn within(program: &Path, named: Option<&Path>, nearest: &FoundPolicy) -> anyhow::Result<Option<PathBuf>> {
    let real = |path: &Path| path.canonicalize().ok();
    let is_nearest = match (named, &nearest.path) {
        (None, _) => true,
        (Some(named), Some(path)) => real(named).is_some_and(|named| real(path) == Some(named)),
        (Some(_), None) => false,
    };
    if is_nearest && nearest.trusted {
        return Ok(None);
    }
    let project = nearest.policies.iter().find_map(|policy| match policy.trust() {
        Trust::Found { project } => Some(Path::new(project)),
        Trust::Trusted => None,
    });
    let folder = program.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = project.unwrap_or(folder);
    let real = folder
        .canonicalize()
        .map_err(|error| Failure::io("folder_unavailable", "find the project", folder, &error))?;
    Ok(Some(real))
}

/// Other hosts: there are none.
struct Nobody;

impl StandIn for Nobody {
    fn answer(&self, _: &str) -> Option<StoodIn> {
        None
    }
}

fn not_admitted(denied: &Denied) -> Came {
    let gaps = denied.gaps().iter().map(|gap| {
        let tool = gap.tool.as_ref().map_or("model", ToolName::as_str);
        format!("{tool} {}", gap.code.as_str())
    });
    Came {
        status: Status::NotAdmitted.as_str().to_owned(),
        error: Some(ErrorKind::Authority.as_str()),
        denied: gaps.collect(),
        ..Came::default()
    }
}

struct Rehearsal<'s> {
    stage: &'s Stage,
    case: &'s ProgramCase,
    engine: Engine,
    models: Scripted,
    run: Run,
    /// What each tool's namespaces hold.
    entries: HashMap<ToolName, Entries>,
    denied: Vec<String>,
}

impl Rehearsal<'_> {
    /// One thing after another, to the end or until the run waits.
    async fn drive(&mut self) -> anyhow::Result<()> {
        let mut due = Vec::new();
        loop {
            match self.run.next() {
                Next::Record(event) => self.record(event)?,
                // What goes on side by side begins before any of it ends.
                Next::Perform(action) => due.push(action),
                Next::Await if due.is_empty() => anyhow::bail!("the run waits for work that nobody does"),
                Next::Await => match due.remove(0) {
                    Action::Ask(ask) => self.ask(&ask)?,
                    Action::Call(call) => self.call(call).await?,
                },
                Next::Suspended | Next::Ended => return Ok(()),
            }
        }
    }

    /// Time stands still.
    fn record(&mut self, event: Event) -> anyhow::Result<()> {
        if let Event::Denied { place, denial } | Event::Blocked { place, denial } = &event {
            let refused = refused(self.step(*place), denial);
            if !self.denied.contains(&refused) {
                self.denied.push(refused);
            }
        }
        let now = self.run.now();
        Ok(self.run.record(event, now)?)
    }

    fn step(&self, place: Place) -> &str {
        self.run.plan().program().step(place.step).id.as_str()
    }

    fn ask(&mut self, ask: &Ask) -> anyhow::Result<()> {
        let step = self.step(ask.place).to_owned();
        if self.models.answer(&step, &ask.prompt).is_none() && ask.model != SCRIPTED {
            let message = format!("step `{step}` asks a model, and the case says nothing in its place");
            return Err(Failure::usage(Diagnostic::error("no_scripted_answers", message).help(format!(
                "write under the case: model = {{ {step} = \"…\" }}, or answers = \"FILE\""
            ))));
        }
        let event = self.run.judge(ask, self.models.ask(&step, ask).reply);
        self.record(event)
    }

    async fn call(&mut self, call: Call) -> anyhow::Result<()> {
        let plan = Arc::clone(self.run.plan());
        let row = plan.row(&call.tool).context("the machine hands out calls of the table only")?;
        let (place, args) = (call.place, Slot::known(call.args.clone()));
        self.record(Event::Started { place, tool: call.tool.clone(), args })?;
        let fits =
            |wanted: &Map<String, Value>| wanted.iter().all(|(key, value)| call.args.get(key) == Some(value));
        let stands = self.case.tools.iter().find(|own| own.tool == call.tool && fits(&own.args));
        match stands {
            Some(own) => self.record(Event::Finished { place, end: end(&own.gives) }),
            None => self.really(row, &call).await,
        }
    }

    /// Calls a tool that the case does not stand in for, where it reaches nothing that is real.
    async fn really(&mut self, row: &Row, call: &Call) -> anyhow::Result<()> {
        let writes = row.grants.filesystem().iter().any(|own| own.folder.access == Access::Write);
        let reaches = match (writes, row.grants.sockets().is_empty()) {
            (true, _) => Some("writes into a folder"),
            (_, false) => Some("opens connections"),
            _ if !row.grants.http().is_empty() => Some("asks other hosts"),
            _ => None,
        };
        if let Some(what) = reaches {
            let message = format!("`{}` {what}, and no stand-in of the case fits its call", call.tool);
            return Err(Failure::usage(Diagnostic::error("needs_stand_in", message).help(
                "a test touches nothing real: say in its place [[case.tool]], with `name` and `output`, `fails` or `waits`",
            )));
        }
        let tool = self.stage.behind.tools.get(&call.tool).context("every row comes from an offer")?;
        let linked = self
            .engine
            .link(&tool.loaded, &row.grants, &row.export.path())
            .map_err(|error| Failure::usage(Diagnostic::error(error.code(), error.to_string())))?;
        if let Some(project) = &self.stage.within {
            let mut findings = Diagnostics::new();
            prepare::check_within(project, &call.tool, &linked, &mut findings);
            if !findings.is_empty() {
                return Err(Failure::denied(findings));
            }
        }
        let mut secrets = SecretValues::default();
        for rule in row.grants.secrets() {
            let value = Zeroizing::new(format!("no-secret-{}", rule.name));
            secrets = secrets.with(&rule.name, value).context("it is visible ASCII")?;
        }
        let entries = self.entries.entry(call.tool.clone()).or_default();
        let context = CallContext {
            idempotency_key: format!("trial/{}/{}", call.place.step.as_usize(), call.place.visit),
            attempt: call.place.attempt,
            time: self.run.opened(),
            seed: [0; 32],
            identity: format!("{}/{}/{}", call.place.step.as_usize(), call.place.visit, call.place.attempt),
            kv: Arc::new(entries.clone()) as Arc<dyn KvView>,
            cancellation: Cancellation::default(),
        };
        let report = linked.with_secrets(secrets).call(&call.args, context).await;
        entries.apply(&report.kv.writes);
        let place = call.place;
        let blocked: Vec<Denial> = refusals(&report).collect();
        for denial in blocked {
            self.record(Event::Blocked { place, denial })?;
        }
        let how = How { began: report.usage.fuel > 0, ..How::default() };
        self.record(event(place, report.outcome, row.effect, how))
    }

    fn came(self) -> Came {
        let program = Arc::clone(self.run.plan().program());
        let records = self.run.records().iter();
        let (status, error) = match self.run.end() {
            Some(end) => (end.status.as_str(), end.error.map(ErrorKind::as_str)),
            None => (SUSPENDED, None),
        };
        Came {
            status: status.to_owned(),
            error,
            outcome: self.run.outcome().map(str::to_owned),
            output: self.run.final_output().and_then(Slot::value).cloned().unwrap_or_default(),
            path: records.map(|record| program.step(record.step).id.to_string()).collect(),
            denied: self.denied,
        }
    }
}

/// A refusal as cases write it: `pay require refund-limit`.
fn refused(step: &str, denial: &Denial) -> String {
    format!("{step} {} {}", denial.capability, denial.rule)
}

/// What a stand-in gives, as a tool would.
fn end(gives: &Gives) -> CallEnd {
    match gives {
        Gives::Output(value) => CallEnd::Success { output: Slot::known(value.clone()), recorded: false },
        Gives::Waits(reason) => {
            CallEnd::Suspended { reason: Slot::known(reason.as_str().into()), deadline: None }
        }
        Gives::Fails { code, message } => {
            let (code, retry) = match code.as_str() {
                "unavailable" => ("unavailable", Retry::Maybe),
                "rejected" => ("rejected", Retry::Never),
                _ => ("invalid_input", Retry::Never),
            };
            let failure = StepFailure::new(ErrorKind::StepFailed, Code::known(code), retry);
            CallEnd::Failure(failure.with_message(Slot::known(message.as_str().into())))
        }
    }
}

/// What is not as the case says.
pub fn problems(came: &Came, case: &ProgramCase) -> Vec<String> {
    let mut all = Vec::new();
    let mut compare = |what: &str, is: String, wanted: Option<String>| {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != is) {
            all.push(format!("the {what} is {is}, not {wanted}"));
        }
    };
    compare("status", came.status.clone(), Some(case.status.clone()));
    let error = case.error.map(|error| error.as_str().to_owned());
    compare("error", came.error.unwrap_or("none").to_owned(), error);
    compare("outcome", came.outcome.clone().unwrap_or("none".to_owned()), case.outcome.clone());
    compare("output", came.output.to_string(), case.output.as_ref().map(Value::to_string));
    let path = case.path.as_ref().map(|path| path.join(" → "));
    compare("path", came.path.join(" → "), path);
    for refused in came.denied.iter().filter(|refused| !case.denied.contains(refused)) {
        all.push(format!("{refused:?} was refused, which the case does not expect"));
    }
    for wanted in case.denied.iter().filter(|wanted| !came.denied.contains(wanted)) {
        all.push(format!("{wanted:?} was not refused"));
    }
    all
}

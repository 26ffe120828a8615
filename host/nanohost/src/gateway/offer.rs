//! A program that can be started any number of times: read once, admitted when it is started, linked once
//! for each table. A single tool is served as a program of one step. Knows nothing of clients.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use nanohost_core::{
    AdmissionRecord, CheckedProgram, Denied, Diagnostic, Plan, Refusal, Timestamp, ToolExport, ToolName,
    admit,
};
use nanohost_sandbox::{Engine, Tool};
use serde_json::{Map, Value, json};

use super::saved::Saved;
use super::schema::{self, Hints};
use super::{Serving, lock};
use crate::cli::ProgramArgs;
use crate::commands::Launch;
use crate::console::Progress;
use crate::failure::Failure;
use crate::ledger;
use crate::model::Models;
use crate::prepare::{self, Prepared};
use crate::project::{self, Places};

/// What is offered as a tool of the protocol.
pub struct Offered {
    name: String,
    args: ProgramArgs,
    launch: Launch,
    prepared: Prepared,
    /// A single tool: its arguments' own names, and the inputs they become.
    single: Option<Single>,
    decided: Mutex<Option<Arc<Decided>>>,
    input: Map<String, Value>,
    output: Value,
    hints: Hints,
}

/// What a single tool is called with.
struct Single {
    schema: Map<String, Value>,
    inputs: HashMap<String, String>,
}

/// An admission, as long as it holds.
pub struct Decided {
    /// Everything that it was decided from, as the run's first envelope commits to it.
    record: Value,
    /// The table and what was linked from it, or what is missing.
    pub outcome: Result<Admitted, Denied>,
    from: Timestamp,
    until: Option<Timestamp>,
}

/// A table and what was linked from it.
pub struct Admitted {
    /// The table.
    pub plan: Arc<Plan>,
    /// The tools by their local names.
    pub linked: HashMap<ToolName, Arc<Tool>>,
}

impl Decided {
    /// The record of the same decision, made at `today`.
    pub fn record(&self, today: Timestamp) -> Value {
        let mut record = self.record.clone();
        record["today"] = json!(today);
        record
    }
}

impl Offered {
    /// Reads a program and everything around it, and admits it.
    ///
    /// # Errors
    /// As [`Prepared::read_pinned`]; a refused admission is none.
    pub fn read(
        args: &ProgramArgs,
        places: &Places,
        engine: &Engine,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let prepared = Prepared::read_pinned(args, places, engine, progress)?;
        let launch = Launch::of(args, &prepared);
        let program = Arc::clone(&prepared.program);
        let mut offered = Self {
            name: program.name().to_owned(),
            args: args.clone(),
            launch,
            prepared,
            single: None,
            decided: Mutex::default(),
            input: schema::input_schema(&program),
            output: json!({}),
            hints: Hints::UNKNOWN,
        };
        let decided = offered.decide(engine, ledger::now())?;
        let plan = decided.outcome.as_ref().ok().map(|admitted| &*admitted.plan);
        offered.output = schema::output_schema(&program, plan);
        offered.hints = plan.map_or(Hints::UNKNOWN, Hints::of);
        Ok(offered)
    }

    /// What clients call it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The program.
    pub fn program(&self) -> &Arc<CheckedProgram> {
        &self.prepared.program
    }

    /// Everything that was read around it.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// Where its files lie.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Whether it is one tool, served as it is.
    pub fn is_single(&self) -> bool {
        self.single.is_some()
    }

    /// The schema of what it is called with.
    pub fn input_schema(&self) -> &Map<String, Value> {
        self.single.as_ref().map_or(&self.input, |single| &single.schema)
    }

    /// The schema of what a run of it returns.
    pub fn output_schema(&self) -> &Value {
        &self.output
    }

    /// What a call can do to the world.
    pub fn hints(&self) -> Hints {
        self.hints
    }

    /// What it is for: of a single tool the author's words, which the manifest's digest pins.
    pub fn description(&self) -> Option<String> {
        let decided = lock(&self.decided).clone();
        let of_tool = || {
            let plan = &decided.as_ref()?.outcome.as_ref().ok()?.plan;
            plan.rows().first()?.description.clone()
        };
        match self.single {
            Some(_) => of_tool(),
            None => self.program().description().map(str::to_owned),
        }
    }

    /// The inputs that a client's arguments stand for.
    ///
    /// # Errors
    /// What does not fit the declaration.
    pub fn inputs(&self, arguments: Map<String, Value>) -> anyhow::Result<Map<String, Value>> {
        let given = match &self.single {
            None => arguments,
            Some(single) => arguments
                .into_iter()
                .map(|(name, value)| (single.inputs.get(&name).cloned().unwrap_or(name), value))
                .collect(),
        };
        exact(&given)?;
        self.program().bind_inputs(given).map_err(Failure::usage)
    }

    /// The models that a run of it asks.
    ///
    /// # Errors
    /// Where the scripted model's answers, or a key, cannot be read.
    pub fn models(&self, plan: &Plan) -> anyhow::Result<Models> {
        Models::open(plan, self.prepared.scripted(&self.args.program)?)
    }

    /// The admission that holds at `now`: the last one, until a row of a policy ends.
    ///
    /// # Errors
    /// Where somebody's file has to be mended, or a tool cannot be linked.
    pub fn decide(&self, engine: &Engine, now: Timestamp) -> anyhow::Result<Arc<Decided>> {
        let holds =
            |decided: &&Arc<Decided>| now >= decided.from && decided.until.is_none_or(|until| now < until);
        if let Some(decided) = lock(&self.decided).as_ref().filter(holds) {
            return Ok(Arc::clone(decided));
        }
        let admission = self.prepared.admission(now);
        let record = serde_json::to_value(AdmissionRecord::of(&admission))?;
        let until = admission.policies.iter().filter_map(|policy| policy.next_end(now)).min();
        let outcome = match admit(admission) {
            Err(Refusal::Invalid(findings)) => return Err(Failure::usage(findings)),
            Err(Refusal::Denied(denied)) => Err(denied),
            Ok(plan) => {
                let linked = self.prepared.link(&plan, engine)?;
                Ok(Admitted { plan: Arc::new(plan), linked })
            }
        };
        let decided = Arc::new(Decided { record, outcome, from: now, until });
        *lock(&self.decided) = Some(Arc::clone(&decided));
        Ok(decided)
    }
}

/// That no number of the inputs lost digits on its way: as text of JSON it would be refused, and what a
/// transport made of it is signed as what the client said.
fn exact(inputs: &Map<String, Value>) -> anyhow::Result<()> {
    /// From here on not every whole number is one of this kind.
    const INEXACT: f64 = 18_446_744_073_709_551_615.0;
    let mut open: Vec<&Value> = inputs.values().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Number(number) => {
                let lost = |number: f64| number.fract() == 0.0 && number.abs() >= INEXACT;
                if number.is_f64() && number.as_f64().is_some_and(lost) {
                    let message = "a whole number of the inputs is so large that it would lose digits";
                    let help = "send it as text, if the program takes text";
                    return Err(Failure::usage(Diagnostic::error("invalid_input", message).help(help)));
                }
            }
            Value::Array(items) => open.extend(items),
            Value::Object(members) => open.extend(members.values()),
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }
    Ok(())
}

/// Everything that an operator serves, in the order they named it.
///
/// # Errors
/// As [`Offered::read`], and `policy_needed` for a single tool without a policy that speaks of it.
pub fn served(
    serving: &Serving,
    saved: &Saved,
    places: &Places,
    engine: &Engine,
    progress: &Progress,
) -> anyhow::Result<Vec<Offered>> {
    let mut all = Vec::new();
    for path in project::programs_in(&serving.programs)? {
        let args = ProgramArgs {
            policy: serving.policy.clone(),
            packages: serving.packages.clone(),
            ..ProgramArgs::of(&path)
        };
        all.push(Offered::read(&args, places, engine, progress)?);
    }
    for named in &serving.single {
        all.push(single(named, serving, saved, places, engine, progress)?);
    }
    Ok(all)
}

/// One tool as a program of one step.
fn single(
    named: &str,
    serving: &Serving,
    saved: &Saved,
    places: &Places,
    engine: &Engine,
    progress: &Progress,
) -> anyhow::Result<Offered> {
    if serving.policy.is_none() && places.policy.is_none() {
        let message = format!("the tool {named:?} is to be served, and no policy is named that speaks of it");
        let help = "name one with --policy: what lies around a tool is not asked";
        return Err(Failure::usage(Diagnostic::error("policy_needed", message).help(help)));
    }
    let (folder, function) = match named.rsplit_once(':') {
        Some((folder, function)) if !Path::new(named).exists() => (folder, Some(function)),
        _ => (named, None),
    };
    let folder = Path::new(folder);
    let folder = folder
        .canonicalize()
        .map_err(|error| Failure::io("unreadable_file", "find the tool", folder, &error))?;
    // What it exports is known once it is loaded; until then the program only names it.
    let name = |function: Option<&str>| {
        let tool = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match function {
            Some(function) => format!("{tool}_{function}"),
            None => tool,
        }
        .replace('-', "_")
    };
    let program = |inputs: Value, args: Value| {
        let mut row = json!({ "path": folder });
        if let Some(function) = function {
            row["function"] = function.into();
        }
        json!({
            "name": name(function),
            "inputs": inputs,
            "tools": { "tool": row },
            "steps": [{ "id": "call", "type": "tool", "tool": "tool", "args": args, "is_terminal": true }],
        })
        .to_string()
    };
    let export = export_of(&folder, function, places, engine, progress)?;
    let required = export.input["required"].as_array().cloned().unwrap_or_default();
    let (mut inputs, mut args, mut names) = (Map::new(), Map::new(), HashMap::new());
    for (own, schema) in export.input["properties"].as_object().into_iter().flatten() {
        let input = own.replace('-', "_");
        let mut declared = match schema {
            Value::Object(declared) => declared.clone(),
            _ => Map::new(),
        };
        if !required.iter().any(|name| name == own) {
            declared.insert("default".to_owned(), Value::Null);
        }
        args.insert(own.clone(), format!("${input}").into());
        inputs.insert(input.clone(), Value::Object(declared));
        names.insert(own.clone(), input);
    }
    let text = program(Value::Object(inputs), Value::Object(args));
    let args = ProgramArgs {
        policy: serving.policy.clone(),
        packages: serving.packages.clone(),
        ..ProgramArgs::of(&saved.keep_of_operator(&text)?)
    };
    let mut offered = Offered::read(&args, places, engine, progress)?;
    if let Value::Object(schema) = export.input {
        offered.single = Some(Single { schema, inputs: names });
    }
    Ok(offered)
}

/// The function of a tool that is served.
fn export_of(
    folder: &Path,
    function: Option<&str>,
    places: &Places,
    engine: &Engine,
    progress: &Progress,
) -> anyhow::Result<ToolExport> {
    let found = project::by_path(&folder.join("program.json"), ".")?;
    prepare::build(std::slice::from_ref(&found), places, progress)?;
    let mut warnings = nanohost_core::Diagnostics::new();
    let loaded =
        prepare::component(found.component_path(), &prepare::loading(engine, places, &mut warnings)?)?;
    let exports = &loaded.facts().exports;
    let wanted = function
        .map(str::to_owned)
        .or_else(|| folder.file_name().map(|name| name.to_string_lossy().into_owned()));
    let named = exports.iter().find(|export| Some(&export.function) == wanted.as_ref());
    let only = || if function.is_none() && exports.len() == 1 { exports.first() } else { None };
    named.or_else(only).cloned().ok_or_else(|| {
        let all: Vec<&str> = exports.iter().map(|export| export.function.as_str()).collect();
        let message = format!("{} has the functions {}", folder.display(), all.join(", "));
        let help = format!("say which is to be served: {}:FUNCTION", folder.display());
        Failure::usage(Diagnostic::error("unknown_function", message).help(help))
    })
}

//! `nanohost replay`: makes the calls of a run again, from its evidence and the tools that are here.
//! Nothing real is touched, and nothing is recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use nanohost_core::trace::Trace;
use nanohost_core::{
    Admission, Diagnostic, Diagnostics, Digest, Manifest, Offer, Plan, Refusal, ToolName, admit,
};
use nanohost_sandbox::{Answers, Cancellation, Engine, Loaded, ReplayContext, ReplayTool};

use super::driving::Launch;
use super::{evidence, reopen};
use crate::cli::{ProgramArgs, ReplayArgs};
use crate::console::{self, Console, Progress, Sight};
use crate::failure::{Exit, Failure};
use crate::prepare::{self, Behind};
use crate::project::{self, Places, quoted};
use crate::replay::{self, Calls, Made, Told, Verdict};
use crate::{ledger, signals};

/// One call with what its replay says.
pub struct Replay<'c> {
    /// The call.
    pub made: &'c Made,
    /// What its replay says.
    pub verdict: Verdict,
    /// Fuel that the replay took.
    pub fuel: Option<u64>,
}

/// `nanohost replay`.
pub fn replay(args: &ReplayArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let trace = evidence::verified(&args.evidence, args.trust.as_deref(), places, console)?;
    let sight = Sight::of(args.reveal);
    let progress = Progress::new(!args.json && !args.quiet);
    let mut calls = Calls::of(&trace);
    if let Some(step) = &args.step {
        let known = trace.machine().is_some_and(|run| run.plan().program().index_of(step).is_some());
        if !known {
            let message = format!("the run's program has no step `{}`", console::escaped(step));
            return Err(Failure::usage(Diagnostic::error("unknown_step", message)));
        }
        calls.made.retain(|made| made.step == *step);
        calls.unended.retain(|(unended, _)| unended == step);
    }
    let against = args.against.as_deref().map(|path| against(path, args, &trace, &mut calls)).transpose()?;
    // Of what nothing is left that a call could be made with, no tool has to be here.
    let replays = match calls.made.iter().all(|made| made.erased) {
        true => calls.made.iter().map(gone).collect(),
        false => {
            let engine = Engine::new()?;
            let tools = match &against {
                None => Tools::here(args, &trace, &calls, places, &engine, &progress)?,
                Some(against) => Tools::against(against, args, &trace, places, &engine)?,
            };
            all(&tools, &trace, &calls, against.is_some(), args, &progress)?
        }
    };
    progress.clear();
    let exit = exit(&replays, &calls, args.strict);
    let against = against.map(|against| (against.path, against.tool));
    let told = console::Replayed { trace: &trace, calls: &calls, replays: &replays, against, sight };
    if args.json {
        console.json(&console::replay_json(&told, exit, args.strict))?;
    } else {
        if args.reveal {
            console.note(console::REVEALS);
        }
        console.print(&console::replay(&told, args.strict))?;
    }
    Ok(exit)
}

/// A call that cannot be made again, since what it takes was erased.
fn gone(made: &Made) -> Replay<'_> {
    Replay { made, verdict: Verdict::NotReplayable(ERASED.to_owned()), fuel: None }
}

/// Nothing that was not compared is a success, where nothing was.
fn exit(replays: &[Replay<'_>], calls: &Calls, strict: bool) -> Exit {
    let count = |of: fn(&Verdict) -> bool| replays.iter().filter(|replay| of(&replay.verdict)).count();
    let same = count(|verdict| matches!(verdict, Verdict::Same));
    let unknown = count(|verdict| matches!(verdict, Verdict::NotReplayable(_))) + calls.unended.len();
    if count(|verdict| matches!(verdict, Verdict::Differs { .. })) > 0 {
        Exit::RunFailed
    } else if unknown > 0 && (strict || same == 0) {
        Exit::Truncated
    } else {
        Exit::Success
    }
}

/// Another version of a tool.
struct Against {
    path: PathBuf,
    tool: ToolName,
}

/// Which of the run's tools is meant; only its calls are made again.
fn against(path: &Path, args: &ReplayArgs, trace: &Trace, calls: &mut Calls) -> anyhow::Result<Against> {
    let called: BTreeSet<&ToolName> = calls.made.iter().map(|made| &made.tool).collect();
    let tool = match (&args.tool, called.iter().next()) {
        (Some(name), _) => called.iter().find(|tool| tool.as_str() == name).copied(),
        (None, Some(only)) if called.len() == 1 => Some(*only),
        (None, _) => None,
    };
    let Some(tool) = tool.cloned() else {
        let called = called.iter().map(|tool| tool.as_str()).collect::<Vec<_>>().join(", ");
        let message = match &args.tool {
            Some(name) => format!("run {} made no call of `{}`", trace.run().short(), console::escaped(name)),
            None => "say which of the run's tools it is another version of".to_owned(),
        };
        let help = format!("--tool NAME; it called: {}", if called.is_empty() { "none" } else { &called });
        return Err(Failure::usage(Diagnostic::error("which_tool", message).help(help)));
    };
    calls.made.retain(|made| made.tool == tool);
    calls.unended.retain(|(_, unended)| *unended == tool);
    Ok(Against { path: path.to_owned(), tool })
}

/// What is called again, by local name.
struct Tools(BTreeMap<ToolName, ReplayTool>);

impl Tools {
    /// The tools that are here: the very components that the run called.
    fn here(
        args: &ReplayArgs,
        trace: &Trace,
        calls: &Calls,
        places: &Places,
        engine: &Engine,
        progress: &Progress,
    ) -> anyhow::Result<Self> {
        let then = table(trace)?;
        let place = lies(args, trace);
        let program = Arc::clone(then.program());
        let behind = Behind::of(Arc::clone(&program), Diagnostics::new(), &place, places, engine, progress);
        let behind = behind.map_err(|error| Failure::with_help(error, &where_it_lay(args, trace)))?;
        let policy = project::find(place.policy.as_deref(), &place.program, places)?;
        let offers = prepare::offers(&behind.tools);
        let policies = policy.policies.clone();
        let now = Admission { program, offers, policies, today: ledger::now() };
        let now = admitted(now, |findings| policy.told(findings))?;
        let mut tools = BTreeMap::new();
        let mut others = Diagnostics::new();
        let called: BTreeSet<&ToolName> = calls.made.iter().map(|made| &made.tool).collect();
        for local in called {
            let row = then.row(local).context("every call names a row of the table")?;
            let (Some(tool), Some(own)) = (behind.tools.get(local), now.row(local)) else {
                let message = format!("`{local}` is not here, and the run called it");
                others.push(Diagnostic::error("unknown_tool", message).help(where_it_lay(args, trace)));
                continue;
            };
            if own.component != row.component {
                let path = tool.folder.component_path();
                others.push(other_component(local, row.component, own.component, path, args));
                continue;
            }
            // Nothing real is behind what the run was granted; what it may take of this machine is the
            // local policy's to say.
            let grants = row.grants.within(own.grants.limits());
            tools.insert(local.clone(), linked(engine, &tool.loaded, &grants, &row.export.path(), local)?);
        }
        if others.is_empty() { Ok(Self(tools)) } else { Err(Failure::denied(others)) }
    }

    /// Another version of one tool, with what the run's policies and the local ones grant it.
    fn against(
        against: &Against,
        args: &ReplayArgs,
        trace: &Trace,
        places: &Places,
        engine: &Engine,
    ) -> anyhow::Result<Self> {
        let then = table(trace)?;
        let loaded = prepare::component(&against.path, &prepare::bounded(engine)?)?;
        let mut admission = trace.admission().clone().admission()?;
        let Some(offer) = admission.offers.iter_mut().find(|offer| offer.local == against.tool) else {
            anyhow::bail!("every row of the table comes from an offer");
        };
        *offer = Offer {
            local: against.tool.clone(),
            manifest: manifest(&against.path, &offer.manifest)?,
            facts: loaded.facts().clone(),
            signature: project::signature_of(against.path.parent().unwrap_or(Path::new("")))?,
        };
        let policy = project::find(policy(args, trace).as_deref(), &lies(args, trace).program, places)?;
        let local = Admission {
            program: Arc::clone(then.program()),
            offers: admission.offers.clone(),
            policies: policy.policies.clone(),
            today: ledger::now(),
        };
        let now = admitted(local, |findings| policy.told(findings))?;
        let then = admitted(admission, |findings| findings)?;
        let row = then.row(&against.tool).context("the program calls it")?;
        let own = now.row(&against.tool).context("the program calls it")?;
        let grants = row.grants.within(own.grants.limits());
        let tool = linked(engine, &loaded, &grants, &row.export.path(), &against.tool)?;
        Ok(Self(BTreeMap::from([(against.tool.clone(), tool)])))
    }
}

fn linked(
    engine: &Engine,
    loaded: &Loaded,
    grants: &nanohost_core::Grants,
    export: &str,
    local: &ToolName,
) -> anyhow::Result<ReplayTool> {
    engine.link_replay(loaded, grants, export).map_err(|error| {
        let message = format!("`{local}` cannot be linked: {error}");
        Failure::usage(Diagnostic::error(error.code(), message).help("it has to export what the run called"))
    })
}

/// The table that the run began with.
fn table(trace: &Trace) -> anyhow::Result<&Arc<Plan>> {
    Ok(trace.machine().context("only an admitted run makes calls")?.plan())
}

fn admitted(admission: Admission, told: impl Fn(Diagnostics) -> Diagnostics) -> anyhow::Result<Plan> {
    admit(admission).map_err(|refusal| match refusal {
        Refusal::Invalid(findings) => Failure::usage(findings),
        Refusal::Denied(denied) => Failure::denied(told(denied.diagnostics())),
    })
}

/// Where the run's files lay, where that is said: it is never asked what stands there by now.
fn launch(trace: &Trace) -> Option<Launch> {
    reopen::launch_of(trace).ok()
}

fn policy(args: &ReplayArgs, trace: &Trace) -> Option<PathBuf> {
    args.go_on.policy.clone().or_else(|| launch(trace)?.policy)
}

/// Where the program is taken to lie, for what is looked up near it: what it says comes from the
/// evidence.
fn lies(args: &ReplayArgs, trace: &Trace) -> ProgramArgs {
    let launch = launch(trace);
    let near = |launch: &Launch| launch.program.clone();
    ProgramArgs {
        program: args
            .go_on
            .program
            .clone()
            .or_else(|| launch.as_ref().map(near))
            .unwrap_or_else(|| PathBuf::from(&args.evidence)),
        policy: policy(args, trace),
        tools: args.go_on.tools.clone().or_else(|| launch?.tools),
        // The table of the evidence has the components' own digests.
        locked: false,
        packages: args.go_on.packages.clone(),
        class: trace.admission().class(),
    }
}

/// Where the tools were looked for, for who has them elsewhere.
fn where_it_lay(args: &ReplayArgs, trace: &Trace) -> String {
    let lay = match (&args.go_on.program, launch(trace)) {
        (Some(named), _) => format!("its tools were looked for near {}", named.display()),
        (None, Some(launch)) => format!("the run's program lay at {}", launch.program.display()),
        (None, None) => format!("its tools were looked for near {}", args.evidence),
    };
    format!("{lay}: name where it lies here with --program FILE, or the folder of its tools with --tools DIR")
}

/// The manifest beside a component, else that of the evidence.
fn manifest(component: &Path, recorded: &Manifest) -> anyhow::Result<Manifest> {
    let beside = component.with_file_name(project::MANIFEST);
    if !beside.exists() {
        return Ok(recorded.clone());
    }
    Manifest::parse(project::read_source(&beside, "the manifest")?).map_err(Failure::usage)
}

fn other_component(
    local: &ToolName,
    then: Digest,
    now: Digest,
    path: &Path,
    args: &ReplayArgs,
) -> Diagnostic {
    let message =
        format!("`{local}` is another component than the one that the run called: {now}, and was {then}");
    Diagnostic::error("replay_other_component", message).help(format!(
        "put the run's own component there, or see what the other one makes of its calls: {} replay {} --tool {local} --against {}",
        console::program_name(),
        quoted(Path::new(&args.evidence)),
        quoted(path),
    ))
}

/// Makes every call again, one after the other.
fn all<'c>(
    tools: &Tools,
    trace: &Trace,
    calls: &'c Calls,
    another: bool,
    args: &ReplayArgs,
    progress: &Progress,
) -> anyhow::Result<Vec<Replay<'c>>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let seed = reopen::seed_of(trace).ok();
    let replays = runtime.block_on(async {
        let cancellation = Cancellation::default();
        signals::watch(cancellation.clone());
        let mut replays = Vec::with_capacity(calls.made.len());
        for (at, made) in calls.made.iter().enumerate() {
            if cancellation.is_cancelled() {
                return Err(Failure::host(Diagnostic::error("replay_stopped", "the replay was stopped")));
            }
            if !args.quiet && !args.json {
                progress.detail(&format!("replaying {} ({} of {})", made.step, at + 1, calls.made.len()));
            }
            replays.push(one(tools, trace, made, seed, another, &cancellation).await?);
        }
        Ok(replays)
    });
    runtime.shutdown_background();
    replays
}

/// Why a call cannot be made again, where what it takes is gone.
const ERASED: &str = "erased";

async fn one<'c>(
    tools: &Tools,
    trace: &Trace,
    made: &'c Made,
    seed: Option<[u8; 32]>,
    another: bool,
    cancellation: &Cancellation,
) -> anyhow::Result<Replay<'c>> {
    let not = |why: &str| Ok(Replay { made, verdict: Verdict::NotReplayable(why.to_owned()), fuel: None });
    let plan = table(trace)?;
    let row = plan.row(&made.tool).context("every call names a row of the table")?;
    if let Some(why) = replay::by_chance(&made.end) {
        return not(why);
    }
    if made.erased {
        return Ok(gone(made));
    }
    let Some(input) = &made.input else { return not("its arguments are withheld") };
    let record = match &made.answers {
        Told::Nothing => Answers::default(),
        Told::Withheld => return not("what the world answered to it is withheld"),
        Told::Here(record) => match Answers::parse(record) {
            Ok(record) => record,
            Err(error) => return not(&error.to_string()),
        },
    };
    if let Some(why) = record.incomplete() {
        return not(why);
    }
    let random = row.linked.iter().any(|import| import.starts_with("wasi:random/"));
    let seeded = random && row.grants.random() == nanohost_core::Random::Seeded;
    if seed.is_none() && (seeded || !row.grants.secrets().is_empty()) {
        if trace.is_erased(0, &nanohost_core::Role::SEED) {
            return not(ERASED);
        }
        return not("the run's seed, from which its randomness follows, is withheld");
    }
    let identity = match made.checks {
        true => format!("{}/check/{}", made.tool, made.seq),
        false => format!("{}/{}/{}", made.step, made.place.visit, made.place.attempt),
    };
    let context = ReplayContext {
        idempotency_key: made.key.clone(),
        attempt: made.place.attempt.max(1),
        time: trace.opened(),
        seed: seed.unwrap_or_default(),
        identity,
        cancellation: cancellation.clone(),
    };
    let tool = tools.0.get(&made.tool).context("every tool that is called again is linked")?;
    let recorded = !record.is_empty();
    let replayed = tool.replay(input, context, record).await;
    let fuel = Some(replayed.report.usage.fuel);
    Ok(Replay { made, verdict: replay::compare(made, row.effect, &replayed, recorded, another), fuel })
}

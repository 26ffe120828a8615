//! Calls of tools: the gateway's own and published programs, from arguments to a result of the protocol.
//! While a run goes on its steps are told as progress; a cancelled call stops its run, and one whose
//! connection is gone goes on where its key says how to ask for it again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use nanohost_core::RunId;
use nanohost_sandbox::Cancellation;
use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CreateTaskResult, JsonObject,
    MetaObject, ProgressNotificationParam, Task, TaskStatus,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

use super::META;
use super::server::{Server, blocking, internal};
use super::tools::{Own, is_shown};
use crate::console::{json_text, lines};
use crate::gateway::{Answer, Asked, Caller, Gateway, Going, Resumed, Told};

/// How often a task is worth asking for.
pub(super) const POLL: Duration = Duration::from_secs(1);

/// A client that knows tasks waits no longer for a run: it gets a handle.
const PATIENCE: Duration = Duration::from_secs(2);

/// No more steps wait to be told; those that come faster are left out.
const MAX_TOLD: usize = 64;

/// One call, whatever it is of.
pub(super) async fn call(
    server: &Server,
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let caller = server.caller(&context)?;
    let answered = answer(server, request, caller, context).await;
    let code = match &answered {
        Ok(CallToolResponse::Complete(result)) => {
            result.meta.as_ref().and_then(|meta| meta.get(&format!("{META}code"))).and_then(Value::as_str)
        }
        Ok(_) => None,
        Err(_) => Some("protocol_error"),
    };
    if let Some(code) = code {
        server.metrics().refused(code);
    }
    answered
}

async fn answer(
    server: &Server,
    request: CallToolRequestParams,
    caller: Caller,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let arguments = request.arguments.unwrap_or_default();
    let key = key(&context);
    if let Some(own) = Own::named(&request.name) {
        if own.scope().is_some_and(|scope| !caller.scopes.has(scope)) {
            // It is not listed for this caller either.
            return Err(unknown_tool(&request.name));
        }
        return own_tool(server, own, arguments, caller, context).await;
    }
    let offered = server.gateway.offer(&request.name).filter(|one| is_shown(one, &caller));
    let Some(offered) = offered else { return Err(unknown_tool(&request.name)) };
    let key = match key {
        Ok(key) => key,
        Err(told) => return Ok(refusal(&told, &caller).into()),
    };
    run(server, Asked::Named(offered.name().to_owned()), arguments, key, caller, context).await
}

fn unknown_tool(name: &str) -> ErrorData {
    let shown: String = name.chars().take(64).collect();
    ErrorData::invalid_params(format!("there is no tool {shown:?}"), None)
}

/// The idempotency key of a call, from its metadata.
fn key(context: &RequestContext<RoleServer>) -> Result<Option<String>, Told> {
    /// No key is longer: it is hashed, and shown to nobody.
    const MAX_KEY: usize = 512;
    match context.meta.get(&format!("{META}idempotencyKey")) {
        None => Ok(None),
        Some(Value::String(key)) if (1..=MAX_KEY).contains(&key.len()) => Ok(Some(key.clone())),
        Some(_) => Err(Told::one(
            "invalid_argument",
            format!("`{META}idempotencyKey` is text of 1 to {MAX_KEY} bytes"),
            "leave it out, or give such text",
        )),
    }
}

async fn own_tool(
    server: &Server,
    own: Own,
    arguments: JsonObject,
    caller: Caller,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let arguments = Value::Object(arguments);
    if let Some(why) = server.misfit(own, &arguments) {
        let told = Told::one("invalid_argument", why, format!("see the input schema of `{}`", own.name()));
        return Ok(refusal(&told, &caller).into());
    }
    let text = |key: &str| arguments[key].as_str().map(str::to_owned);
    let needed = |key: &str| text(key).unwrap_or_default();
    let gateway = Arc::clone(&server.gateway);
    let (as_caller, name) = (caller.clone(), needed("name"));
    let (one_run, source, cursor) = (needed("run"), needed("source"), text("cursor"));
    let answered: anyhow::Result<Result<Value, Told>> = match own {
        Own::RunProgram => {
            let asked = match (text("program"), text("source")) {
                (Some(name), _) => Asked::Named(name),
                (None, source) => Asked::Text(source.unwrap_or_default()),
            };
            let key = match text("idempotencyKey") {
                Some(key) => Some(key),
                None => match key(&context) {
                    Ok(key) => key,
                    Err(told) => return Ok(refusal(&told, &caller).into()),
                },
            };
            let inputs = arguments["inputs"].as_object().cloned().unwrap_or_default();
            return run(server, asked, inputs, key, caller, context).await;
        }
        Own::ResumeRun => {
            return resume(server, &arguments, caller, context).await;
        }
        Own::GetTrace => blocking(move || gateway.trace(&one_run, &as_caller)).await,
        Own::GetReceipt => blocking(move || gateway.receipt_of(&one_run, &as_caller)).await,
        Own::VerifyRun => blocking(move || gateway.verify(&one_run, &as_caller)).await,
        Own::ListPrograms => {
            let page = blocking(move || gateway.programs(cursor.as_deref(), &as_caller)).await;
            page.map(|page| Ok(json!({ "programs": page.items, "nextCursor": page.next })))
        }
        Own::ListRuns => {
            let page = blocking(move || gateway.runs(cursor.as_deref(), &as_caller)).await;
            page.map(|page| {
                page.map(|page| {
                    let runs: Vec<Value> = page.items.iter().map(|run| run.to_json()).collect();
                    json!({ "runs": runs, "nextCursor": page.next })
                })
            })
        }
        Own::GetProgram => blocking(move || Ok(gateway.program(&name, &as_caller))).await,
        Own::SaveProgram => blocking(move || Ok(gateway.save(&source, &as_caller))).await,
        Own::DeleteProgram => blocking(move || Ok(gateway.delete(&name, &as_caller))).await,
        Own::CheckProgram => blocking(move || Ok(Ok(Gateway::check(&source)))).await,
    };
    Ok(match answered {
        Ok(Ok(document)) => structured(document, None).into(),
        Ok(Err(told)) => refusal(&told, &caller).into(),
        Err(error) => refusal(&Told::of(&error), &caller).into(),
    })
}

/// A run, from its start to how it ends; or, for a client that knows tasks, to the handle of one.
async fn run(
    server: &Server,
    asked: Asked,
    inputs: Map<String, Value>,
    key: Option<String>,
    caller: Caller,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let gateway = Arc::clone(&server.gateway);
    let as_caller = caller.clone();
    let is_kept = key.is_some();
    let start = move || {
        let offered = match gateway.find(&asked, &as_caller) {
            Ok(offered) => offered,
            Err(told) => return Ok(Begun::Refused(told)),
        };
        Ok(match gateway.start(&offered, inputs, key.as_deref(), &as_caller)? {
            Going::Told(answer) => Begun::Told(answer),
            Going::Run(driving) => Begun::Run(driving),
        })
    };
    drive(server, start, is_kept, caller, context).await
}

/// What beginning a run, or going on with it, came to.
enum Begun {
    Refused(Told),
    Told(Box<Answer>),
    Run(Box<crate::gateway::Driving>),
    Asks(Value),
}

/// What there is to say once the work is done.
enum Done {
    Refused(Told),
    Answer(Box<Answer>),
    Asks(Value),
}

/// Begins a run on a thread of its own and drives it there; tells of its steps meanwhile.
async fn drive(
    server: &Server,
    begin: impl FnOnce() -> anyhow::Result<Begun> + Send + 'static,
    is_kept: bool,
    caller: Caller,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let Some(place) = server.place(&caller) else {
        let told = Told::one("busy", "the gateway is at its limit of runs at once", "ask again later");
        return Ok(refusal(&told, &caller).into());
    };
    let began = Instant::now();
    let gateway = Arc::clone(&server.gateway);
    let cancellation = Cancellation::default();
    let (steps, mut told_steps) = mpsc::channel::<String>(MAX_TOLD);
    let (opened, mut begun) = oneshot::channel::<RunId>();
    let stop = cancellation.clone();
    let runtime = tokio::runtime::Handle::current();
    let mut work = tokio::task::spawn_blocking(move || -> anyhow::Result<Done> {
        let _place = place;
        Ok(match begin()? {
            Begun::Refused(told) => Done::Refused(told),
            Begun::Told(answer) => Done::Answer(answer),
            Begun::Asks(question) => Done::Asks(question),
            Begun::Run(driving) => {
                // Whoever asked may be gone by now.
                let _ = opened.send(driving.id().clone());
                let on_step = |step: &str| {
                    let _ = steps.try_send(step.to_owned());
                };
                Done::Answer(Box::new(gateway.drive(*driving, stop, &on_step, &runtime)?))
            }
        })
    });
    let progress = context.meta.get_progress_token();
    let knows_tasks = context.client_capabilities().is_some_and(|client| client.supports_tasks());
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    let (mut run, mut told, mut is_stopped, mut listens) = (None, 0_u32, false, true);
    let done = loop {
        tokio::select! {
            biased;
            done = &mut work => break done,
            id = &mut begun, if run.is_none() && listens => match id {
                Ok(id) => run = Some(id),
                Err(_) => listens = false,
            },
            step = told_steps.recv(), if progress.is_some() && listens => {
                let (Some(step), Some(token)) = (step, &progress) else { continue };
                told = told.saturating_add(1);
                let mut param = ProgressNotificationParam::new(token.clone(), f64::from(told));
                param.message = Some(format!("running {step}"));
                // A client that does not listen any more misses it.
                let _ = context.peer.notify_progress(param).await;
            }
            () = context.ct.cancelled(), if !is_stopped => {
                is_stopped = true;
                // Who only lost the connection can ask again with the same key.
                if !(is_kept && is_stateless(&context)) {
                    cancellation.cancel();
                }
            }
            () = &mut patience, if knows_tasks && run.is_some() => {
                let Some(run) = &run else { continue };
                return Ok(CallToolResponse::Task(handle(run, TaskStatus::Working)));
            }
        }
    };
    let done = done.map_err(|_| internal())?;
    if let Ok(Done::Answer(answer)) = &done {
        // What clients call their own programs is no label.
        let published = server.gateway.offer(&answer.program).is_some();
        let program = if published { answer.program.as_str() } else { "saved" };
        server.metrics().ran(program, &answer.status, began.elapsed());
    }
    Ok(match done {
        Err(error) => refusal(&Told::of(&error), &caller).into(),
        Ok(Done::Refused(told)) => refusal(&told, &caller).into(),
        Ok(Done::Asks(question)) => structured(json!({ "asks": question, "answer": null }), None).into(),
        Ok(Done::Answer(answer)) if answer.is_suspended() && knows_tasks => {
            CallToolResponse::Task(handle(&answer.run, TaskStatus::Working))
        }
        Ok(Done::Answer(answer)) => result(&answer, &caller).into(),
    })
}

async fn resume(
    server: &Server,
    arguments: &Value,
    caller: Caller,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let text = |key: &str| arguments[key].as_str().map(str::to_owned);
    let (run, token, signature) = (text("run").unwrap_or_default(), text("token"), text("signature"));
    let event = arguments.get("event").cloned();
    let gateway = Arc::clone(&server.gateway);
    let as_caller = caller.clone();
    let begin = move || {
        let resumed = gateway.resume(&run, event, token.as_deref(), signature.as_deref(), &as_caller)?;
        Ok(match resumed {
            Resumed::Asks(question) => Begun::Asks(question.to_json()),
            Resumed::Goes(driving) => Begun::Run(driving),
            Resumed::Refused(told) => Begun::Refused(told),
        })
    };
    match drive(server, begin, true, caller, context).await? {
        CallToolResponse::Complete(result) if result.is_error != Some(true) => {
            Ok(CallToolResponse::Complete(as_resumed(result)))
        }
        other => Ok(other),
    }
}

/// The answer of a run as that of `resume_run`.
fn as_resumed(mut result: CallToolResult) -> CallToolResult {
    let Some(document) = result.structured_content.take() else { return result };
    let document = match document.get("asks") {
        Some(_) => document,
        None => json!({ "asks": null, "answer": document }),
    };
    let mut wrapped = structured(document, result.meta.take());
    wrapped.is_error = result.is_error;
    wrapped
}

/// Whether the connection that is gone was all that there was of the client's asking.
fn is_stateless(context: &RequestContext<RoleServer>) -> bool {
    let parts = context.extensions.get::<http::request::Parts>();
    parts.is_some_and(|parts| !parts.headers.contains_key("mcp-session-id"))
}

/// The handle of a run that goes on or waits: its id.
fn handle(run: &RunId, status: TaskStatus) -> CreateTaskResult {
    let now = crate::ledger::now().to_string();
    let task = Task::new(run.to_string(), status, now.clone(), now)
        .with_poll_interval_ms(POLL.as_millis().try_into().unwrap_or(u64::MAX));
    CreateTaskResult::new(task)
}

/// What a run came to, as a result of the protocol.
pub(super) fn result(answer: &Answer, caller: &Caller) -> CallToolResult {
    let mut meta = MetaObject::new();
    meta.insert(format!("{META}run"), answer.run.to_string().into());
    meta.insert(format!("{META}receipt"), json!(answer.receipt));
    meta.insert(format!("{META}envelopes"), json!({ "count": answer.head.len, "last": answer.head.last }));
    if let Some(told) = &answer.told {
        meta.insert(format!("{META}findings"), told.to_json(caller));
    }
    let mut result = structured(answer.to_json(), Some(meta));
    // Text that a program returns is first what a model reads.
    if let Some(text) = answer.text() {
        result.content.insert(0, ContentBlock::text(lines(text)));
    }
    if answer.is_error() {
        result.is_error = Some(true);
    }
    if let Some(told) = &answer.told {
        result.content.push(ContentBlock::text(told.text(caller)));
    }
    result
}

/// A document, as data and as text.
fn structured(document: Value, meta: Option<MetaObject>) -> CallToolResult {
    let mut result = CallToolResult::success(vec![ContentBlock::text(json_text(&document))]);
    result.structured_content = Some(document);
    result.meta = meta;
    result
}

/// What was not done.
pub(super) fn refusal(told: &Told, caller: &Caller) -> CallToolResult {
    let mut result = CallToolResult::error(vec![ContentBlock::text(told.text(caller))]);
    let mut meta = MetaObject::new();
    meta.insert(format!("{META}code"), told.code().into());
    meta.insert(format!("{META}findings"), told.to_json(caller));
    result.meta = Some(meta);
    result
}

//! The protocol's requests, answered by a gateway. Knows which caller asks from the transport: one for all
//! where the transport has one peer, else who the request was recognised as.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use nanohost_core::RunId;
use rmcp::ErrorData;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, DetailedTask, GetTaskParams, GetTaskResult,
    Implementation, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
    ServerConfig, Task, TaskPayload, TaskStatus,
};
use rmcp::service::{RequestContext, RoleServer};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::metrics::Metrics;
use super::tools::{Own, is_shown, offered};
use super::{call, resources};
use crate::console::Console;
use crate::gateway::{Caller, Gateway, MAX_PAGE};

/// What bounds a gateway as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests that are answered at the same time; more are refused, and may be asked again.
    pub at_once: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { at_once: 256 }
    }
}

/// A gateway as a server of the protocol. Cloned for each connection.
#[derive(Clone)]
pub struct Server {
    pub(super) gateway: Arc<Gateway>,
    /// The only peer of the transport; `None`: each request says who asks.
    alone: Option<Caller>,
    /// Compiled schemas of what the gateway's own tools take, in their order.
    takes: Arc<[Validator]>,
    room: Arc<Semaphore>,
    /// The runs of each principal, and how many one may have: the others keep some room.
    each: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
    share: usize,
    metrics: Arc<Metrics>,
    console: Console,
}

/// What is said to clients when they come.
const INSTRUCTIONS: &str = "nanohost runs programs: state machines fixed before they run, whose tools are sandboxed and hold \
     only what their operator granted. Call a published program as a tool, or `run_program`. Each answer \
     names its run; `get_trace`, `get_receipt` and `verify_run` show the signed evidence of it.";

impl Server {
    /// For a transport with one peer, or for one whose requests say who asks.
    pub fn new(
        gateway: Arc<Gateway>,
        alone: Option<Caller>,
        limits: Limits,
        console: Console,
    ) -> anyhow::Result<Self> {
        let mut takes = Vec::with_capacity(Own::ALL.len());
        for own in Own::ALL {
            let schema = Value::Object(own.input());
            takes.push(jsonschema::draft202012::new(&schema).map_err(|error| anyhow::anyhow!("{error}"))?);
        }
        let room = Arc::new(Semaphore::new(limits.at_once));
        let share = if alone.is_some() { limits.at_once } else { (limits.at_once / 2).max(1) };
        let each = Arc::default();
        Ok(Self { gateway, alone, takes: takes.into(), room, each, share, metrics: Arc::default(), console })
    }

    /// The gateway behind it.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// A place for one run of a caller's, where there is one.
    pub(super) fn place(&self, caller: &Caller) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        // Of principals that run nothing none is kept.
        each.retain(|_, own| own.available_permits() < self.share);
        let own = each.entry(caller.principal.to_string());
        let own = own.or_insert_with(|| Arc::new(Semaphore::new(self.share)));
        let own = Arc::clone(own).try_acquire_owned().ok()?;
        Some((own, Arc::clone(&self.room).try_acquire_owned().ok()?))
    }

    /// What is counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Tells the operator, on standard error.
    pub(super) fn complain(&self, why: &str) {
        self.console.note(why);
    }

    /// Who asks.
    pub(super) fn caller(&self, context: &RequestContext<RoleServer>) -> Result<Caller, ErrorData> {
        if let Some(alone) = &self.alone {
            return Ok(alone.clone());
        }
        let parts = context.extensions.get::<http::request::Parts>();
        parts
            .and_then(|parts| parts.extensions.get::<Caller>())
            .cloned()
            .ok_or_else(|| ErrorData::invalid_request("nobody is known to ask this", None))
    }

    /// What does not fit about the arguments of one of the gateway's own tools.
    pub(super) fn misfit(&self, own: Own, arguments: &Value) -> Option<String> {
        let at = Own::ALL.iter().position(|one| *one == own)?;
        let error = self.takes.get(at)?.iter_errors(arguments).next()?;
        let path = error.instance_path().to_string();
        let place = if path.is_empty() { "the arguments".to_owned() } else { path };
        Some(format!("{place}: {}", error.masked_with("the value")))
    }
}

/// Runs what blocks on the disk where it keeps nobody else waiting.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// A failure that says nothing of this machine.
pub(super) fn internal() -> ErrorData {
    ErrorData::internal_error("the gateway could not answer; its operator finds why in its log", None)
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_resources().enable_tasks().build();
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new("nanohost", env!("CARGO_PKG_VERSION"));
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let caller = self.caller(&context)?;
        let own = Own::ALL.into_iter().filter(|own| own.scope().is_none_or(|scope| caller.scopes.has(scope)));
        let mut all: Vec<_> = own.map(Own::tool).collect();
        all.extend(self.gateway.offered().filter(|one| is_shown(one, &caller)).map(|one| offered(one)));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let cursor = request.and_then(|request| request.cursor);
        if let Some(cursor) = &cursor {
            if !all.iter().any(|tool| tool.name == *cursor) {
                return Err(ErrorData::invalid_params("there is no such place in this list", None));
            }
            all.retain(|tool| *tool.name > **cursor);
        }
        let more = all.len() > MAX_PAGE;
        all.truncate(MAX_PAGE);
        let mut result = ListToolsResult::with_all_items(all);
        result.next_cursor = result.tools.last().filter(|_| more).map(|tool| tool.name.to_string());
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        call::call(self, request, context).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let caller = self.caller(&context)?;
        resources::list(self, request.and_then(|request| request.cursor), caller).await
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let caller = self.caller(&context)?;
        resources::read(self, request.uri, caller).await
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let caller = self.caller(&context)?;
        let gateway = Arc::clone(&self.gateway);
        let id = request.task_id;
        let asked = id.clone();
        let found = blocking(move || gateway.standing(&asked, &caller)).await.map_err(|_| internal())?;
        let Ok((answer, opened)) = found else {
            return Err(ErrorData::invalid_params("there is no such task", None));
        };
        let now = crate::ledger::now().to_string();
        let task = Task::new(id, TaskStatus::Working, opened, now)
            .with_poll_interval_ms(call::POLL.as_millis().try_into().unwrap_or(u64::MAX));
        let (task, payload) = match answer.status.as_str() {
            "running" => (task.with_status_message("running"), TaskPayload::Working),
            "suspended" => {
                (task.with_status_message("suspended: it waits for somebody to answer"), TaskPayload::Working)
            }
            "cancelled" => (task, TaskPayload::Cancelled),
            _ => {
                let result = call::result(&answer, &self.caller(&context)?);
                match serde_json::to_value(result) {
                    Ok(Value::Object(result)) => (task, TaskPayload::Completed { result }),
                    _ => return Err(internal()),
                }
            }
        };
        Ok(GetTaskResult::new(DetailedTask::new(task, payload)))
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let caller = self.caller(&context)?;
        let unknown = || ErrorData::invalid_params("there is no such task", None);
        let run = RunId::new(&request.task_id).map_err(|_| unknown())?;
        let gateway = Arc::clone(&self.gateway);
        let owned = {
            let run = run.clone();
            blocking(move || gateway.is_of(&run, &caller)).await.map_err(|_| internal())?
        };
        if !owned {
            return Err(unknown());
        }
        // One that waits, or is over, is not driven by anybody: nothing is to be stopped.
        self.gateway.cancel(&run);
        Ok(())
    }
}

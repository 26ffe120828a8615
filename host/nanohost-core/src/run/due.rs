//! Which call is due in a lane, if any: schema first, then policy. `next` acts on it, and every
//! record of a call or of its refusal is judged by it. Takes no transition.

use std::sync::Arc;

use serde_json::Value;

use super::event::{Code, Denial, ErrorKind, Failure, Place, Proposal, Retry, Slot};
use super::{IllegalTransition, Lane, Phase, Run, State, at};
use crate::ToolName;
use crate::admit::{ArgsRefused, Misfit, Row};
use crate::check::{LlmStep, StepKind, ToolStep};
use crate::projection::Target;
use crate::template::Unresolved;

/// Arguments nested deeper are refused. Templates and the values they insert could together nest
/// deeper than JSON readers go, and nobody could read back what such a call was made with.
const MAX_ARGS_DEPTH: usize = 100;

/// What is due in a lane that calls something, as far as the values are there.
pub(super) enum Due {
    /// This call; everything about it is admitted.
    Call { tool: ToolName, args: Value, idempotency: Option<String> },
    /// A refusal: nothing is called.
    Denied(Denial),
    /// A failure: nothing is called.
    Failed(Failure),
    /// It takes values that are withheld; `None` where they leave tool or arguments unknown.
    Partly { tool: Option<ToolName>, args: Option<Value> },
    /// No call: the step makes none, or its model has not proposed one.
    Nothing,
}

impl Run {
    /// What is due in a lane that calls something: schema first, then policy. `hand_out` acts on
    /// it, and every record of a call or of its refusal is judged by it.
    pub(super) fn due(&self, lane: &Lane) -> Due {
        match &self.program().step(lane.step).kind {
            StepKind::Tool(call) => self.due_call(call),
            StepKind::Llm(llm) => match &lane.proposal {
                Some(Slot::Known(proposal)) => self.due_proposal(llm, proposal),
                Some(Slot::Withheld) => Due::Partly { tool: None, args: None },
                None => Due::Nothing,
            },
            StepKind::Condition(_) | StepKind::Parallel(_) => Due::Nothing,
        }
    }

    pub(super) fn due_call(&self, call: &ToolStep) -> Due {
        let scope = self.scope();
        let view = self.view(&scope, Target::Tool);
        let args = match call.args.resolve(&view) {
            Ok(args) => Some(args),
            Err(Unresolved::Withheld { .. }) => None,
            Err(error) => return Due::Failed(unresolved(&error)),
        };
        let idempotency = match self.due_key(call) {
            Ok(key) => key,
            Err(failure) => return Due::Failed(failure),
        };
        let Some(row) = self.plan.row(&call.tool) else {
            return Due::Denied(Denial::no_row(Slot::known(call.tool.as_str().into())));
        };
        let Some(args) = args else { return Due::Partly { tool: Some(call.tool.clone()), args: None } };
        match self.check_args(row, &args) {
            Ok(()) => match idempotency {
                Some(idempotency) => Due::Call { tool: call.tool.clone(), args, idempotency },
                None => Due::Partly { tool: Some(call.tool.clone()), args: Some(args) },
            },
            Err(ArgsRefused::Schema { misfits, .. }) => {
                let words: Vec<String> = misfits.iter().map(ToString::to_string).collect();
                let failure = Failure::new(ErrorKind::StepFailed, Code::INVALID_ARGS, Retry::Never);
                Due::Failed(failure.with_message(Slot::known(words.join("; ").into())))
            }
            Err(ArgsRefused::Require { rule, .. }) => {
                Due::Denied(Denial::require(ErrorKind::Authority, rule, Slot::known(args)))
            }
        }
    }

    /// The idempotency value of a call, `None` within where the step has none, and `None` where it is
    /// withheld.
    fn due_key(&self, call: &ToolStep) -> Result<Option<Option<String>>, Failure> {
        let Some(key) = &call.idempotency else { return Ok(Some(None)) };
        match key.resolve(&self.view(&self.scope(), Target::Tool)) {
            Ok(Value::String(key)) if !key.is_empty() => Ok(Some(Some(key))),
            Ok(Value::Null | Value::String(_)) => {
                Err(unresolved(&Unresolved::Absent { reference: "idempotency".to_owned() }))
            }
            Ok(key) => Ok(Some(Some(key.to_string()))),
            Err(Unresolved::Withheld { .. }) => Ok(None),
            Err(error) => Err(unresolved(&error)),
        }
    }

    /// A model's proposal is untrusted intent: the step's list, the table, the schema, the policy.
    pub(super) fn due_proposal(&self, llm: &LlmStep, proposal: &Arc<Value>) -> Due {
        let whole = || Slot::Known(Arc::clone(proposal));
        let Ok(proposed) = Proposal::of_value(proposal) else {
            return Due::Denied(Denial::invalid_proposal(whole()));
        };
        let name = ToolName::new(&proposed.tool).ok();
        let listed = name.as_ref().filter(|name| llm.allowed_tools.contains(name));
        let Some((tool, row)) = listed.and_then(|name| Some((name, self.plan.row(name)?))) else {
            let rule = if listed.is_some() { Denial::NO_ROW } else { Denial::NOT_LISTED };
            return Due::Denied(Denial::injection(rule, Slot::known(proposed.tool.into())));
        };
        match self.check_args(row, &proposed.args) {
            Ok(()) => Due::Call { tool: tool.clone(), args: proposed.args, idempotency: None },
            Err(ArgsRefused::Schema { .. }) => Due::Denied(Denial::invalid_proposal(whole())),
            Err(ArgsRefused::Require { rule, .. }) => {
                Due::Denied(Denial::require(ErrorKind::ToolInjection, rule, whole()))
            }
        }
    }

    /// The plan's judgement of arguments, after a bound of our own.
    pub(super) fn check_args(&self, row: &Row, args: &Value) -> Result<(), ArgsRefused> {
        if deeper_than(args, MAX_ARGS_DEPTH) {
            let problem = format!("nested deeper than {MAX_ARGS_DEPTH} levels");
            let misfits = vec![Misfit { path: String::new(), problem }];
            return Err(ArgsRefused::Schema { tool: row.local.clone(), misfits });
        }
        self.plan.check_args(row, args)
    }

    /// What is due at a place, where something may happen there.
    pub(super) fn due_at(&mut self, place: Place) -> Result<Due, IllegalTransition> {
        self.lane(place)?;
        let State::Active(active) = &self.state else { return Err(IllegalTransition("not active")) };
        Ok(self.due(&active.lanes[at(active, place)]))
    }

    /// The tool of the call that goes on at a place, or that a tool step makes there.
    pub(crate) fn tool_at(&mut self, place: Place) -> Option<ToolName> {
        let begun = self.lane(place).ok()?.calling.clone();
        begun.or_else(|| match &self.program().step(place.step).kind {
            StepKind::Tool(call) => Some(call.tool.clone()),
            _ => None,
        })
    }

    /// Whether the program makes this call at a place now, as far as the values are there.
    pub(crate) fn may_call(
        &mut self,
        place: Place,
        tool: &ToolName,
        args: &Slot,
    ) -> Result<(), IllegalTransition> {
        if self.lane(place)?.phase == Phase::Calling {
            return Err(IllegalTransition("the call has already begun"));
        }
        if let (StepKind::Tool(call), Slot::Known(args)) = (self.kind(place.step)?, args) {
            return self.may_make(call, tool, args);
        }
        let (due_tool, due_args) = match self.due_at(place)? {
            Due::Call { tool, args, .. } => (Some(tool), Some(args)),
            Due::Partly { tool, args } => (tool, args),
            Due::Denied(_) | Due::Failed(_) => {
                return Err(IllegalTransition("the call is not admitted"));
            }
            Due::Nothing => return Err(IllegalTransition("the step calls nothing here")),
        };
        let listed = match self.kind(place.step)? {
            StepKind::Llm(llm) => llm.allowed_tools.contains(tool),
            _ => true,
        };
        let same_args = match (args, &due_args) {
            (Slot::Known(args), Some(due)) => **args == *due,
            _ => true,
        };
        if due_tool.is_some_and(|due| due != *tool) || !listed || !same_args {
            return Err(IllegalTransition("the call is not the one the program makes"));
        }
        let row = self.plan.row(tool).ok_or(IllegalTransition("the table has no row for the tool"))?;
        if let (Slot::Known(args), None) = (args, due_args)
            && self.check_args(row, args).is_err()
        {
            return Err(IllegalTransition("the arguments are not admitted"));
        }
        Ok(())
    }
}

impl Run {
    /// [`Run::may_call`] for a tool step whose arguments are known: they are compared where they
    /// are, rather than made a second time.
    fn may_make(&self, call: &ToolStep, tool: &ToolName, args: &Value) -> Result<(), IllegalTransition> {
        if call.tool != *tool || !call.args.fits(&self.view(&self.scope(), Target::Tool), args) {
            return Err(IllegalTransition("the call is not the one the program makes"));
        }
        let row = self.plan.row(tool).ok_or(IllegalTransition("the table has no row for the tool"))?;
        if self.due_key(call).is_err() || self.check_args(row, args).is_err() {
            return Err(IllegalTransition("the call is not admitted"));
        }
        Ok(())
    }
}

/// The failure of a step whose templates have no value.
pub(super) fn unresolved(error: &Unresolved) -> Failure {
    match error {
        Unresolved::TooLarge => Failure::new(ErrorKind::StepFailed, Code::TEXT_TOO_LARGE, Retry::Never),
        Unresolved::Absent { .. } | Unresolved::Withheld { .. } => {
            Failure::new(ErrorKind::UnresolvedReference, Code::UNRESOLVED, Retry::Never)
        }
    }
}

/// Whether lists and objects lie deeper within one another than `levels`.
fn deeper_than(value: &Value, levels: usize) -> bool {
    let nests = |value: &&Value| matches!(value, Value::Array(_) | Value::Object(_));
    let mut open = Vec::new();
    let mut next = Some((value, 0)).filter(|(value, _)| nests(value));
    while let Some((value, depth)) = next {
        if depth >= levels {
            return true;
        }
        match value {
            Value::Array(items) => open.extend(items.iter().filter(nests).map(|item| (item, depth + 1))),
            Value::Object(fields) => {
                open.extend(fields.values().filter(nests).map(|field| (field, depth + 1)));
            }
            _ => {}
        }
        next = open.pop();
    }
    false
}

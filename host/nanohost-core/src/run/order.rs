//! The order rules: what follows a step, attempts, blocks, budgets and stalls.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::event::{Code, End, ErrorKind, Failure, Place, Retry, Slot, Status};
use super::record::{StepRecord, StepStatus};
use super::suspension::{Suspension, SuspensionCause};
use super::{Active, Entry, IllegalTransition, Lane, Phase, Run, State, at, either};
use crate::check::{Follow, OnError, StepIndex, StepKind};

impl Run {
    pub(super) fn decided(&mut self, place: Place, taken: Option<bool>) -> Result<(), IllegalTransition> {
        let guard = match self.kind(place.step)? {
            StepKind::Condition(guard) => guard,
            _ => return Err(IllegalTransition("the step decides nothing")),
        };
        match guard.condition.evaluate(&self.scope()) {
            Err(crate::condition::EvalError::Withheld) => {}
            result if result.as_ref().ok().copied() == taken => {}
            _ => return Err(IllegalTransition("the guard goes the other way")),
        }
        let target = match taken {
            Some(true) => guard.then,
            Some(false) => guard.otherwise,
            None => None,
        };
        let lane = self.lane(place)?;
        let (visit, started) = (lane.visit, lane.started);
        let mut record = StepRecord::new(place.step, visit, started, self.now);
        match (taken, target) {
            (Some(_), Some(target)) => {
                let id = self.program().step(target).id.as_str().to_owned();
                record.status = StepStatus::Success;
                record.output = Slot::known(id.into());
                self.commit_record(record);
                if !self.stalled() {
                    self.enter(target, Entry::Branch);
                }
            }
            (Some(_), None) => {
                self.fail_run(record, Failure::new(ErrorKind::NoBranchTarget, Code::NO_BRANCH, Retry::Never));
            }
            (None, _) => {
                self.fail_run(record, Failure::new(ErrorKind::ConditionError, Code::CONDITION, Retry::Never));
            }
        }
        Ok(())
    }

    pub(super) fn succeed(
        &mut self,
        place: Place,
        output: Slot,
        substituted: bool,
        recorded: bool,
    ) -> Result<(), IllegalTransition> {
        let now = self.now;
        let lane = self.lane(place)?;
        let mut record = lane.record(now);
        record.proposal = lane.proposal.take();
        record.status = StepStatus::Success;
        record.output = output;
        record.substituted = substituted;
        record.recorded = recorded;
        self.lane_done(place, record);
        Ok(())
    }

    /// One attempt failed: again, skipped, or the end.
    pub(super) fn attempt_failed(&mut self, place: Place, failure: Failure) -> Result<(), IllegalTransition> {
        let now = self.now;
        let on_error = self.program().step(place.step).on_error;
        let lane = self.lane(place)?;
        let made = lane.attempt - lane.before_round;
        if let OnError::Retry { attempts } = on_error
            && failure.may_be_retried()
            && made < attempts.get()
        {
            lane.attempt += 1;
            lane.proposal = None;
            lane.calling = None;
            self.tally.retries += 1;
            self.hand_back(place);
            return Ok(());
        }
        let mut record = lane.record(now);
        record.status = match on_error {
            OnError::Skip if failure.may_be_skipped() => StepStatus::Skipped,
            _ => StepStatus::Failed,
        };
        record.error = Some(failure);
        self.lane_done(place, record);
        Ok(())
    }

    /// Puts a lane back among those that may be handed out.
    pub(super) fn hand_back(&mut self, place: Place) {
        let State::Active(active) = &mut self.state else { return };
        let at = at(active, place);
        let lane = &mut active.lanes[at];
        if matches!(lane.phase, Phase::Handed | Phase::Calling) {
            active.busy = active.busy.saturating_sub(1);
        }
        lane.phase = Phase::Ready;
        active.ready.push_back(at);
    }

    pub(super) fn lane_done(&mut self, place: Place, record: StepRecord) {
        let State::Active(active) = &mut self.state else { return };
        if active.step == place.step {
            let entry = active.entry;
            self.complete(record, entry);
            return;
        }
        let at = at(active, place);
        let lane = &mut active.lanes[at];
        if matches!(lane.phase, Phase::Handed | Phase::Calling) {
            active.busy = active.busy.saturating_sub(1);
        }
        if let Some(failure) = &record.error
            && failure.kind.is_authority()
            && record.status == StepStatus::Failed
        {
            active.halted = Some(failure.kind);
        }
        lane.phase = Phase::Done(Box::new(record));
        active.unfinished -= 1;
    }

    /// The end of a parallel block: sub-steps in declaration order, then the block.
    pub(super) fn join(&mut self, step: StepIndex) -> Result<(), IllegalTransition> {
        let on_error = match self.program().steps().get(step.0 as usize) {
            Some(step) => step.on_error,
            None => return Err(IllegalTransition("no such step")),
        };
        let now = self.now;
        let State::Active(active) = &mut self.state else {
            return Err(IllegalTransition("no block is being executed"));
        };
        let calling = active.lanes.iter().any(|lane| lane.phase == Phase::Calling);
        let is_block = active.step == step && active.lanes[0].step != step;
        if !is_block || calling || active.unfinished > 0 && active.halted.is_none() {
            return Err(IllegalTransition("the block has not ended"));
        }
        let failed =
            |lane: &Lane| matches!(&lane.phase, Phase::Done(record) if record.status == StepStatus::Failed);
        let any_failed = active.lanes.iter().any(failed);
        // One lane that cannot pass fails the block, whatever the others would do.
        let may_pass = active.lanes.iter().all(|lane| match &lane.phase {
            Phase::Done(record) if failed(lane) => record.error.as_ref().is_some_and(Failure::may_be_retried),
            _ => true,
        });
        let doubtful = |lane: &&Lane| match &lane.phase {
            Phase::Done(record) => {
                record.error.as_ref().is_some_and(|error| error.kind == ErrorKind::InDoubt)
            }
            _ => false,
        };
        // Nothing of the block is over while a call of it is in doubt.
        if let Some(lane) = active.lanes.iter().find(|lane| doubtful(lane) && !lane.settled) {
            let step = lane.step;
            self.wait(Suspension { step, cause: SuspensionCause::InDoubt, since: now });
            return Ok(());
        }
        let doubt_failed = active.lanes.iter().any(|lane| doubtful(&lane));
        if let OnError::Retry { attempts } = on_error
            && any_failed
            && may_pass
            && active.halted.is_none()
            && active.round < attempts.get()
        {
            active.round += 1;
            for (at, lane) in active.lanes.iter_mut().enumerate() {
                if failed(lane) {
                    lane.before_round = lane.attempt;
                    lane.attempt += 1;
                    lane.proposal = None;
                    lane.calling = None;
                    lane.phase = Phase::Ready;
                    active.ready.push_back(at);
                    active.unfinished += 1;
                    self.tally.retries += 1;
                }
            }
            return Ok(());
        }

        let halted = active.halted;
        let entry = active.entry;
        let mut block = StepRecord::new(step, self.visits[step.0 as usize], active.started, now);
        block.retries = active.round - 1;
        let lanes = std::mem::take(&mut active.lanes);
        let mut output = Some(Map::with_capacity(lanes.len()));
        let mut changed = Some(false);
        let mut unsettled = false;
        for lane in lanes {
            let Phase::Done(mut record) = lane.phase else { continue };
            let sub = self.plan.program().step(record.step);
            let value = match (record.status, on_error) {
                (StepStatus::Failed, OnError::Skip) if halted.is_none() && !doubt_failed => {
                    record.status = StepStatus::Skipped;
                    Slot::null()
                }
                (StepStatus::Failed, _) => {
                    unsettled = true;
                    record.output.clone()
                }
                _ => record.output.clone(),
            };
            output = match (output, value) {
                (Some(mut map), Slot::Known(value)) => {
                    map.insert(sub.id.as_str().to_owned(), (*value).clone());
                    Some(map)
                }
                _ => None,
            };
            changed =
                either(changed, self.values.store(self.plan.program(), &record, sub.output_key.as_deref()));
            self.records.push(*record);
        }
        block.output = output.map_or(Slot::Withheld, |map| Slot::known(Value::Object(map)));
        if doubt_failed {
            block.output = Slot::null();
            self.fail_run(block, Failure::new(ErrorKind::InDoubt, Code::SETTLED_AS_FAILED, Retry::Never));
        } else if let Some(kind) = halted {
            block.output = Slot::null();
            self.fail_run(block, Failure::new(kind, Code::AUTHORITY, Retry::Never));
        } else if unsettled {
            block.output = Slot::null();
            self.fail_run(
                block,
                Failure::new(ErrorKind::ParallelFailed, Code::PARALLEL_FAILED, Retry::Never),
            );
        } else {
            block.status = if any_failed { StepStatus::Skipped } else { StepStatus::Success };
            self.complete_with(block, entry, changed);
        }
        Ok(())
    }

    /// A step is over: keep its record, then go where the order rules say.
    pub(super) fn complete(&mut self, record: StepRecord, entry: Entry) {
        self.complete_with(record, entry, Some(false));
    }

    pub(super) fn complete_with(&mut self, mut record: StepRecord, entry: Entry, changed: Option<bool>) {
        if record.status == StepStatus::Failed {
            let failure = record.error.take();
            let failure = failure
                .unwrap_or_else(|| Failure::new(ErrorKind::StepFailed, Code::STEP_FAILED, Retry::Never));
            self.fail_run(record, failure);
            return;
        }
        let step = record.step;
        let succeeded = record.status == StepStatus::Success;
        if succeeded {
            self.final_output = Some(record.output.clone());
            let outcome = self.program().step(step).outcome.clone();
            self.outcome = outcome.or(self.outcome.take());
        }
        self.commit_record_with(record, changed);
        if self.stalled() {
            return;
        }
        match self.program().step(step).follow {
            Follow::Terminal => self.state = State::Closing(End::success()),
            Follow::Jump(target) => self.enter(target, Entry::Other),
            Follow::Sequence(Some(target)) if entry == Entry::Other => self.enter(target, Entry::Other),
            Follow::Sequence(_) => self.state = State::Closing(End::success()),
        }
    }

    pub(super) fn commit_record(&mut self, record: StepRecord) {
        self.commit_record_with(record, Some(false));
    }

    /// Keeps a record, its named values, and the counts.
    pub(super) fn commit_record_with(&mut self, record: StepRecord, changed: Option<bool>) {
        let output_key = self.plan.program().step(record.step).output_key.as_deref();
        let changed = either(changed, self.values.store(self.plan.program(), &record, output_key));
        self.tally.steps += 1;
        match changed {
            _ if self.tally.steps == 1 => {}
            Some(true) => {
                self.tally.stalled = 0;
                self.tally.stalled_at_most = 0;
            }
            Some(false) => {
                self.tally.stalled += 1;
                self.tally.stalled_at_most += 1;
            }
            None => {
                self.tally.stalled = 0;
                self.tally.stalled_at_most += 1;
            }
        }
        self.records.push(record);
    }

    /// Ends the run where too many steps in a row changed nothing.
    pub(super) fn stalled(&mut self) -> bool {
        let stalled =
            self.program().budgets().max_stalled_steps.is_some_and(|max| self.tally.stalled >= max.get());
        if stalled {
            self.state = State::Closing(End::of(Status::Stalled, ErrorKind::Stalled));
        }
        stalled
    }

    pub(super) fn fail_run(&mut self, mut record: StepRecord, failure: Failure) {
        let status = if failure.kind == ErrorKind::Cancelled { Status::Cancelled } else { Status::Failed };
        let end = End { status, error: Some(failure.kind), step: Some(record.step) };
        record.status = StepStatus::Failed;
        record.error = Some(failure);
        self.tally.steps += 1;
        self.records.push(record);
        self.state = State::Closing(end);
    }

    /// The budget check that every step passes, then its lanes.
    pub(super) fn enter(&mut self, step: StepIndex, entry: Entry) {
        let budgets = self.program().budgets();
        let spent = |max: Option<std::num::NonZeroU64>, used: u64| max.is_some_and(|max| used >= max.get());
        let tokens = self.tally.tokens.saturating_add(self.tally.estimated_tokens);
        let wall = self.now.millis_since(self.opened).saturating_sub(self.tally.suspended_ms);
        let over = if spent(budgets.max_steps, self.tally.steps) {
            Some(ErrorKind::BudgetMaxSteps)
        } else if spent(budgets.max_tokens, tokens) {
            Some(ErrorKind::BudgetMaxTokens)
        } else if budgets.max_wall.is_some_and(|max| u128::from(wall) >= max.as_millis()) {
            Some(ErrorKind::BudgetMaxWall)
        } else {
            None
        };
        if let Some(kind) = over {
            self.state = State::Closing(End::of(Status::BudgetExceeded, kind));
            return;
        }
        let plan = Arc::clone(&self.plan);
        let (started, visits) = (self.now, &mut self.visits);
        let mut lane = |step: StepIndex| {
            let visit = &mut visits[step.0 as usize];
            *visit += 1;
            Lane {
                step,
                visit: *visit,
                attempt: 1,
                before_round: 0,
                denied: 0,
                refused_by: None,
                phase: Phase::Ready,
                started,
                proposal: None,
                calling: None,
                settled: false,
            }
        };
        let lanes: Vec<Lane> = match &plan.program().step(step).kind {
            StepKind::Parallel(block) => {
                let lanes = block.steps.iter().map(|sub| lane(*sub)).collect();
                visits[step.0 as usize] += 1;
                lanes
            }
            _ => vec![lane(step)],
        };
        self.state = State::Active(Active {
            step,
            entry,
            started,
            round: 1,
            ready: (0..lanes.len()).collect(),
            busy: 0,
            unfinished: lanes.len(),
            halted: None,
            lanes,
        });
    }
}

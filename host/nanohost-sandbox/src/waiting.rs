//! `wasi:io/poll`: which of several things that a guest waits for comes first is the world's answer
//! too, wherever it waits for the world. Knows nothing of what is waited for.

use wasmtime::Result;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::io::poll::{self, Host, HostPollable};

use crate::answering::{Answering, Diverged};
use crate::answers::Entry;
use crate::state::State;

/// Adds the interface.
pub(crate) fn link(linker: &mut Linker<State>) -> Result<()> {
    poll::add_to_linker::<State, Waiting>(linker, |state| View {
        table: &mut state.table,
        answering: state.waits_for_world.then_some(&state.answering),
    })
}

struct Waiting;

impl HasData for Waiting {
    type Data<'a> = View<'a>;
}

struct View<'a> {
    table: &'a mut ResourceTable,
    /// Where it matters what comes first.
    answering: Option<&'a Answering>,
}

impl Host for View<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        // Of one there is no first.
        let Some(answering) = self.answering.filter(|_| pollables.len() > 1) else {
            return Host::poll(self.table, pollables).await;
        };
        if !answering.is_recorded() {
            let ready = Host::poll(self.table, pollables).await?;
            answering.tell(Entry::Poll { ready: ready.clone() });
            return Ok(ready);
        }
        let Some((_, Entry::Poll { ready })) = answering.ask(&Entry::Poll { ready: Vec::new() }) else {
            wasmtime::bail!("the record has no answer");
        };
        for at in &ready {
            let Some(pollable) = usize::try_from(*at).ok().and_then(|at| pollables.get(at)) else {
                answering.diverge(Diverged::Record, "poll", None);
                wasmtime::bail!("the record has no answer");
            };
            // Waiting moves a virtual clock, as it did then.
            HostPollable::block(self.table, Resource::new_borrow(pollable.rep())).await?;
        }
        Ok(ready)
    }
}

impl HostPollable for View<'_> {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> Result<bool> {
        let Some(answering) = self.answering else { return HostPollable::ready(self.table, pollable).await };
        if !answering.is_recorded() {
            let ready = HostPollable::ready(self.table, pollable).await?;
            answering.tell(Entry::Ready { ready });
            return Ok(ready);
        }
        let Some((_, Entry::Ready { ready })) = answering.ask(&Entry::Ready { ready: false }) else {
            wasmtime::bail!("the record has no answer");
        };
        if ready {
            HostPollable::block(self.table, pollable).await?;
        }
        Ok(ready)
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        HostPollable::block(self.table, pollable).await
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        HostPollable::drop(self.table, pollable)
    }
}

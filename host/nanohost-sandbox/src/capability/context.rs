//! `nanohost:tool/call-context`: what the host says about the call. It carries no authority.

use wasmtime::Result;
use wasmtime::component::Linker;

use crate::bindings::nanohost::tool::call_context;
use crate::state::{Field, State};

/// What a guest can read about its call.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) idempotency_key: String,
    pub(crate) attempt: u32,
}

/// Adds the interface.
pub(crate) fn link(linker: &mut Linker<State>) -> Result<()> {
    call_context::add_to_linker::<State, Field<Context>>(linker, |state| &mut state.context)
}

impl call_context::Host for Context {
    fn idempotency_key(&mut self) -> Result<String> {
        Ok(self.idempotency_key.clone())
    }

    fn attempt(&mut self) -> Result<u32> {
        Ok(self.attempt)
    }
}

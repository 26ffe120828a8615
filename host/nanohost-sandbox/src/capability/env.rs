//! `wasi:cli/environment`: the granted variables with the values of the grant, no arguments, no
//! working directory. Never the host's own environment.

use nanohost_core::{Class, EnvGrant};
use wasmtime::Result;
use wasmtime::component::Linker;
use wasmtime_wasi::p2::bindings::cli::environment;

use crate::record::Recorder;
use crate::state::{Field, State};

/// The variables of one call.
pub(crate) struct Variables {
    grants: Vec<EnvGrant>,
    recorder: Recorder,
}

impl Variables {
    pub(crate) fn new(grants: &[EnvGrant], recorder: Recorder) -> Self {
        Self { grants: grants.to_vec(), recorder }
    }
}

/// Adds the interface.
pub(crate) fn link(linker: &mut Linker<State>) -> Result<()> {
    environment::add_to_linker::<State, Field<Variables>>(linker, |state| &mut state.variables)
}

impl environment::Host for Variables {
    fn get_environment(&mut self) -> Result<Vec<(String, String)>> {
        let variables = self.grants.iter().map(|grant| {
            self.recorder.operation(Class::Env, &grant.name);
            self.recorder.read(Class::Env, &grant.name, grant.value.len());
            (grant.name.clone(), grant.value.clone())
        });
        Ok(variables.collect())
    }

    fn get_arguments(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> Result<Option<String>> {
        Ok(None)
    }
}

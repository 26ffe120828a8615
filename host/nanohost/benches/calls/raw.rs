//! wasmtime alone: a fresh instance from the pool and one typed call, without limits, clocks, JSON
//! or records. What the others are held against.

use ed25519_dalek::{Signer as _, SigningKey};
use nanohost_core::Digest;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};

use crate::{Failure, echo};

/// The echo, ready to be instantiated.
pub(crate) struct Raw {
    engine: Engine,
    instance: InstancePre<()>,
    index: ComponentExportIndex,
}

impl Raw {
    pub(crate) fn new() -> Result<Self, Failure> {
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(PoolingAllocationConfig::new()));
        let engine = Engine::new(&config)?;
        let component = Component::from_binary(&engine, &echo::component()?)?;
        let index = component.get_export_index(None, "echo").ok_or("it exports echo")?;
        let instance = Linker::new(&engine).instantiate_pre(&component)?;
        Ok(Self { engine, instance, index })
    }

    /// One call in an instance of its own.
    pub(crate) fn call(&self, text: &str) -> Result<String, Failure> {
        let mut store = Store::new(&self.engine, ());
        let instance = self.instance.instantiate(&mut store)?;
        let echo = instance.get_typed_func::<(&str,), (String,)>(&mut store, self.index)?;
        Ok(echo.call(&mut store, (text,))?.0)
    }
}

/// What evidence cannot do without: a digest of what went in and of what came out, one of the
/// statement, and a signature over it.
pub(crate) fn sealed(signer: &SigningKey, input: &str, output: &str) -> Vec<u8> {
    let (input, output) = (Digest::of(input.as_bytes()), Digest::of(output.as_bytes()));
    // As long as the statement of a call is.
    let mut statement = format!("{input}{output}").into_bytes();
    statement.resize(1536, b' ');
    let digest = Digest::of(&statement);
    statement.extend(signer.sign(digest.as_bytes()).to_bytes());
    statement
}

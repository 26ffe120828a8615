//! From bytes to a compiled component and the facts about it. Every judgement about a component
//! is made of one buffer: its digest, its facts and its code. Knows no grant.

use std::sync::Arc;

use nanohost_core::{Digest, Import, ToolExport, ToolFacts};
use wasmparser::{Encoding, Parser, Payload};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex};

use crate::code_cache::CodeSource;
use crate::compiler::CompileLimits;
use crate::engine::{Engine, MAX_CORE_INSTANCES};
use crate::schema;
use crate::shape::Signature;

/// Components are small: 14 KiB for a plain Rust tool, 18 MB for one with a whole Python in it.
/// Compiling is attackable by size alone.
pub(crate) const MAX_COMPONENT: usize = 32 << 20;

/// Functions of all modules together; the largest known tools (an interpreter inside) have about
/// 30,000. Each costs the compiler time however short it is.
const MAX_FUNCTIONS: u32 = 100_000;

/// Bytes of one function: some passes of the compiler take more than linear time in it.
const MAX_FUNCTION: usize = 1 << 20;

/// Modules and components inside, nested ones included.
const MAX_MODULES: u32 = 200;

/// A component that cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The bytes are not WebAssembly, or end before the component does.
    #[error("not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// The bytes are a core module, as built for `wasm32-wasip1` or `wasm32-unknown-unknown`.
    #[error("a core WebAssembly module, not a component: build it with `--target wasm32-wasip2`")]
    IsCoreModule,
    /// It is beyond a bound.
    #[error("the component has {found} {what}, more than {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much there may be.
        limit: u64,
    },
    /// The engine does not accept it.
    #[error("the component does not compile: {0}")]
    CompileFailed(String),
    /// Compiling it took more than it may.
    #[error("compiling the component took more than {0}")]
    CompileLimit(CompileLimits),
    /// The process that compiles did not do its work; not the component's doing.
    #[error("the component was not compiled: {0}")]
    CompilerFailed(String),
}

impl LoadError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAComponent(_) => "not_a_component",
            Self::IsCoreModule => "is_core_module",
            Self::TooLarge { .. } => "too_large",
            Self::CompileFailed(_) => "compile_failed",
            Self::CompileLimit(_) => "compile_limit",
            Self::CompilerFailed(_) => "compiler_failed",
        }
    }
}

/// An exported function that cannot be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedExport {
    /// `interface#function`, or the bare function.
    pub path: String,
    /// Why not.
    pub reason: String,
}

/// A compiled component with what is known about it. It has no authority and cannot be called.
#[derive(Clone)]
pub struct Loaded {
    pub(crate) component: Component,
    pub(crate) functions: Arc<[Function]>,
    facts: Arc<ToolFacts>,
    unsupported: Arc<[UnsupportedExport]>,
    code: CodeSource,
}

/// One callable export.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) path: String,
    pub(crate) index: ComponentExportIndex,
    pub(crate) signature: Arc<Signature>,
}

impl Loaded {
    /// What exactly this component is.
    pub fn facts(&self) -> &ToolFacts {
        &self.facts
    }

    /// Exported functions that cannot be called, with the reason.
    pub fn unsupported(&self) -> &[UnsupportedExport] {
        &self.unsupported
    }

    /// Where its code came from.
    pub fn code(&self) -> CodeSource {
        self.code
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("component", &self.facts.component).finish_non_exhaustive()
    }
}

impl Engine {
    /// Compiles a component, or takes the code that the engine's cache has for exactly these bytes;
    /// the bounds are checked in either case. Compiling takes as long as the component is large
    /// (seconds for some megabytes) and blocks: call it where blocking is fine.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(&self, bytes: &Arc<[u8]>) -> Result<Loaded, LoadError> {
        bounded(bytes)?;
        let digest = Digest::of(bytes);
        let compile = || match &self.compiler {
            Some(compiler) => compiler.component(&self.wasmtime, bytes),
            None => Component::from_binary(&self.wasmtime, bytes)
                .map_err(|error| LoadError::CompileFailed(escaped(&format!("{error:#}")))),
        };
        let (component, code) = match &self.code_cache {
            Some(cache) => cache.component(self, &digest, compile)?,
            None => (compile()?, CodeSource::Compiled),
        };
        let ty = component.component_type();
        let mut imports: Vec<_> = ty
            .imports(&self.wasmtime)
            .map(|(name, item)| Import {
                name: name.to_owned(),
                functions: self.import_functions(name, &item.ty),
            })
            .collect();
        imports.sort();

        let mut exports = Exports { component: &component, callable: Vec::new(), unsupported: Vec::new() };
        for (name, item) in ty.exports(&self.wasmtime) {
            match item.ty {
                ComponentItem::ComponentFunc(function) => exports.add(None, None, name, &function),
                ComponentItem::ComponentInstance(instance) => {
                    let parent = component.get_export_index(None, name);
                    for (function, item) in instance.exports(&self.wasmtime) {
                        if let ComponentItem::ComponentFunc(ty) = item.ty {
                            exports.add(Some(name), parent.as_ref(), function, &ty);
                        }
                    }
                }
                // Types are not called; modules and components are not instantiated.
                _ => {}
            }
        }
        let Exports { mut callable, unsupported, .. } = exports;
        callable.sort_by_key(|(export, _)| export.path());
        let (exports, functions): (Vec<_>, Vec<_>) = callable.into_iter().unzip();
        let facts = ToolFacts { component: digest, size: bytes.len() as u64, imports, exports };
        Ok(Loaded {
            component,
            functions: functions.into(),
            facts: Arc::new(facts),
            unsupported: unsupported.into(),
            code,
        })
    }

    fn import_functions(&self, name: &str, item: &ComponentItem) -> Vec<String> {
        match item {
            ComponentItem::ComponentFunc(_) => vec![name.to_owned()],
            ComponentItem::ComponentInstance(instance) => {
                let functions = instance.exports(&self.wasmtime);
                let mut names: Vec<_> = functions
                    .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
                    .map(|(name, _)| name.to_owned())
                    .collect();
                names.sort();
                names
            }
            _ => Vec::new(),
        }
    }
}

struct Exports<'a> {
    component: &'a Component,
    callable: Vec<(ToolExport, Function)>,
    unsupported: Vec<UnsupportedExport>,
}

impl Exports<'_> {
    fn add(
        &mut self,
        interface: Option<&str>,
        parent: Option<&ComponentExportIndex>,
        function: &str,
        ty: &wasmtime::component::types::ComponentFunc,
    ) {
        let path = match interface {
            Some(interface) => format!("{interface}#{function}"),
            None => function.to_owned(),
        };
        // `[method]file.read` and the like need a resource to be called on.
        let signature = if function.starts_with('[') {
            Err("it belongs to a resource".to_owned())
        } else {
            Signature::of(ty).map_err(|error| error.to_string())
        };
        match (signature, self.component.get_export_index(parent, function)) {
            (Ok(signature), Some(index)) => {
                let export = ToolExport {
                    function: function.to_owned(),
                    interface: interface.map(str::to_owned),
                    input: schema::input(&signature),
                    output: schema::output(&signature),
                };
                self.callable.push((export, Function { path, index, signature: Arc::new(signature) }));
            }
            (Ok(_), None) => {
                self.unsupported
                    .push(UnsupportedExport { path, reason: "the engine does not find it".to_owned() });
            }
            (Err(reason), _) => self.unsupported.push(UnsupportedExport { path, reason }),
        }
    }
}

/// Reads through the sections, without compiling anything, and refuses what is beyond a bound.
fn bounded(bytes: &[u8]) -> Result<(), LoadError> {
    within("bytes", bytes.len() as u64, MAX_COMPONENT as u64)?;
    let garbage = |error: &wasmparser::BinaryReaderError| {
        LoadError::NotAComponent(format!("{} at byte {}", escaped(error.message()), error.offset()))
    };
    let (mut functions, mut modules, mut instances) = (0u32, 0u32, 0u32);
    for (index, payload) in Parser::new(0).parse_all(bytes).enumerate() {
        match payload.map_err(|error| garbage(&error))? {
            Payload::Version { encoding: Encoding::Module, .. } if index == 0 => {
                return Err(LoadError::IsCoreModule);
            }
            Payload::Version { .. } => {
                modules += 1;
                within("modules", modules.into(), MAX_MODULES.into())?;
            }
            Payload::InstanceSection(section) => {
                instances = instances.saturating_add(section.count());
                within("core instances", instances.into(), (4 * MAX_CORE_INSTANCES).into())?;
            }
            Payload::CodeSectionStart { count, .. } => {
                functions = functions.saturating_add(count);
                within("functions", functions.into(), MAX_FUNCTIONS.into())?;
            }
            Payload::CodeSectionEntry(body) => {
                let size = body.range().end - body.range().start;
                within("bytes in one function", size as u64, MAX_FUNCTION as u64)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn within(what: &'static str, found: u64, limit: u64) -> Result<(), LoadError> {
    if found > limit { Err(LoadError::TooLarge { what, found, limit }) } else { Ok(()) }
}

/// The engine's message may quote names from the component.
pub(crate) fn escaped(text: &str) -> String {
    const MAX: usize = 500;
    text.chars()
        .take(MAX)
        .flat_map(|char| if char == '\n' { ' '.escape_default() } else { char.escape_default() })
        .collect()
}

//! The linker is the capability table: it holds the granted imports, the inert ones that the
//! component takes, traps for declared stubs, and nothing else. What was not granted does not
//! exist. Knows how grants become imports, not how they came about.

use std::sync::Arc;

use nanohost_core::{Class, Classified, Clock, Grants, Import, Limits, Random, classify};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{InstancePre, Linker, ResourceType, Val};

use crate::capability::filesystem::{FolderError, OpenFolder, RealFolder};
use crate::capability::secrets::SecretValues;
use crate::capability::{clock, context, env, filesystem, http, kv, log, random, secrets, sockets, stdio};
use crate::engine::Engine;
use crate::load::{Function, Loaded, escaped};
use crate::state::State;

/// A component that cannot be linked with its grants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It imports what it is not granted, or what this host does not know. All of it.
    #[error("the component imports what the capability table does not hold: {}", names(.0))]
    Missing(Vec<Missing>),
    /// It does not export the function.
    #[error("the component has no callable export {0:?}")]
    NoSuchExport(String),
    /// A granted folder is not there.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Its imports have the right names and other types than the host's.
    #[error("the component's imports are not of the host's types: {0}")]
    Incompatible(String),
}

impl LinkError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "import_not_granted",
            Self::NoSuchExport(_) => "no_such_export",
            Self::Folder(_) => "folder_unavailable",
            Self::Incompatible(_) => "incompatible_imports",
        }
    }
}

/// An import that the linker does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The import as the component has it.
    pub import: Import,
    /// The class of authority it belongs to; `None`: this host knows no such interface.
    pub class: Option<Class>,
}

fn names(missing: &[Missing]) -> String {
    missing.iter().map(|missing| escaped(&missing.import.name)).collect::<Vec<_>>().join(", ")
}

/// One exported function with the authority it was granted, ready to be called. The only thing
/// that can be called, and made only from [`Grants`].
#[derive(Clone)]
pub struct Tool {
    pub(crate) engine: Engine,
    pub(crate) instance: InstancePre<State>,
    pub(crate) function: Function,
    pub(crate) grants: Arc<Grants>,
    pub(crate) folders: Arc<[OpenFolder]>,
    pub(crate) secrets: SecretValues,
}

impl Tool {
    /// The granted folders as they were opened.
    pub fn folders(&self) -> impl Iterator<Item = &RealFolder> {
        self.folders.iter().map(|folder| &folder.real)
    }

    /// With the values of the secrets that it is granted. One without a value is not there for the
    /// guest.
    #[must_use]
    pub fn with_secrets(self, secrets: SecretValues) -> Self {
        Self { secrets, ..self }
    }

    /// The bounds of each call.
    pub fn limits(&self) -> Limits {
        self.grants.limits()
    }
}

/// Without the grants: the values of variables stand in them.
impl std::fmt::Debug for Tool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tool").field("export", &self.function.path).finish_non_exhaustive()
    }
}

/// A stub was called: the tool did what its author declared it never does.
#[derive(Debug, thiserror::Error)]
#[error("a declared stub was called")]
pub(crate) struct StubCalled {
    pub(crate) import: String,
}

/// Handles of stubbed interfaces. None is ever made.
struct Stub;

impl Engine {
    /// Links `export` (`interface#function`, or the bare function) of a component with exactly
    /// what `grants` holds.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn link(&self, loaded: &Loaded, grants: &Grants, export: &str) -> Result<Tool, LinkError> {
        let folders = grants.filesystem().iter().map(OpenFolder::open).collect::<Result<Arc<[_]>, _>>();
        self.linked(loaded, grants, export, folders, false)
    }

    pub(crate) fn linked<E: Into<LinkError>>(
        &self,
        loaded: &Loaded,
        grants: &Grants,
        export: &str,
        folders: Result<Arc<[OpenFolder]>, E>,
        replays: bool,
    ) -> Result<Tool, LinkError> {
        let function = loaded.functions.iter().find(|function| function.path == export);
        let function = function.ok_or_else(|| LinkError::NoSuchExport(export.to_owned()))?.clone();

        let missing: Vec<_> =
            loaded.facts().imports.iter().filter_map(|import| missing(grants, import)).collect();
        if !missing.is_empty() {
            return Err(LinkError::Missing(missing));
        }

        let folders = folders.map_err(Into::into)?;
        let incompatible = |error: wasmtime::Error| LinkError::Incompatible(escaped(&format!("{error:#}")));
        let linker = self.linker(loaded, grants, &folders, replays).map_err(incompatible)?;
        let instance = linker.instantiate_pre(&loaded.component).map_err(incompatible)?;
        Ok(Tool {
            engine: self.clone(),
            instance,
            function,
            grants: Arc::new(grants.clone()),
            folders,
            secrets: SecretValues::default(),
        })
    }

    /// The table. Each line adds the interfaces of one class if anything of that class is granted
    /// and the component takes it.
    fn linker(
        &self,
        loaded: &Loaded,
        grants: &Grants,
        folders: &[OpenFolder],
        replays: bool,
    ) -> wasmtime::Result<Linker<State>> {
        let mut linker = Linker::new(&self.wasmtime);
        let takes = |class| {
            loaded
                .facts()
                .imports
                .iter()
                .any(|import| !stubbed(grants, import) && class_of(import) == Some(class))
        };
        stdio::link(&mut linker)?;
        log::link(&mut linker)?;
        context::link(&mut linker)?;
        if takes(Class::Env) {
            env::link(&mut linker)?;
        }
        if takes(Class::Clock) {
            clock::link(&mut linker, grants.clock(), replays)?;
        }
        if takes(Class::Random) {
            random::link(&mut linker, grants.random())?;
        }
        if takes(Class::Filesystem) {
            filesystem::link(&mut linker, folders)?;
        }
        if takes(Class::Kv) {
            kv::link(&mut linker, grants.kv())?;
        }
        if takes(Class::Sockets) {
            sockets::link(&mut linker, grants.sockets())?;
        }
        if takes(Class::Http) {
            http::link(&mut linker, grants.http())?;
        }
        if takes(Class::Secrets) {
            secrets::link(&mut linker, grants.secrets())?;
        }
        self.stubs(&mut linker, loaded, grants)?;
        Ok(linker)
    }

    /// Traps, for declared stubs only.
    fn stubs(&self, linker: &mut Linker<State>, loaded: &Loaded, grants: &Grants) -> wasmtime::Result<()> {
        // An interface repeats the resources that it uses from others. They are defined where they
        // stand first.
        let mut defined = Vec::new();
        for (name, item) in loaded.component.component_type().imports(&self.wasmtime) {
            let ComponentItem::ComponentInstance(interface) = item.ty else { continue };
            let stubbed = grants.stubbed().contains(name);
            for (member, item) in interface.exports(&self.wasmtime) {
                let repeated = matches!(&item.ty, ComponentItem::Resource(ty) if defined.contains(ty));
                if let ComponentItem::Resource(ty) = item.ty {
                    defined.push(ty);
                }
                if !stubbed || repeated {
                    continue;
                }
                let mut instance = linker.instance(name)?;
                match item.ty {
                    ComponentItem::ComponentFunc(_) if is_question_of_folders(name, member) => {
                        instance.func_new(member, |_, _, _, results| {
                            results[0] = Val::List(Vec::new());
                            Ok(())
                        })?;
                    }
                    ComponentItem::ComponentFunc(_) => {
                        let import = format!("{name}#{member}");
                        instance.func_new(member, move |_, _, _, _| {
                            Err(wasmtime::Error::from(StubCalled { import: import.clone() }))
                        })?;
                    }
                    ComponentItem::Resource(_) => {
                        instance.resource(member, ResourceType::host::<Stub>(), |_, _| Ok(()))?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// The one question that a stub answers: which folders there are. None, whoever asks. The libraries
/// of some languages ask it before anything else, and reach nothing by the answer.
fn is_question_of_folders(interface: &str, function: &str) -> bool {
    interface.starts_with("wasi:filesystem/preopens@") && function == "get-directories"
}

/// Why the linker will not hold an import, if so.
fn missing(grants: &Grants, import: &Import) -> Option<Missing> {
    if stubbed(grants, import) {
        return None;
    }
    let class = match classify(import) {
        Classified::Inert => return None,
        Classified::InertByDefault(class) | Classified::Authority(class) => class,
        Classified::Unknown => return Some(Missing { import: import.clone(), class: None }),
    };
    let granted = match class {
        // Without variables it is an empty world.
        Class::Env => true,
        Class::Clock => grants.clock() != Clock::Denied,
        Class::Random => grants.random() != Random::Denied,
        Class::Filesystem => !grants.filesystem().is_empty(),
        Class::Kv => !grants.kv().is_empty(),
        Class::Sockets => !grants.sockets().is_empty(),
        Class::Http => !grants.http().is_empty(),
        Class::Secrets => !grants.secrets().is_empty(),
    };
    (!granted).then(|| Missing { import: import.clone(), class: Some(class) })
}

fn stubbed(grants: &Grants, import: &Import) -> bool {
    grants.stubbed().contains(&import.name)
}

fn class_of(import: &Import) -> Option<Class> {
    match classify(import) {
        Classified::InertByDefault(class) | Classified::Authority(class) => Some(class),
        Classified::Inert | Classified::Unknown => None,
    }
}

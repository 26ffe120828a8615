//! Authority in sentences: what a tool that is granted all it asks for can do, and what it cannot
//! whatever it is granted. Says what admission would decide of imports and asks, and decides nothing.

use nanohost_core::{
    Access, Ask, Capability, Class, Classified, Clock, Import, Manifest, Random, ToolFacts, classify,
};

/// Why an import is there, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// It reaches nothing: always linked.
    Inert,
    /// It reaches nothing as it is linked: an empty environment, virtual time, seeded randomness.
    Harmless(Class),
    /// The manifest asks for it.
    Asked(Class),
    /// The manifest says that it is never called: a trap.
    Stubbed(Class),
    /// The manifest denies it to itself, so that it cannot be linked.
    Denied(Class),
    /// It is authority, and no manifest asks for it: refused.
    Undeclared(Class),
    /// This host knows no such interface: refused.
    Unknown,
}

impl Because {
    /// What becomes of `import` under `manifest`.
    pub fn of(import: &Import, manifest: Option<&Manifest>) -> Self {
        let class = match classify(import) {
            Classified::Unknown => return Self::Unknown,
            Classified::Inert => return Self::Inert,
            Classified::InertByDefault(class) | Classified::Authority(class) => class,
        };
        let stubbed = manifest.is_some_and(|own| own.stubs().iter().any(|stub| stub.value.matches(import)));
        let asked = || asks(manifest, class).any(|ask| !ask.capability.is_inert());
        let denied = || asks(manifest, class).any(|ask| is_denied(&ask.capability));
        match classify(import) {
            _ if stubbed => Self::Stubbed(class),
            _ if asked() => Self::Asked(class),
            _ if denied() => Self::Denied(class),
            Classified::InertByDefault(_) => Self::Harmless(class),
            _ => Self::Undeclared(class),
        }
    }

    /// The word for JSON.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Inert => "inert",
            Self::Harmless(_) => "harmless",
            Self::Asked(_) => "asked",
            Self::Stubbed(_) => "stubbed",
            Self::Denied(_) => "denied",
            Self::Undeclared(_) => "undeclared",
            Self::Unknown => "unknown",
        }
    }

    /// The class of authority it belongs to.
    pub const fn class(&self) -> Option<Class> {
        match self {
            Self::Inert | Self::Unknown => None,
            Self::Harmless(class)
            | Self::Asked(class)
            | Self::Stubbed(class)
            | Self::Denied(class)
            | Self::Undeclared(class) => Some(*class),
        }
    }

    /// Whether no policy can make a program run with it.
    pub const fn refuses(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::Undeclared(_) | Self::Unknown)
    }

    /// What becomes of it, for a person.
    pub fn says(&self) -> String {
        match self {
            Self::Inert => "reaches nothing: always linked".to_owned(),
            Self::Harmless(Class::Env) => "linked, without variables".to_owned(),
            Self::Harmless(Class::Clock) => "linked, with virtual time".to_owned(),
            Self::Harmless(Class::Random) => "linked, with seeded randomness".to_owned(),
            Self::Harmless(_) => "linked, and reaches nothing".to_owned(),
            Self::Asked(class) => format!("the manifest asks for {class}"),
            Self::Stubbed(_) => "declared as never called: a trap".to_owned(),
            Self::Denied(class) => format!("the manifest denies itself {class}: refused"),
            Self::Undeclared(class) => format!("no manifest asks for {class}: refused"),
            Self::Unknown => "this host knows no such interface: refused".to_owned(),
        }
    }
}

fn is_denied(capability: &Capability) -> bool {
    matches!(capability, Capability::Clock(Clock::Denied) | Capability::Random(Random::Denied))
}

fn asks(manifest: Option<&Manifest>, class: Class) -> impl Iterator<Item = &Ask> {
    manifest.into_iter().flat_map(Manifest::asks).filter(move |ask| ask.capability.class() == class)
}

/// Whether the component has a way to that class of authority that is not a trap.
pub fn reaches(facts: &ToolFacts, manifest: Option<&Manifest>, class: Class) -> bool {
    facts.imports.iter().any(|import| match Because::of(import, manifest) {
        Because::Stubbed(_) => false,
        because => because.class() == Some(class),
    })
}

/// Sentences about a tool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authority {
    /// What it can do where a policy permits all that it asks for.
    pub can: Vec<String>,
    /// What it asks for and has no way to use.
    pub idle: Vec<String>,
    /// What its imports could do, and nobody asks for: it does not run.
    pub undeclared: Vec<String>,
    /// What it cannot do, whatever a policy permits.
    pub cannot: Vec<String>,
}

impl Authority {
    /// Of a component with its manifest, if it has one.
    pub fn of(facts: &ToolFacts, manifest: Option<&Manifest>) -> Self {
        let mut all = Self::default();
        for class in Class::ALL {
            let reaches = reaches(facts, manifest, class);
            let mut asked = asks(manifest, class).filter(|ask| !ask.capability.is_inert()).peekable();
            if asked.peek().is_none() {
                let undeclared = facts
                    .imports
                    .iter()
                    .any(|import| Because::of(import, manifest) == Because::Undeclared(class));
                match undeclared {
                    true => all.undeclared.push(verb(class).to_owned()),
                    false => all.cannot.push(verb(class).to_owned()),
                }
                continue;
            }
            for ask in asked {
                if reaches {
                    all.can.push(sentence(&ask.capability));
                } else {
                    all.idle.push(ask.capability.to_string());
                }
            }
            if !reaches {
                all.cannot.push(verb(class).to_owned());
            }
        }
        all
    }
}

/// What one class of authority lets a tool do, after `cannot`.
fn verb(class: Class) -> &'static str {
    match class {
        Class::Filesystem => "read or write files",
        Class::Env => "read variables",
        Class::Kv => "keep values between calls",
        Class::Clock => "read the real time",
        Class::Random => "draw real randomness",
        Class::Sockets => "open connections",
        Class::Http => "send requests over HTTP",
        Class::Secrets => "use secrets",
    }
}

/// What one capability lets a tool do, after `can`.
fn sentence(capability: &Capability) -> String {
    match capability {
        Capability::Filesystem(folder) => {
            let what = match folder.access {
                Access::Read => "read files",
                Access::Write => "read, write and delete files",
            };
            format!("{what} below its {}, a folder that the operator chooses", folder.guest)
        }
        Capability::Env(name) => format!("read the variable {name}, whose value the operator chooses"),
        Capability::Kv(name) => format!("keep values of its own in the namespace {name}"),
        Capability::Clock(_) => "read the real time".to_owned(),
        Capability::Random(_) => "draw real randomness".to_owned(),
        Capability::Sockets(socket) => format!("open TCP connections to {socket}"),
        Capability::Http(rule) => {
            // `GET,POST https://…`
            let shown = rule.to_string();
            let (methods, url) = shown.split_once(' ').unwrap_or(("send requests to", &shown));
            format!("{} to {url}", methods.replace(',', ", "))
        }
        Capability::Secrets(rule) => {
            format!("have the host send the secret {rule}, which it never sees")
        }
    }
}

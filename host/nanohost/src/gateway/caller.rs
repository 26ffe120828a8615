//! Who asks a gateway, and what they may ask. How somebody was recognised is the transport's.

use nanohost_core::Principal;

/// What a caller may do beside looking at runs of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Run programs, and save and delete their own.
    Programs,
    /// Call single tools that the operator serves.
    Tools,
    /// Look at everybody's runs.
    Audit,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Programs, Self::Tools, Self::Audit];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Programs => "programs",
            Self::Tools => "tools",
            Self::Audit => "audit",
        }
    }
}

/// Some scopes; none: only looking at runs of one's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes {
    programs: bool,
    tools: bool,
    audit: bool,
}

impl Scopes {
    /// These.
    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut all = Self::default();
        for scope in scopes {
            match scope {
                Scope::Programs => all.programs = true,
                Scope::Tools => all.tools = true,
                Scope::Audit => all.audit = true,
            }
        }
        all
    }

    /// Whether one is among them.
    pub const fn has(self, scope: Scope) -> bool {
        match scope {
            Scope::Programs => self.programs,
            Scope::Tools => self.tools,
            Scope::Audit => self.audit,
        }
    }
}

/// How much of the operator's machine a caller is told in refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Findings with their files and lines: for whoever sits at this machine.
    Whole,
    /// Codes and words, without paths of this machine.
    Codes,
}

/// Somebody who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who, as the evidence names them.
    pub principal: Principal,
    /// What they may.
    pub scopes: Scopes,
    /// What they are told.
    pub detail: Detail,
}

impl Caller {
    /// Whether they may see a run that `owner` opened.
    pub fn sees(&self, owner: &str) -> bool {
        self.scopes.has(Scope::Audit) || owner == self.principal.as_str()
    }
}

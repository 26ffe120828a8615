//! Why a program is not admitted. Authority that is missing is a [`Denied`], a mistake in somebody's
//! file is [`Diagnostics`]: two culprits, two exit codes.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::capability::Class;
use crate::{Diagnostic, Diagnostics, Source, ToolName};

/// Why [`admit`](crate::admit()) made no plan.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Program, manifest, component or policy contradict each other: somebody has to mend a file.
    /// Gaps in authority that were found in the same pass are reported along.
    #[error("{0}")]
    Invalid(Diagnostics),
    /// The program is sound and asks for authority it does not have.
    #[error("{0}")]
    Denied(Denied),
}

/// Every piece of authority that was asked for and not granted, from one pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Denied {
    pub(super) gaps: Vec<Gap>,
    pub(super) whole: Vec<Whole>,
}

/// A tool of a refused program that lacks nothing itself. It tells what the tool would hold and
/// holds none of it: grants exist in a plan only.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    /// The tool, by the name the program gives it.
    pub tool: ToolName,
    /// What it would be granted.
    pub granted: Vec<String>,
    /// The ids of the policy rows that would grant it.
    pub rules: Vec<String>,
}

impl Denied {
    /// The gaps, by tool in the order of their names, then by model. Never empty.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The tools that lack nothing, by their names.
    pub fn whole(&self) -> &[Whole] {
        &self.whole
    }

    /// The gaps as findings to show: imports of one tool that one line would mend are one finding, and
    /// so are those that several tools of one component have alike.
    pub fn diagnostics(&self) -> Diagnostics {
        let mut findings: Vec<(Diagnostic, Vec<&ToolName>)> = Vec::new();
        let same = |a: &Gap, b: &Gap| {
            a.asks.is_none() && (a.code, &a.tool, a.class, &a.help) == (b.code, &b.tool, b.class, &b.help)
        };
        for group in self.gaps.chunk_by(same) {
            let Some((first, more)) = group.split_first() else { continue };
            let mut finding = first.diagnostic();
            if !more.is_empty() {
                let more: Vec<String> = more.iter().map(|gap| format!("{:?}", gap.value)).collect();
                finding.message.push_str(&format!("; likewise {}", more.join(", ")));
            }
            match findings.iter_mut().find(|(known, _)| *known == finding) {
                Some((_, tools)) => tools.extend(&first.tool),
                None => findings.push((finding, first.tool.iter().collect())),
            }
        }
        let named = |(mut finding, tools): (Diagnostic, Vec<&ToolName>)| {
            if tools.len() > 1 {
                let tools: Vec<String> = tools.iter().map(|tool| format!("`{tool}`")).collect();
                finding.message.push_str(&format!("; the same for {}", tools.join(", ")));
            }
            finding
        };
        findings.into_iter().map(named).collect()
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnostics().fmt(f)
    }
}

impl std::error::Error for Denied {}

/// One piece of authority that was asked for and not granted.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// What kind of refusal it is.
    pub code: GapCode,
    /// The tool, by the name the program gives it; `None`: steps of the program itself ask, for a
    /// model.
    pub tool: Option<ToolName>,
    /// The class of authority; `None` for an import nobody knows, for a tool that is forbidden as a
    /// whole and for a model.
    pub class: Option<Class>,
    /// What was asked for: a capability's value, an import's full name, a model's alias. Chosen by
    /// an author.
    pub value: String,
    /// Where it is asked for, in the manifest, or in the program where a step does; `None` where only
    /// the component does.
    pub asks: Option<Place>,
    /// Who does not grant it: the file, and the line where there is one.
    pub not_granted_by: Option<Withheld>,
    /// The refusal in one sentence, with both causes.
    pub message: String,
    /// The lines to add to one file.
    pub help: String,
}

impl Gap {
    /// The id of the policy row that refused, where one did.
    pub fn rule(&self) -> Option<&str> {
        self.not_granted_by.as_ref()?.rule.as_deref()
    }

    /// As a finding that points at what asks, or else at what refuses.
    pub fn diagnostic(&self) -> Diagnostic {
        let finding = Diagnostic::error(self.code.as_str(), self.message.clone()).help(self.help.clone());
        let refuses = self.not_granted_by.as_ref().and_then(|withheld| withheld.place.as_ref());
        match (&self.asks, refuses) {
            (Some(place), _) => finding.at(&place.source, place.span.clone()).label("asked for here"),
            (None, Some(place)) => finding.at(&place.source, place.span.clone()).label("refused here"),
            (None, None) => finding,
        }
    }
}

/// The stable code of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapCode {
    /// The component imports authority that its own manifest does not declare.
    ImportNotDeclared,
    /// The component imports something this host does not know.
    UnknownImport,
    /// No policy row, or not the program, grants what the manifest asks for.
    NotGranted,
    /// A policy row forbids it.
    Forbidden,
    /// It is permitted, but no policy says which folder of the host it is.
    FolderMissing,
    /// Two policies give the guest's folder two different folders of the host.
    FolderConflict,
    /// A folder with write access holds a policy, or is one of `.git` and `.cargo`: whoever can
    /// write there can give itself what it was not given.
    GrantCoversControlFiles,
    /// It is permitted, but no policy says what value the variable has.
    EnvMissing,
    /// Two policies give the variable two different values.
    EnvConflict,
    /// Two policies mean different models by one alias.
    ModelConflict,
    /// An argument can come from where a policy row says it may not.
    TaintedArgument,
    /// One call alone may take more than a policy leaves to all calls together.
    NeverFits,
    /// Nobody signed the tool, and a policy wants a publisher's word.
    UnsignedTool,
    /// The tool is signed by somebody whom a policy does not name.
    UntrustedPublisher,
    /// A client handed the program over without saving it, and a policy refuses such programs.
    UnsavedProgram,
}

impl GapCode {
    /// The code as text, such as `not_granted`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ImportNotDeclared => "import_not_declared",
            Self::UnknownImport => "unknown_import",
            Self::NotGranted => "not_granted",
            Self::Forbidden => "forbidden",
            Self::FolderMissing => "folder_missing",
            Self::FolderConflict => "folder_conflict",
            Self::GrantCoversControlFiles => "grant_covers_control_files",
            Self::EnvMissing => "env_missing",
            Self::EnvConflict => "env_conflict",
            Self::ModelConflict => "model_conflict",
            Self::TaintedArgument => "tainted_argument",
            Self::NeverFits => "never_fits",
            Self::UnsignedTool => "unsigned_tool",
            Self::UntrustedPublisher => "untrusted_publisher",
            Self::UnsavedProgram => "unsaved_program",
        }
    }
}

impl GapCode {
    /// Whether it is about whose tool it is, and not about what it does.
    pub const fn is_of_publisher(self) -> bool {
        matches!(self, Self::UnsignedTool | Self::UntrustedPublisher)
    }
}

impl fmt::Display for GapCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who does not grant something.
#[derive(Debug, Clone, PartialEq)]
pub struct Withheld {
    /// The file's name, as people know it.
    pub file: String,
    /// The row that refuses, is expired or came from a policy that is not trusted; `None`: there
    /// is no such row.
    pub rule: Option<String>,
    /// The line that decides; `None`: it is the absence of a line.
    pub place: Option<Place>,
}

/// A place in a file. Displays as `file:line`.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The file.
    pub source: Arc<Source>,
    /// The byte range.
    pub span: Range<usize>,
}

impl Place {
    pub(crate) fn new(source: &Arc<Source>, span: &Range<usize>) -> Self {
        Self { source: Arc::clone(source), span: span.clone() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source.name, self.source.line_column(self.span.start).0)
    }
}

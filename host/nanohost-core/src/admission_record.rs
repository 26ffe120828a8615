//! Everything an admission was decided from, as one document: what a run commits to first, and
//! what a verifier repeats the admission from. Knows no files; the texts are in it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::admit::{Admission, Offer, Plan, Refusal, admit};
use crate::document::Format;
use crate::facts::ToolFacts;
use crate::manifest::Manifest;
use crate::policy::{Policy, Trust};
use crate::program::Program;
use crate::signature::Signed;
use crate::{Digest, ProgramClass, Source, Timestamp, ToolName};

/// The document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AdmissionRecord {
    program: Text,
    tools: Vec<Tool>,
    policies: Vec<PolicyText>,
    today: Timestamp,
    /// Whose word the program is; left away where it is the operator's.
    #[serde(default, skip_serializing_if = "ProgramClass::is_vetted")]
    class: ProgramClass,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    name: String,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    local: ToolName,
    manifest: Text,
    facts: ToolFacts,
    /// The exact text of the package's signature, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PolicyText {
    source: Text,
    base_dir: String,
    /// The project of a policy that was found and not trusted; absent where it is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found_in: Option<String>,
}

/// Why an admission cannot be repeated.
#[derive(Debug, thiserror::Error)]
pub enum RepeatError {
    /// A recorded text is none the host could have admitted.
    #[error("the recorded admission does not parse: {0}")]
    Malformed(String),
    /// The admission, repeated, refuses.
    #[error("the recorded admission refuses: {0}")]
    Refused(Box<Refusal>),
}

impl Text {
    fn of(source: &Source) -> Self {
        Self { name: source.name.clone(), text: source.text.clone() }
    }

    fn source(self) -> Arc<Source> {
        Source::new(self.name, self.text)
    }
}

impl AdmissionRecord {
    /// The record of what is about to be decided.
    pub fn of(admission: &Admission) -> Self {
        let tools = admission.offers.iter().map(|offer| Tool {
            local: offer.local.clone(),
            manifest: Text::of(offer.manifest.source()),
            facts: offer.facts.clone(),
            signature: offer.signature.as_ref().map(|signed| signed.text().to_owned()),
        });
        let policies = admission.policies.iter().map(|policy| PolicyText {
            source: Text::of(policy.source()),
            base_dir: policy.base_dir().to_owned(),
            found_in: match policy.trust() {
                Trust::Trusted => None,
                Trust::Found { project } => Some(project.clone()),
            },
        });
        Self {
            program: Text::of(admission.program.source()),
            tools: tools.collect(),
            policies: policies.collect(),
            today: admission.today,
            class: admission.program.class(),
        }
    }

    /// SHA-256 of the program's source.
    pub fn program(&self) -> Digest {
        Digest::of(self.program.text.as_bytes())
    }

    /// The program's name, where its text is a program's.
    pub fn program_name(&self) -> Option<String> {
        let source = self.program.clone().source();
        let format = Format::of_name(&source.name);
        Program::parse(source, format).ok().map(|program| program.draft.name)
    }

    /// Digest of each policy's source, and whether it was trusted.
    pub fn policies(&self) -> Vec<(Digest, bool)> {
        let digest = |policy: &PolicyText| Digest::of(policy.source.text.as_bytes());
        self.policies.iter().map(|policy| (digest(policy), policy.found_in.is_none())).collect()
    }

    /// What the program calls its tools.
    pub fn tools(&self) -> impl Iterator<Item = &ToolName> {
        self.tools.iter().map(|tool| &tool.local)
    }

    /// The ids of the policies' rules, used or not; none of a policy that cannot be read.
    pub fn rules(&self) -> Vec<String> {
        let read = |policy: &PolicyText| {
            Policy::parse(policy.source.clone().source(), &policy.base_dir, Trust::Trusted).ok()
        };
        let policies = self.policies.iter().filter_map(read);
        policies
            .flat_map(|policy| policy.rules().iter().map(|rule| rule.id.clone()).collect::<Vec<_>>())
            .collect()
    }

    /// Whether a policy of it holds values of environment variables, which whoever reads the record
    /// would learn; so it counts where one cannot be read.
    pub fn holds_env(&self) -> bool {
        self.policies.iter().any(|policy| {
            let source = policy.source.clone().source();
            Policy::parse(source, &policy.base_dir, Trust::Trusted).map_or(true, |policy| policy.has_env())
        })
    }

    /// Whose word the program was.
    pub fn class(&self) -> ProgramClass {
        self.class
    }

    /// The moment that policy rows expire by.
    pub fn today(&self) -> Timestamp {
        self.today
    }

    /// Decides again.
    pub fn repeat(self) -> Result<Plan, RepeatError> {
        admit(self.admission()?).map_err(|refusal| RepeatError::Refused(Box::new(refusal)))
    }

    /// What was to be decided.
    pub fn admission(self) -> Result<Admission, RepeatError> {
        let malformed = |found: crate::Diagnostics| RepeatError::Malformed(found.to_string());
        let source = self.program.source();
        let format = Format::of_name(&source.name);
        let program = Program::parse(source, format).map_err(malformed)?;
        let (program, _) = program.check().map_err(malformed)?;
        let mut offers = Vec::with_capacity(self.tools.len());
        for tool in self.tools {
            let manifest = Manifest::parse(tool.manifest.source()).map_err(malformed)?;
            let signature = tool.signature.map(|text| Signed::parse(text.as_bytes())).transpose();
            let signature = signature.map_err(|fault| RepeatError::Malformed(fault.to_string()))?;
            offers.push(Offer { local: tool.local, manifest, facts: tool.facts, signature });
        }
        let mut policies = Vec::with_capacity(self.policies.len());
        for policy in self.policies {
            let trust = match policy.found_in {
                None => Trust::Trusted,
                Some(project) => Trust::Found { project },
            };
            policies.push(Policy::parse(policy.source.source(), &policy.base_dir, trust).map_err(malformed)?);
        }
        let program = program.of_class(self.class);
        Ok(Admission { program: Arc::new(program), offers, policies, today: self.today })
    }
}

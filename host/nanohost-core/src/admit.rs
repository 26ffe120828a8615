//! `admit`: a checked program, manifests, component facts and policies → [`Plan`] or a refusal
//! with every gap. A pure function: whoever holds the recorded texts can repeat it.
//!
//! effective = manifest ∩ every policy ∩ the program's own grant ∩ what the component imports.
//! What a manifest asks for, the component can use and the program does not narrow away is either
//! granted or refused here: no tool runs with less than it was written for, to find out midway.
//! Knows nothing of how grants are enforced.

mod args;
mod explain;
mod gap;
mod judge;
mod model;
mod origins;
mod plan;
mod publisher;
mod remedy;
mod shared;
mod survey;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::check::{CheckedProgram, StepKind};
use crate::facts::ToolFacts;
use crate::manifest::Manifest;
use crate::policy::Policy;
use crate::signature::Signed;
use crate::{Diagnostic, Diagnostics, Digest, ProgramClass, Timestamp, ToolName, jcs};

pub use explain::{Explanation, Line, Near, Restriction, Witness, explain};
pub use gap::{Denied, Gap, GapCode, Place, Refusal, Whole, Withheld};
pub(crate) use judge::called;
pub use model::ModelRow;
pub use plan::{ArgsRefused, Misfit, Plan, Requirement, Row, RuleGrant, schema_digest};
pub use publisher::Vouched;
pub use remedy::capability_lines;
pub(crate) use remedy::quoted;
pub use shared::{Shared, SharedThing};
pub use survey::{Survey, Surveyed, survey};

/// A tool on offer: what stands behind one of the names a program uses.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The tool's name in the program.
    pub local: ToolName,
    /// What its author asks for.
    pub manifest: Manifest,
    /// What its component is.
    pub facts: ToolFacts,
    /// What a publisher says of both, where somebody signed them.
    pub signature: Option<Signed>,
}

/// Everything an admission depends on.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The program.
    pub program: Arc<CheckedProgram>,
    /// One offer for each tool name of the program. Offers for names the program does not have
    /// are passed over: nothing but the program puts a tool into its table.
    pub offers: Vec<Offer>,
    /// All policies in force. Each has to permit, but for those that abstain, of which one will do; each
    /// may forbid; none at all grants nothing.
    pub policies: Vec<Policy>,
    /// The moment that rows expire by.
    pub today: Timestamp,
}

/// Decides about a program as a whole.
///
/// # Errors
/// [`Refusal::Invalid`] where somebody's file has to be mended, [`Refusal::Denied`] where authority
/// is missing. Both hold everything that one pass found.
pub fn admit(admission: Admission) -> Result<Plan, Refusal> {
    let Admission { program, offers, mut policies, today } = admission;
    if policies.is_empty() {
        policies.push(Policy::none());
    }
    let mut invalid = Diagnostics::new();
    let mut warnings = Diagnostics::new();
    let mut gaps = Vec::new();

    let mut offered: BTreeMap<ToolName, Offer> = BTreeMap::new();
    for offer in offers {
        let local = offer.local.clone();
        if offered.insert(local.clone(), offer).is_some() {
            invalid
                .push(Diagnostic::error("ambiguous_tool", format!("there is more than one tool `{local}`")));
        }
    }

    let mut rows = Vec::new();
    let mut exports = BTreeMap::new();
    for (local, mention) in mentions(&program) {
        let Some(offer) = offered.get(&local) else {
            if let Mention::Needed { step } = mention {
                let finding = Diagnostic::error("unknown_tool", format!("there is no tool `{local}`")).help(
                    "name where it comes from in [tools], or give the folder that holds it with --tools",
                );
                invalid.push(match step {
                    Some(id) => finding.step(id),
                    None => finding,
                });
            }
            continue;
        };
        let mut case = judge::Case::new(&program, offer, &policies, today);
        if let Some(row) = case.judge() {
            rows.push(row);
        }
        exports.extend(case.called.map(|export| (local, export)));
        invalid.extend(case.invalid);
        warnings.extend(case.warnings);
        gaps.extend(case.gaps);
    }

    invalid.extend(args::check(&program, &exports, &rows));
    gaps.extend(unsaved(&program, &policies));
    let models = model::judge(&program, &policies);
    gaps.extend(models.gaps);
    warnings.extend(models.warnings);

    let found = origins::judge(&program, &offered, &exports, &policies, today);
    invalid.extend(found.invalid);
    gaps.extend(found.gaps);

    let whole =
        rows.iter().filter(|row| gaps.iter().all(|gap| gap.tool.as_ref() != Some(&row.local))).map(|row| {
            Whole {
                tool: row.local.clone(),
                granted: row.granted.clone(),
                rules: row.rules.iter().map(|rule| rule.rule.clone()).collect(),
            }
        });
    let denied = Denied { whole: whole.collect(), gaps };
    if !invalid.is_empty() {
        invalid.extend(denied.diagnostics());
        return Err(Refusal::Invalid(invalid));
    }
    if !denied.gaps.is_empty() {
        return Err(Refusal::Denied(denied));
    }
    let table = jcs::canonical(&plan::table_json(&rows, &models.rows)).map_err(|error| {
        Refusal::Invalid(
            Diagnostic::error("table_form", format!("the table has no canonical form: {error}")).into(),
        )
    })?;
    Ok(Plan {
        program,
        rows,
        models: models.rows,
        policies,
        warnings,
        arguments: found.arguments,
        digest: Digest::of(&table),
    })
}

/// What refuses a program because nobody saved it.
fn unsaved<'p>(program: &CheckedProgram, policies: &'p [Policy]) -> impl Iterator<Item = Gap> + 'p {
    let is_unsaved = program.class() == ProgramClass::Unsaved;
    let refusing = policies.iter().filter(move |_| is_unsaved);
    refusing.filter_map(|policy| {
        let (file, span) = (&policy.source().name, policy.refuses_unsaved()?);
        Some(Gap {
            code: GapCode::UnsavedProgram,
            tool: None,
            class: None,
            value: "unsaved program".to_owned(),
            asks: None,
            not_granted_by: Some(Withheld {
                file: file.clone(),
                rule: None,
                place: Some(Place::new(policy.source(), span)),
            }),
            message: format!("the program was not saved, and {file} runs no such programs"),
            help: "save it under a name, then run it by that name".to_owned(),
        })
    })
}

/// How a program speaks of a tool.
enum Mention {
    /// A step cannot do without it.
    Needed { step: Option<String> },
    /// A model may propose it. Where it does not exist the table has no row, and proposing it is
    /// refused then.
    Proposable,
}

/// Every tool name of the program, sorted. With a `tools` table, that table alone says what a
/// model's proposals can reach; without one, tools are looked up by name.
fn mentions(program: &CheckedProgram) -> BTreeMap<ToolName, Mention> {
    let mut all = BTreeMap::new();
    for step in &program.steps {
        let mut needed = |tool: &ToolName| {
            let step = Some(step.id.to_string());
            match all.entry(tool.clone()).or_insert(Mention::Proposable) {
                Mention::Needed { .. } => {}
                mention => *mention = Mention::Needed { step },
            }
        };
        match &step.kind {
            StepKind::Tool(call) => {
                needed(&call.tool);
                if let Some(verify) = call.resume.as_ref().and_then(|resume| resume.verify.as_ref()) {
                    needed(verify);
                }
            }
            StepKind::Llm(call) if program.tools.is_none() => {
                for tool in &call.allowed_tools {
                    all.entry(tool.clone()).or_insert(Mention::Proposable);
                }
            }
            StepKind::Llm(_) | StepKind::Condition(_) | StepKind::Parallel(_) => {}
        }
    }
    for tool in program.tools.iter().flatten() {
        all.entry(tool.local.clone()).or_insert(Mention::Needed { step: None });
    }
    all
}

#[cfg(test)]
mod tests;

//! What admission finds for every tool of a program, also where it refuses the program as a whole:
//! what a reviewer compares. Hands out texts and capabilities, never grants.

use super::{Admission, judge, mentions, model};
use crate::capability::{Capability, Limits};
use crate::{ModelRow, Policy, ToolName};

/// What admission found.
#[derive(Debug)]
pub struct Survey {
    /// The program's name.
    pub program: String,
    /// Whether it is admitted.
    pub admitted: bool,
    /// Its tools, by their local names.
    pub tools: Vec<Surveyed>,
    /// Its models.
    pub models: Vec<ModelRow>,
}

/// One tool.
#[derive(Debug)]
pub struct Surveyed {
    /// The tool's name in the program.
    pub local: ToolName,
    /// The tool's own name.
    pub tool: ToolName,
    /// What of its requests is granted.
    pub granted: Vec<Capability>,
    /// Guest folders, and the folder of the host behind each.
    pub folders: Vec<(String, String)>,
    /// Imports that would be traps.
    pub stubbed: Vec<String>,
    /// Bounds of each call.
    pub limits: Limits,
    /// What has to hold for the arguments of every call, as written.
    pub require: Vec<String>,
    /// Arguments, and where each may not come from: `amount_cents: model`.
    pub forbid_origin: Vec<String>,
}

/// Holds every tool of the program against the policies, each for itself.
pub fn survey(admission: &Admission) -> Survey {
    let Admission { program, offers, policies, today } = admission;
    let none = [Policy::none()];
    let policies = if policies.is_empty() { &none } else { policies.as_slice() };
    let mut tools = Vec::new();
    for (local, _) in mentions(program) {
        let Some(offer) = offers.iter().find(|offer| offer.local == local) else { continue };
        let mut case = judge::Case::new(program, offer, policies, *today);
        // The row of a tool that lacks something does not exist; what was found before that does.
        case.judge();
        let Some(export) = case.called else { continue };
        let subject = case.subject(&export.function);
        let Some(grants) = case.weighed else { continue };
        let require = policies.iter().flat_map(|policy| policy.requirements(subject));
        let origins = policies.iter().flat_map(|policy| policy.forbidden_origins(subject));
        tools.push(Surveyed {
            local,
            tool: offer.manifest.name().clone(),
            granted: case.granted,
            folders: grants
                .filesystem()
                .iter()
                .map(|grant| (grant.folder.guest.clone(), grant.host.clone()))
                .collect(),
            stubbed: grants.stubbed().iter().cloned().collect(),
            limits: grants.limits(),
            require: require.map(|(_, require)| require.value.text().to_owned()).collect(),
            forbid_origin: origins
                .flat_map(|(_, argument, origins)| {
                    origins.iter().map(|origin| format!("{}: {}", argument.value, origin.as_str()))
                })
                .collect(),
        });
    }
    Survey {
        program: program.name().to_owned(),
        admitted: super::admit(admission.clone()).is_ok(),
        tools,
        models: model::judge(program, policies).rows,
    }
}

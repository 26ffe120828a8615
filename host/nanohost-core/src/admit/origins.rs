//! `forbid_origin`: whether an argument can come from where a policy says it may not, by the flow of
//! values through the program as a whole.

use std::collections::BTreeMap;

use super::gap::{Gap, GapCode, Place, Withheld};
use super::{Offer, publisher};
use crate::check::CheckedProgram;
use crate::facts::ToolExport;
use crate::origin::{Argument, Flow, Origin, Origins};
use crate::policy::{Policy, Subject, agree};
use crate::{Diagnostic, Diagnostics, Timestamp, ToolName};

/// What was found, and where the arguments of each tool can come from.
#[derive(Default)]
pub(super) struct Found {
    pub(super) gaps: Vec<Gap>,
    pub(super) invalid: Diagnostics,
    pub(super) arguments: BTreeMap<ToolName, BTreeMap<String, Origins>>,
}

/// Judges every argument of every call.
pub(super) fn judge(
    program: &CheckedProgram,
    offered: &BTreeMap<ToolName, Offer>,
    exports: &BTreeMap<ToolName, &ToolExport>,
    policies: &[Policy],
    today: Timestamp,
) -> Found {
    let subject = |local: &ToolName| {
        let (offer, export) = (offered.get(local)?, exports.get(local)?);
        let (tool, function) = (offer.manifest.name(), export.function.as_str());
        let component = offer.facts.component;
        // One whose signature is not good is refused as a whole.
        let signer = publisher::signer(offer, policies).ok().flatten();
        Some(Subject {
            class: program.class(),
            program: program.name(),
            tool,
            function,
            component,
            signer,
            today,
        })
    };
    let vouched = |local: &ToolName| {
        subject(local).is_some_and(|subject| agree(policies, |policy| policy.vouches_origin(subject)))
    };
    let flow = Flow::of(program, vouched);
    let mut found = Found::default();
    let all = flow.arguments();
    for (local, export) in exports {
        let Some(subject) = subject(local) else { continue };
        let arguments = all.get(local).map(Vec::as_slice).unwrap_or_default();
        let known = parameters(export);
        for policy in policies {
            for (rule, argument, origins) in policy.forbidden_origins(subject) {
                let top = argument.value.split('.').next().unwrap_or_default();
                if let Some(known) = &known
                    && !known.contains(&top)
                {
                    let message = format!(
                        "row `{}` forbids origins of `{}`, which `{}` of tool `{}` does not take",
                        rule.id, argument.value, export.function, subject.tool
                    );
                    let finding = Diagnostic::error("unknown_argument", message);
                    found.invalid.push(finding.at(policy.source(), argument.span.clone()).help(
                        "name an argument of the function, or bind the row to another one with `function = \"…\"`",
                    ));
                    continue;
                }
                for given in arguments.iter().filter(|given| is_part(given, &argument.value)) {
                    let tainted: Vec<Origin> =
                        origins.iter().copied().filter(|origin| given.origins.has(*origin)).collect();
                    let Some(first) = tainted.first() else { continue };
                    let step = program.step(given.step);
                    let way = flow.way(given, *first);
                    let by = match (way.as_slice(), &given.name) {
                        (_, None) => format!(": the model of step `{}` proposes the call", step.id),
                        ([], _) => String::new(),
                        (way, _) => format!(", by way of `{}`", way.join("` → `")),
                    };
                    let words: Vec<&str> = tainted.iter().map(|origin| origin.as_str()).collect();
                    let message = format!(
                        "`{}` of tool `{}`, as step `{}` calls it, can come from {}{by}; row `{}` of {} forbids that",
                        argument.value,
                        local,
                        step.id,
                        words.join(", "),
                        rule.id,
                        policy.source().name,
                    );
                    found.gaps.push(Gap {
                        code: GapCode::TaintedArgument,
                        tool: Some(local.clone()),
                        class: None,
                        value: format!("{}: {}", argument.value, words.join(", ")),
                        asks: Some(Place::new(program.source(), &step.span)),
                        not_granted_by: Some(Withheld {
                            file: policy.source().name.clone(),
                            rule: Some(rule.id.clone()),
                            place: Some(Place::new(policy.source(), &argument.span)),
                        }),
                        message,
                        help: "take the argument from elsewhere; or, where a tool on the way returns nothing of its \
                               arguments, have the operator say so: vouch_origin = [\"FUNCTION\"] in a row for it"
                            .to_owned(),
                    });
                }
            }
        }
        let shown = found.arguments.entry(local.clone()).or_default();
        for given in arguments {
            let names = match (&given.name, &known) {
                (Some(name), _) => vec![name.as_str()],
                (None, Some(known)) => known.clone(),
                (None, None) => vec!["any"],
            };
            for name in names {
                let origins = shown.entry(name.to_owned()).or_default();
                *origins = origins.with(given.origins);
            }
        }
    }
    found
}

/// The names of a function's parameters, where its schema says all of them.
fn parameters(export: &ToolExport) -> Option<Vec<&str>> {
    let closed = export.input["additionalProperties"] == serde_json::Value::Bool(false);
    let names = export.input["properties"].as_object().filter(|_| closed)?;
    Some(names.keys().map(String::as_str).collect())
}

/// Whether what is given is the argument, holds it, or is a part of it.
fn is_part(given: &Argument, argument: &str) -> bool {
    let Some(name) = &given.name else { return true };
    let below = |whole: &str, part: &str| part.strip_prefix(whole).is_some_and(|rest| rest.starts_with('.'));
    name == argument || below(name, argument) || below(argument, name)
}

//! The one namespace: ids are unique, names do not collide, what is referred to exists, and what
//! is easily misread is warned about.

use std::collections::BTreeSet;

use super::StepKind;
use crate::document::{Report, nearest};
use crate::program::{Draft, DraftStep, Places, is_reserved};

pub(super) fn check(draft: &Draft, report: &mut Report) {
    for (step, first) in draft.taken.iter().map(|(step, first)| (&draft.steps[*step], &draft.steps[*first])) {
        if step.id.is_empty() {
            continue;
        }
        let (line, _) = draft.source.line_column(if report.is_full() { 0 } else { first.id_span.start });
        let message = format!("the id `{}` is taken by the step in line {line}", step.id.escape_debug());
        report.push(report.error("duplicate_step_id", &step.id_span, message).step(&*step.id));
    }
    collisions(draft, report);
    variables(draft, report);
    tools(draft, report);
    warnings(draft, report);
}

/// Whether a step has that id; one without an id is called nothing.
fn is_step(draft: &Draft, name: &str) -> bool {
    !name.is_empty() && draft.by_id.contains_key(name)
}

fn collisions(draft: &Draft, report: &mut Report) {
    let declared = |name: &str| draft.input_names.as_ref().is_some_and(|inputs| inputs.contains(name));
    for step in &draft.steps {
        if declared(&step.id) {
            let message =
                format!("`{}` is a declared input too; one name has one meaning", step.id.escape_debug());
            report.push(report.error("invalid_field", &step.id_span, message).step(&*step.id));
        }
        if let Some((key, span)) = &step.output_key {
            let owner = match (is_step(draft, key), declared(key)) {
                (true, _) => "a step's id",
                (_, true) => "a declared input",
                _ => continue,
            };
            let message = format!("the output key `{key}` is {owner} too; one name has one meaning");
            report.push(report.error("invalid_field", span, message).step(&*step.id));
        }
    }
}

fn variables(draft: &Draft, report: &mut Report) {
    let output_keys = draft.steps.iter().filter_map(|step| step.output_key.as_ref().map(|(key, _)| &**key));
    let inputs = draft.input_names.iter().flatten().map(|name| &**name);
    let others: BTreeSet<&str> = output_keys.chain(inputs).collect();
    let ids = || draft.steps.iter().map(|step| &*step.id).filter(|id| !id.is_empty());
    let names = || ids().chain(others.iter().copied());
    let mut check = |references: &Places, step: Option<&str>| {
        let mut told: BTreeSet<&str> = BTreeSet::new();
        for (reference, span) in references {
            let root = reference.root();
            if is_step(draft, root) || others.contains(root) || is_reserved(root) || !told.insert(root) {
                continue;
            }
            let message = format!("`${}` is no input, output key or step", root.escape_debug());
            let mut finding = match draft.input_names {
                Some(_) => {
                    report.error("undefined_variable", span, message).help("declare it under `inputs`")
                }
                None => report
                    .warning("undefined_variable", span, message)
                    .help("declare it under `inputs`; without them it is whatever the run is given"),
            };
            if !report.is_full()
                && let Some(near) = nearest(root, names())
            {
                finding = finding.help(format!("did you mean `${near}`?"));
            }
            report.push(match step {
                Some(step) => finding.step(step),
                None => finding,
            });
        }
    };
    check(&draft.subject_references, None);
    for step in &draft.steps {
        check(&step.references, Some(&step.id));
    }
    // A mark at a name that is none would protect nothing, whatever a run is given.
    for (place, span) in &draft.pii {
        let root = &*place.root;
        if is_step(draft, root) || others.contains(root) || is_reserved(root) {
            continue;
        }
        let message = format!("`${}` is no declared input, output key or step", root.escape_debug());
        let finding = report.error("undefined_variable", span, message);
        report.push(match nearest(root, names()).filter(|_| !report.is_full()) {
            Some(near) => finding.help(format!("did you mean `${near}`?")),
            None => finding.help("declare it under `inputs`"),
        });
    }
}

fn tools(draft: &Draft, report: &mut Report) {
    let Some(rows) = &draft.tool_names else { return };
    for step in &draft.steps {
        for (tool, span) in step.calls.iter().filter(|(tool, _)| !rows.contains(tool.as_str())) {
            let message = format!("the `tools` table has no `{tool}`");
            let finding = report.error("unknown_tool", span, message).step(&*step.id);
            let near = match !report.is_full() {
                true => nearest(tool.as_str(), rows.iter().map(|row| &**row)),
                false => None,
            };
            report.push(match near {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("add a row:\n[tools.{tool}]\npath = \"…\"")),
            });
        }
    }
}

fn warnings(draft: &Draft, report: &mut Report) {
    if draft.input_names.is_none() {
        let message = "the program declares no `inputs`, so a run accepts any";
        let finding = report.warning("open_inputs", &super::graph::whole(draft), message);
        report.push(finding.help("declare them: `inputs.name = { type = \"string\" }`"));
    }
    let is_llm = |step: &DraftStep| matches!(step.body, Some(StepKind::Llm(_)));
    let llm_keys: BTreeSet<&str> = draft
        .steps
        .iter()
        .filter(|step| is_llm(step))
        .flat_map(|step| [Some(&*step.id), step.output_key.as_ref().map(|(key, _)| &**key)])
        .flatten()
        .collect();
    for step in &draft.steps {
        if step.implicit_fallback {
            let message = "an answer that is not accepted becomes the first allowed output";
            let finding = report.warning("implicit_fallback", &step.id_span, message).step(&*step.id);
            report.push(finding.help("name the one that is safe: `fallback = \"…\"`"));
        }
        if !step.branches {
            continue;
        }
        if step.then.is_some() != step.otherwise.is_some() {
            let (there, lacks) =
                if step.then.is_some() { ("then", "otherwise") } else { ("otherwise", "then") };
            let message = format!("without `{lacks}` the run fails whenever `{there}` is not taken");
            let finding = report.warning("missing_otherwise", &step.id_span, message).step(&*step.id);
            report.push(finding.help(format!("add `{lacks} = \"…\"`")));
        }
        let Some(StepKind::Condition(guard)) = &step.body else { continue };
        let of_model = guard.condition.haystacks().find(|reference| {
            let mut names = std::iter::once(reference.root()).chain(reference.path());
            // A model's answer, or a model's answer in the output of its block.
            llm_keys.contains(reference.root())
                || draft.by_id.get(reference.root()).is_some_and(|block| {
                    matches!(draft.steps[block.as_usize()].body, Some(StepKind::Parallel(_)))
                }) && names.any(|name| llm_keys.contains(name))
        });
        if let Some(reference) = of_model {
            let message = format!("`{reference}` is a model's text: a part of it can mean the opposite");
            let place = step.references.iter().find(|(other, _)| other == reference);
            let span = place.map_or(&step.id_span, |(_, span)| span);
            let finding = report.warning("substring_guard", span, message).step(&*step.id);
            report.push(finding.help("'safe' lies in 'unsafe': use `allowed_outputs` and `==`"));
        }
    }
}

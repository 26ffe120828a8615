//! Why a tool may do something, or may not: the line of the manifest, of the program, of the
//! component and of each policy that decides. Asks the judge, and has no rules of its own.

use std::collections::BTreeSet;

use super::gap::{Gap, GapCode, Place};
use super::judge::{Ask, Case};
use super::remedy::ask_for;
use super::{Admission, Offer, Refusal, admit, mentions};
use crate::capability::Capability;
use crate::facts::{Classified, classify};
use crate::policy::{Policy, Rule, Subject, Verdict, Wanted, verdicts};
use crate::review::Question;
use crate::{Diagnostic, Diagnostics, ToolName};

/// The answer to one question.
#[derive(Debug)]
pub struct Explanation {
    /// The program's name.
    pub program: String,
    /// The tool's own name.
    pub tool: ToolName,
    /// The function that the program calls.
    pub function: String,
    /// What was asked about.
    pub asked: Capability,
    /// What admission weighs for it: the request of the manifest that covers it, as the program
    /// leaves it; what was asked about, where nobody requests it.
    pub weighed: Capability,
    /// Whether the tool gets it.
    pub granted: bool,
    /// Who says what, in the order of the decision.
    pub lines: Vec<Line>,
    /// The nearest row of each policy that does not permit it.
    pub nearest: Vec<Near>,
    /// What has to hold for the arguments of every call.
    pub restrictions: Vec<Restriction>,
    /// The lines to add, for each file that lacks some.
    pub remedies: Vec<String>,
    /// What refuses the program whatever becomes of this.
    pub elsewhere: Diagnostics,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The tool's manifest.
    Manifest,
    /// The program, with its `grant`.
    Program,
    /// The tool's component, with its imports.
    Component,
    /// One of the policies.
    Policy,
}

impl Witness {
    /// The word for people and for JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Program => "program",
            Self::Component => "component",
            Self::Policy => "policy",
        }
    }
}

/// What one of them says.
#[derive(Debug)]
pub struct Line {
    /// Who says it.
    pub witness: Witness,
    /// Whether it lets the tool have it.
    pub allows: bool,
    /// What it says, in a few words.
    pub says: String,
    /// The id of the policy row that decides.
    pub rule: Option<String>,
    /// The file.
    pub file: String,
    /// The line that decides; `None`: it is the absence of one.
    pub place: Option<Place>,
}

/// A row that comes near.
#[derive(Debug)]
pub struct Near {
    /// Its id.
    pub rule: String,
    /// What it permits.
    pub place: Place,
    /// Why it is not what grants it.
    pub why: String,
}

/// A `require` or `forbid_origin` on the function.
#[derive(Debug)]
pub struct Restriction {
    /// The id of the row.
    pub rule: String,
    /// What it says.
    pub says: String,
    /// Where.
    pub place: Place,
}

/// Answers whether the program's tool `name` may do what `question` says.
///
/// # Errors
/// `unknown_tool`, where the program has no such tool, or what is wrong with the tool itself.
pub fn explain(admission: &Admission, name: &str, question: &Question) -> Result<Explanation, Diagnostics> {
    let Admission { program, policies, today, .. } = admission;
    let offer = named(admission, name)?;
    let none = [Policy::none()];
    let policies = if policies.is_empty() { &none } else { policies.as_slice() };
    let mut case = Case::new(program, offer, policies, *today);
    case.judge();
    let Some(export) = case.called else { return Err(case.invalid) };
    let manifest = &offer.manifest;
    let subject = case.subject(&export.function);

    let own: Vec<&Capability> = manifest.asks().iter().map(|ask| &ask.capability).collect();
    let asked = question.among(&own);
    let granted = case.granted.iter().any(|granted| granted.covers(&asked));
    let mut lines = Vec::new();
    let mut remedies = Vec::new();

    // Of several requests that cover it the one that is granted counts.
    let covering = manifest.asks().iter().filter(|ask| ask.capability.covers(&asked));
    let request =
        covering.clone().find(|ask| case.granted.contains(&ask.capability)).or(covering.clone().next());
    let place = request.and_then(|ask| ask.span.as_ref()).map(|span| Place::new(manifest.source(), span));
    lines.push(Line {
        witness: Witness::Manifest,
        allows: request.is_some(),
        says: match request {
            Some(ask) if place.is_some() => format!("asks for {}", ask.capability),
            Some(ask) => format!("asks for {}, as every manifest does", ask.capability),
            None => "does not ask for it".to_owned(),
        },
        rule: None,
        file: manifest.source().name.clone(),
        place: place.or_else(|| manifest.capabilities_place().filter(|_| request.is_none())),
    });
    if request.is_none() {
        remedies.push(ask_for(manifest, &asked));
    }

    let mut probe = Case::new(program, offer, policies, *today);
    let asks = probe.asks();
    let left: Vec<&Ask<'_>> = asks.iter().filter(|ask| ask.capability.covers(&asked)).collect();
    let narrowed = left.iter().find(|ask| case.granted.contains(&ask.capability)).or(left.first());
    let uses = program.tools().into_iter().flatten().find(|tool| tool.local == offer.local);
    let grant = uses.and_then(|uses| uses.grant.as_ref());
    lines.push(Line {
        witness: Witness::Program,
        allows: request.is_none() || narrowed.is_some(),
        says: match (grant, request, narrowed) {
            (None, ..) => "narrows nothing".to_owned(),
            (Some(_), Some(_), None) => "its `grant` leaves it out".to_owned(),
            (Some(_), _, Some(ask)) => format!("its `grant` leaves {}", ask.capability),
            (Some(_), None, None) => "only narrows what the manifest asks for".to_owned(),
        },
        rule: None,
        file: program.source().name.clone(),
        place: grant
            .map(|grant| &grant.span)
            .or(uses.map(|uses| &uses.span))
            .map(|span| Place::new(program.source(), span)),
    });
    if request.is_some() && narrowed.is_none() {
        remedies.push(format!(
            "name it in the `grant` of [tools.{}] of {}, or leave the grant out",
            offer.local,
            program.source().name
        ));
    }

    let class = asked.class();
    let import = offer.facts.imports.iter().find(|import| {
        matches!(classify(import), Classified::Authority(own) | Classified::InertByDefault(own) if own == class)
            && !manifest.stubs().iter().any(|stub| stub.value.matches(import))
    });
    lines.push(Line {
        witness: Witness::Component,
        allows: import.is_some(),
        says: match import {
            Some(import) => format!("imports {}", import.name),
            None => format!("imports nothing of {class}: it could not use it"),
        },
        rule: None,
        file: manifest.name().to_string(),
        place: None,
    });

    let weighed = narrowed.map_or_else(|| asked.clone(), |ask| ask.capability.clone());
    let host = match &weighed {
        Capability::Filesystem(folder) => case.agreed(Policy::folder, &folder.guest).ok().flatten(),
        _ => None,
    };
    let mut nearest = Vec::new();
    for (policy, verdict) in verdicts(policies, subject, Wanted::Capability(&weighed, host)) {
        let line = policy_line(policy, verdict, &weighed);
        if !line.allows
            && let Some(near) = policy.nearest(subject, &weighed)
        {
            nearest.push(Near {
                rule: near.rule.id.clone(),
                place: Place::new(policy.source(), near.span),
                why: near.why,
            });
        }
        lines.push(line);
        if let Verdict::Forbidden(rule, span) = policy.verdict(subject, Wanted::Call) {
            lines.push(Line {
                says: format!("row `{}` forbids the tool altogether", rule.id),
                ..forbidding(policy, rule, Place::new(policy.source(), span))
            });
        }
    }

    // The refusals of just this, with their lines to add: those of the judgement, or where nobody
    // asks, what would be said if somebody did.
    let gaps = if narrowed.is_some() {
        let imports: BTreeSet<&str> = offer.facts.imports.iter().map(|import| import.name.as_str()).collect();
        let about = |gap: &&Gap| match gap.class {
            Some(own) => {
                own == class && (gap.value == weighed.value() || imports.contains(gap.value.as_str()))
            }
            None => gap.code == GapCode::Forbidden,
        };
        case.gaps.iter().filter(about).cloned().collect()
    } else {
        probe.decide(subject, &Ask { capability: asked.clone(), span: None });
        std::mem::take(&mut probe.gaps)
    };
    for gap in &gaps {
        // Permitted, and nothing of this machine stands behind it.
        let behind = matches!(
            gap.code,
            GapCode::FolderMissing
                | GapCode::FolderConflict
                | GapCode::GrantCoversControlFiles
                | GapCode::EnvMissing
                | GapCode::EnvConflict
        );
        if let (true, Some(withheld)) = (behind, &gap.not_granted_by) {
            lines.push(Line {
                witness: Witness::Policy,
                allows: false,
                says: gap.message.clone(),
                rule: None,
                file: withheld.file.clone(),
                place: withheld.place.clone(),
            });
        }
        if !remedies.contains(&gap.help) {
            remedies.push(gap.help.clone());
        }
    }
    let whole = !case
        .gaps
        .iter()
        .any(|gap| gap.class.is_none() && (gap.code == GapCode::Forbidden || gap.code.is_of_publisher()));
    Ok(Explanation {
        program: program.name().to_owned(),
        tool: manifest.name().clone(),
        function: export.function.clone(),
        asked,
        weighed,
        granted: granted && whole,
        lines,
        nearest,
        restrictions: restrictions(policies, subject),
        remedies: if granted && whole { Vec::new() } else { remedies },
        elsewhere: elsewhere(admission, &gaps),
    })
}

impl Explanation {
    /// The ids of the policy rows that decide.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| line.rule.as_deref())
    }
}

/// The tool by its local name, else by its own.
fn named<'a>(admission: &'a Admission, name: &str) -> Result<&'a Offer, Diagnostics> {
    let mentioned = mentions(&admission.program);
    let offers = || admission.offers.iter().filter(|offer| mentioned.contains_key(&offer.local));
    let mut by_own = offers().filter(|offer| offer.manifest.name().as_str() == name);
    match (offers().find(|offer| offer.local.as_str() == name), by_own.next(), by_own.next()) {
        (Some(offer), ..) | (None, Some(offer), None) => Ok(offer),
        (None, Some(_), Some(_)) => Err(Diagnostic::error(
            "ambiguous_tool",
            format!("the program uses the tool `{}` under more than one name", name.escape_debug()),
        )
        .help("name it as the program does")
        .into()),
        (None, None, _) => {
            let names: Vec<&str> = offers().map(|offer| offer.local.as_str()).collect();
            let message = format!("the program has no tool `{}`", name.escape_debug());
            Err(Diagnostic::error("unknown_tool", message)
                .help(format!("it has {}", if names.is_empty() { "none".into() } else { names.join(", ") }))
                .into())
        }
    }
}

fn forbidding(policy: &Policy, rule: &Rule, place: Place) -> Line {
    Line {
        witness: Witness::Policy,
        allows: false,
        says: format!("row `{}` forbids it", rule.id),
        rule: Some(rule.id.clone()),
        file: policy.source().name.clone(),
        place: Some(place),
    }
}

/// What one policy says.
fn policy_line(policy: &Policy, verdict: Verdict<'_>, weighed: &Capability) -> Line {
    let says = |allows: bool, says: String, rule: Option<&Rule>| Line {
        witness: Witness::Policy,
        allows,
        says,
        rule: rule.map(|rule| rule.id.clone()),
        file: policy.source().name.clone(),
        place: rule.map(|rule| {
            let own = rule.capabilities.iter().find(|own| own.value.covers(weighed));
            Place::new(policy.source(), own.map_or(&rule.span, |own| &own.span))
        }),
    };
    match verdict {
        Verdict::Permitted(rule) => says(true, format!("row `{}` permits it", rule.id), Some(rule)),
        Verdict::Forbidden(rule, span) => forbidding(policy, rule, Place::new(policy.source(), span)),
        _ if weighed.is_inert() => says(true, "need not permit it: it carries no authority".to_owned(), None),
        Verdict::Expired(rule) => {
            says(false, format!("row `{}` permitted it, and has expired", rule.id), Some(rule))
        }
        Verdict::OtherComponent(rule) => {
            says(false, format!("row `{}` permits it to another component", rule.id), Some(rule))
        }
        Verdict::OtherPublisher(rule) => {
            says(false, format!("row `{}` permits it to what its publisher signed", rule.id), Some(rule))
        }
        Verdict::Untrusted(rule) => {
            says(false, format!("row `{}` permits it, but the policy is not trusted", rule.id), Some(rule))
        }
        Verdict::Abstains => {
            says(true, "no row speaks of it, and it leaves that to the other policies".to_owned(), None)
        }
        Verdict::NoRow(_) => says(false, "no row permits it".to_owned(), None),
    }
}

fn restrictions(policies: &[Policy], subject: Subject<'_>) -> Vec<Restriction> {
    let mut all = Vec::new();
    for policy in policies {
        for (rule, require) in policy.requirements(subject) {
            all.push(Restriction {
                rule: rule.id.clone(),
                says: require.value.text().to_owned(),
                place: Place::new(policy.source(), &require.span),
            });
        }
        for (rule, argument, origins) in policy.forbidden_origins(subject) {
            let words: Vec<&str> = origins.iter().map(|origin| origin.as_str()).collect();
            all.push(Restriction {
                rule: rule.id.clone(),
                says: format!("`{}` may not come from {}", argument.value, words.join(", ")),
                place: Place::new(policy.source(), &argument.span),
            });
        }
    }
    all
}

/// What else refuses the program.
fn elsewhere(admission: &Admission, own: &[Gap]) -> Diagnostics {
    match admit(admission.clone()) {
        Ok(_) => Diagnostics::new(),
        Err(Refusal::Invalid(found)) => found,
        Err(Refusal::Denied(denied)) => {
            let others = denied.gaps().iter().filter(|gap| !own.contains(gap));
            others.map(Gap::diagnostic).collect()
        }
    }
}

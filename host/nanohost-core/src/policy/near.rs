//! The row that comes nearest to permitting something, for whoever asks why it is not. Decides
//! nothing: rows are held against the question by what judges them.

use std::ops::Range;

use super::{Policy, Rule, Stance, Subject, Wanted};
use crate::capability::Capability;

/// A row that permits something like it.
#[derive(Debug)]
pub(crate) struct Neighbour<'p> {
    pub(crate) rule: &'p Rule,
    /// What the row permits that comes nearest.
    pub(crate) span: &'p Range<usize>,
    /// Why it is not what grants it.
    pub(crate) why: String,
}

impl Policy {
    /// The permit row nearest to granting `capability` to `subject`: first those that permit it
    /// whole, with the fewest things in the way; then those for the subject that permit some of it;
    /// then those that permit something of its class.
    pub(crate) fn nearest(&self, subject: Subject<'_>, capability: &Capability) -> Option<Neighbour<'_>> {
        let permits = self.rules().iter().filter(|rule| rule.stance == Stance::Permit);
        let ranked = permits.filter_map(|rule| {
            let own = |fits: &dyn Fn(&Capability) -> bool| {
                rule.capabilities.iter().find(|own| fits(&own.value)).map(|own| (own, &own.span))
            };
            let obstacles = obstacles(rule, subject);
            if rule.permits(Wanted::Capability(capability, None)) {
                let (_, span) = own(&|own| own.covers(capability))?;
                let why = match obstacles.as_slice() {
                    [] => "it permits it".to_owned(),
                    obstacles => format!("it permits it, but {}", obstacles.join(", and ")),
                };
                return Some(((obstacles.len(), 0), Neighbour { rule, span, why }));
            }
            if !rule.concerns(subject) {
                return None;
            }
            let same = |own: &Capability| own.class() == capability.class();
            let (rank, (own, span)) = match own(&|own| own.meet(capability).is_some()) {
                Some(found) => (0, found),
                None => (1, own(&same)?),
            };
            let why = format!("it permits {} only", own.value);
            Some(((usize::MAX, rank), Neighbour { rule, span, why }))
        });
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, near)| near)
    }
}

/// What keeps a row from speaking of `subject` now.
fn obstacles(rule: &Rule, subject: Subject<'_>) -> Vec<String> {
    let mut all = Vec::new();
    if rule.is_expired(subject.today) {
        all.push("it has expired".to_owned());
    }
    let other = |what: &str, own: Option<&str>, asked: &str| {
        own.filter(|own| *own != asked).map(|own| format!("it is for {what} `{}`", own.escape_debug()))
    };
    all.extend(other("program", rule.program.as_deref(), subject.program));
    all.extend(other("tool", rule.tool.as_ref().map(crate::ToolName::as_str), subject.tool.as_str()));
    if let Some(digest) = rule.digest.as_ref().filter(|digest| digest.value != subject.component) {
        all.push(format!(
            "it is for the component sha256:{}, and this one is sha256:{}",
            digest.value, subject.component
        ));
    }
    all.extend(other("function", rule.function.as_deref(), subject.function));
    all
}

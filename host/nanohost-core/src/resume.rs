//! Who may answer a suspension: the step's `by` against the operator's roles. Knows nothing of how
//! a principal was authenticated, and nothing of tokens.

use crate::check::Resume;
use crate::policy::{Policy, Trust};

/// What lets somebody answer where a step names nobody: they hold the store.
pub const OPERATOR: &str = "operator";

/// The entry of `by` for whoever opened the run.
pub const STARTER: &str = "starter";

/// Why somebody may not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotEntitled {
    /// They opened the run, and may not be their own approver.
    #[error("{principal} opened this run, and `by` does not say `starter`: somebody else has to answer")]
    Starter {
        /// Who.
        principal: String,
    },
    /// No entry of `by` is about them.
    #[error("{principal} is none of {}", by.iter().map(|entry| format!("`{entry}`")).collect::<Vec<_>>().join(", "))]
    NotNamed {
        /// Who.
        principal: String,
        /// Whom the step names.
        by: Vec<String>,
    },
}

/// The entry of the step's `by` that lets `principal` answer a run that `starter` opened. Without
/// `by` the operator may, and whoever else holds the store.
///
/// `policies` are those the run began under and those now in force: who answers needs the role by
/// all of them, so that naming another policy makes nobody an approver.
///
/// # Errors
/// They may not.
pub fn entitled(
    rules: Option<&Resume>,
    starter: &str,
    principal: &str,
    policies: [&[Policy]; 2],
) -> Result<String, NotEntitled> {
    let by = rules.map_or(&[][..], |rules| &rules.by);
    if by.is_empty() {
        return Ok(OPERATOR.to_owned());
    }
    if principal == starter {
        let own = by.iter().any(|entry| entry == STARTER);
        let refused = NotEntitled::Starter { principal: principal.to_owned() };
        return if own { Ok(STARTER.to_owned()) } else { Err(refused) };
    }
    let fits = |entry: &&String| match entry.strip_prefix("role:") {
        Some(role) => policies.iter().all(|policies| has_role(principal, role, policies)),
        None => *entry == principal && *entry != STARTER,
    };
    match by.iter().find(fits) {
        Some(entry) => Ok(entry.clone()),
        None => Err(NotEntitled::NotNamed { principal: principal.to_owned(), by: by.to_vec() }),
    }
}

/// Policies compose by intersection: some trusted policy names the principal for the role, and none
/// that speaks of the role leaves them out.
fn has_role(principal: &str, role: &str, policies: &[Policy]) -> bool {
    let names =
        |policy: &Policy| policy.role(role).map(|members| members.iter().any(|member| member == principal));
    let trusted = |policy: &&Policy| matches!(policy.trust(), Trust::Trusted);
    policies.iter().filter(trusted).any(|policy| names(policy) == Some(true))
        && policies.iter().all(|policy| names(policy) != Some(false))
}

#[cfg(test)]
mod tests;

//! The models that a program asks: each alias needs a row of every policy. Knows nothing of how a
//! model is asked.

use std::time::Duration;

use serde_json::{Value, json};

use super::gap::{Gap, GapCode, Place, Withheld};
use super::remedy::quoted;
use crate::check::CheckedProgram;
use crate::policy::{BaseUrl, ModelParams, ModelPii, ModelRule, Policy, Provider, Trust};
use crate::{Diagnostic, Diagnostics, StepId};

/// One model of the table. Read-only: rows exist only inside a [`super::Plan`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelRow {
    /// The name that steps ask it by.
    pub alias: String,
    /// How its server is spoken to.
    pub provider: Provider,
    /// Where its server is.
    pub base_url: BaseUrl,
    /// The server's name of it.
    pub model: String,
    /// The variable of the host that holds the key; `None`: the server needs none.
    pub key_env: Option<String>,
    /// What becomes of personal data on its way there.
    pub pii: ModelPii,
    /// What it is told beside the prompt.
    pub params: ModelParams,
    /// The longest one attempt may take, whatever the step says.
    pub timeout: Duration,
    /// The most bytes the server may answer an attempt with.
    pub answer: u64,
}

impl ModelRow {
    fn of(rule: ModelRule) -> Self {
        let ModelRule {
            alias,
            span: _,
            provider,
            base_url,
            model,
            key_env,
            pii,
            params,
            timeout,
            answer,
            saved: _,
        } = rule;
        Self { alias, provider, base_url, model, key_env, pii, params, timeout, answer }
    }

    /// The row as data.
    pub fn to_json(&self) -> Value {
        json!({
            "alias": self.alias,
            "provider": self.provider,
            "baseUrl": self.base_url.to_string(),
            "model": self.model,
            "keyEnv": self.key_env,
            "pii": self.pii,
            "params": self.params,
            "timeout": u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            "answer": self.answer,
        })
    }
}

/// What came of the models of a program.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Sorted by alias.
    pub(super) rows: Vec<ModelRow>,
    pub(super) gaps: Vec<Gap>,
    pub(super) warnings: Diagnostics,
}

/// Weighs every alias that a step asks.
pub(super) fn judge(program: &CheckedProgram, policies: &[Policy]) -> Judged {
    let mut judged = Judged::default();
    for (alias, step) in program.models() {
        let mut gaps = Vec::new();
        let mut agreed: Option<ModelRule> = None;
        let nobody = policies.iter().all(|policy| policy.model(alias).is_none());
        for (at, policy) in policies.iter().enumerate() {
            // Where all leave it to others, the last of them is the one that has no row.
            let others = policy.abstains() && !(nobody && at + 1 == policies.len());
            match (policy.model(alias), agreed.take()) {
                (None, before) if others => agreed = before,
                (None, before) => {
                    gaps.push(missing(alias, step, policy));
                    agreed = before;
                }
                (Some(row), before) => {
                    if *policy.trust() != Trust::Trusted {
                        gaps.push(untrusted(alias, step, policy, row));
                    }
                    if program.class().is_saved() && !row.saved {
                        gaps.push(not_for_saved(alias, step, policy, row));
                    }
                    agreed = match before.map_or_else(|| Ok(row.clone()), |before| before.meet(row)) {
                        Ok(agreed) => Some(agreed),
                        Err(key) => {
                            gaps.push(conflict(alias, step, policy, row, key));
                            Some(row.clone())
                        }
                    };
                }
            }
        }
        match agreed {
            Some(rule) if gaps.is_empty() => {
                warn_in_clear(&rule, policies, &mut judged.warnings);
                judged.rows.push(ModelRow::of(rule));
            }
            _ => judged.gaps.extend(gaps),
        }
    }
    judged
}

fn missing(alias: &str, step: &StepId, policy: &Policy) -> Gap {
    let file = &policy.source().name;
    let lines = format!(
        "[models.{}]\nprovider = \"openai\"\nbase_url = \"https://<server>/v1\"\nmodel = \"<the server's name of it>\"\n\
         key_env = \"<variable that holds the key>\"",
        key(alias)
    );
    let help = match (crate::policy::is_alias(alias), policy.is_built_in()) {
        (false, _) => {
            "an alias that a policy can grant is letters, digits, `-`, `_` and `.`: rename it".to_owned()
        }
        (_, true) => format!("write a policy, such as policies/local.toml, with:\n\n{lines}"),
        (_, false) => format!("add to {file}:\n\n{lines}"),
    };
    gap(GapCode::NotGranted, alias, step, format!("no row of {file} grants it"), help, policy, None)
}

fn untrusted(alias: &str, step: &StepId, policy: &Policy, row: &ModelRule) -> Gap {
    let file = &policy.source().name;
    gap(
        GapCode::NotGranted,
        alias,
        step,
        format!("{file} grants it, but nobody has said that policy is to be trusted"),
        format!("read {file}; then name it with --policy, or trust its project: nanohost trust DIR"),
        policy,
        Some(row),
    )
}

fn not_for_saved(alias: &str, step: &StepId, policy: &Policy, row: &ModelRule) -> Gap {
    let file = &policy.source().name;
    gap(
        GapCode::NotGranted,
        alias,
        step,
        format!("its row of {file} is not for programs that a client saved"),
        "write `saved = true` in the row, if any such program may ask this model".to_owned(),
        policy,
        Some(row),
    )
}

fn conflict(alias: &str, step: &StepId, policy: &Policy, row: &ModelRule, key: &str) -> Gap {
    gap(
        GapCode::ModelConflict,
        alias,
        step,
        format!("two policies mean different models by it: their `{key}` differ"),
        "let the policies agree; what they leave out may differ, and of bounds the narrower one counts"
            .to_owned(),
        policy,
        Some(row),
    )
}

fn gap(
    code: GapCode,
    alias: &str,
    step: &StepId,
    because: String,
    help: String,
    policy: &Policy,
    row: Option<&ModelRule>,
) -> Gap {
    Gap {
        code,
        tool: None,
        class: None,
        value: alias.to_owned(),
        asks: None,
        message: format!("step `{step}` asks the model `{}`, and {because}", alias.escape_debug()),
        help,
        not_granted_by: Some(Withheld {
            file: policy.source().name.clone(),
            rule: None,
            place: row.map(|row| Place::new(policy.source(), &row.span)),
        }),
    }
}

/// An alias as a TOML key.
fn key(alias: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if alias.bytes().all(bare) { alias.to_owned() } else { quoted(alias) }
}

/// Without a key a server elsewhere may be spoken to openly, and everybody between reads along.
fn warn_in_clear(rule: &ModelRule, policies: &[Policy], warnings: &mut Diagnostics) {
    if rule.base_url.is_secure() || rule.base_url.is_loopback() {
        return;
    }
    let finding = Diagnostic::warning(
        "model_in_clear",
        format!("prompts for `{}` go to {} as plain text", rule.alias, rule.base_url.origin()),
    )
    .help("use https, or a server on this machine");
    let place = policies.iter().find_map(|policy| Some((policy, policy.model(&rule.alias)?)));
    warnings.push(match place {
        Some((policy, row)) => finding.at(policy.source(), row.span.clone()),
        None => finding,
    });
}

#[cfg(test)]
mod tests;

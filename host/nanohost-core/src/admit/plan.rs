//! [`Plan`]: the capability table, frozen. Knows nothing of how it was decided or is enforced.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use super::gap::Place;
use super::model::ModelRow;
use super::publisher::Vouched;
use crate::capability::{Effect, Grants, Limits};
use crate::check::CheckedProgram;
use crate::condition::{Condition, EvalError};
use crate::facts::ToolExport;
use crate::origin::Origins;
use crate::policy::Policy;
use crate::program::schema;
use crate::template::{Root, Scope};
use crate::{Diagnostics, Digest, ToolName};

/// The form of the table that [`Plan::digest`] covers. A change of the form changes the name.
const TABLE_FORMAT: &str = "nanohost/table/v2";

/// No refusal of arguments lists more places: a hostile value must not make the answer large.
const MAX_MISFITS: usize = 16;

/// An admitted program: everything it can reach, pinned. Made only by [`crate::admit()`], never
/// read back from anywhere; resuming admits again and compares [`Plan::digest`].
#[derive(Debug)]
pub struct Plan {
    pub(super) program: Arc<CheckedProgram>,
    /// Sorted by local name.
    pub(super) rows: Vec<Row>,
    /// Sorted by alias.
    pub(super) models: Vec<ModelRow>,
    pub(super) policies: Vec<Policy>,
    pub(super) warnings: Diagnostics,
    /// By local name and argument.
    pub(super) arguments: BTreeMap<ToolName, BTreeMap<String, Origins>>,
    pub(super) digest: Digest,
}

/// One tool function of the table. Read-only: rows exist only inside a [`Plan`].
#[derive(Debug)]
pub struct Row {
    /// The tool's name in the program.
    pub local: ToolName,
    /// The tool's own name, which policies speak of.
    pub tool: ToolName,
    /// The tool's version, from its manifest.
    pub version: String,
    /// Digest of the component's bytes.
    pub component: Digest,
    /// Digest of the manifest's bytes.
    pub manifest: Digest,
    /// The function that is called.
    pub export: ToolExport,
    /// What a call does to the world: the author's claim or what the grants allow, whichever is
    /// stronger.
    pub effect: Effect,
    /// What the manifest asks for.
    pub requested: Vec<String>,
    /// What of that the tool has.
    pub granted: Vec<String>,
    /// The imports that are satisfied, by full name.
    pub linked: Vec<String>,
    /// The imports that are traps, by full name.
    pub stubbed: Vec<String>,
    /// Bounds of each call.
    pub limits: Limits,
    /// Which policy row granted what.
    pub rules: Vec<RuleGrant>,
    /// The authority itself.
    pub grants: Grants,
    /// What has to hold for the arguments of every call.
    pub require: Vec<Requirement>,
    /// What the function does, for people and models. The author's words, pinned by the manifest's
    /// digest.
    pub description: Option<String>,
    /// Paths of personal data, such as `input.customer.email`, from the manifest.
    pub pii: Vec<String>,
    /// Whose word there is for the tool.
    pub vouched: Vouched,
    pub(super) validator: ArgsValidator,
}

/// A policy row at work.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleGrant {
    /// The row's id.
    pub rule: String,
    /// What it granted, such as `kv refunds`.
    pub granted: String,
    /// Where the row stands. No part of the table: the same row on another line grants the same.
    pub place: Place,
}

/// A policy row's `require`.
#[derive(Debug, Clone)]
pub struct Requirement {
    /// The row's id.
    pub rule: String,
    /// What has to hold over `$args`.
    pub condition: Condition,
    /// Where it stands.
    pub place: Place,
}

/// Why a call is not made with these arguments.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ArgsRefused {
    /// They do not fit the export's input schema.
    #[error("the arguments do not fit the schema of `{tool}`: {}", misfits.first().map(ToString::to_string).unwrap_or_default())]
    Schema {
        /// The tool's local name.
        tool: ToolName,
        /// Where and how, at most sixteen, at least one.
        misfits: Vec<Misfit>,
    },
    /// A policy row's `require` is false for them, or cannot be decided.
    #[error("policy row `{rule}` ({place}) refuses the arguments of `{tool}`: `{condition}` {}", match undecidable {
        Some(why) => format!("cannot be decided: {why}"),
        None => "is false".into(),
    })]
    Require {
        /// The tool's local name.
        tool: ToolName,
        /// The row's id.
        rule: String,
        /// Where the row says so.
        place: Place,
        /// The condition as written.
        condition: String,
        /// Why it cannot be decided; `None`: it is false.
        undecidable: Option<Box<EvalError>>,
    },
}

/// One place where arguments do not fit. Holds nothing of the arguments' values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// JSON Pointer (RFC 6901) into the arguments; empty: the arguments as a whole.
    pub path: String,
    /// What is wrong there, without the value itself.
    pub problem: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the arguments" } else { &self.path };
        write!(f, "{path}: {}", self.problem)
    }
}

impl Plan {
    /// The program it is for.
    pub fn program(&self) -> &Arc<CheckedProgram> {
        &self.program
    }

    /// The rows, sorted by local name.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of a tool; `None`: the program has no such tool, whatever exists on disk.
    pub fn row(&self, local: &ToolName) -> Option<&Row> {
        self.rows.binary_search_by(|row| row.local.cmp(local)).ok().map(|at| &self.rows[at])
    }

    /// The models, sorted by alias. The scripted one, which asks nobody, is not among them.
    pub fn models(&self) -> &[ModelRow] {
        &self.models
    }

    /// The row of a model; `None`: the program asks no such one, or it is the scripted one.
    pub fn model(&self, alias: &str) -> Option<&ModelRow> {
        self.models.binary_search_by(|row| row.alias.as_str().cmp(alias)).ok().map(|at| &self.models[at])
    }

    /// The policies it was admitted under.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// The arguments that the program's steps and models give the tool of a local name, and where each
    /// can come from.
    pub fn arguments(&self, local: &ToolName) -> impl Iterator<Item = (&str, Origins)> {
        self.arguments.get(local).into_iter().flatten().map(|(name, origins)| (name.as_str(), *origins))
    }

    /// What is worth knowing although nothing is refused for it.
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// The `table` digest that every envelope carries: SHA-256 over the RFC 8785 form of
    /// [`Plan::to_json`].
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The table as data. Values of variables are not in it: they are committed as inputs of the
    /// calls, and a digest over a guessable value would give it away. Neither is the policy's
    /// digest, since the same rows under a newer policy are the same table.
    pub fn to_json(&self) -> Value {
        table_json(&self.rows, &self.models)
    }

    /// Judges the final arguments of one call, before anything is instantiated.
    pub fn check_args(&self, row: &Row, args: &Value) -> Result<(), ArgsRefused> {
        let misfits = row.validator.misfits(args);
        if !misfits.is_empty() {
            return Err(ArgsRefused::Schema { tool: row.local.clone(), misfits });
        }
        for Requirement { rule, condition, place } in &row.require {
            let undecidable = match condition.evaluate(&Args(args)) {
                Ok(true) => continue,
                Ok(false) => None,
                Err(why) => Some(Box::new(why)),
            };
            return Err(ArgsRefused::Require {
                tool: row.local.clone(),
                rule: rule.clone(),
                place: place.clone(),
                condition: condition.text().to_owned(),
                undecidable,
            });
        }
        Ok(())
    }
}

/// `$args` and nothing else.
struct Args<'a>(&'a Value);

impl Scope for Args<'_> {
    fn root(&self, name: &str) -> Root<'_> {
        if name == "args" { Root::Plain(self.0) } else { Root::Absent }
    }
}

/// The compiled input schema of an export.
pub(super) struct ArgsValidator(jsonschema::Validator);

impl ArgsValidator {
    /// Compiles the input schema (draft 2020-12). References are an error, also in the output schema:
    /// nothing is ever fetched.
    pub(super) fn new(export: &ToolExport) -> Result<Self, String> {
        schema::compile_of_tool(&export.output)?;
        schema::compile_of_tool(&export.input).map(Self)
    }

    pub(super) fn misfits(&self, args: &Value) -> Vec<Misfit> {
        if self.0.is_valid(args) {
            return Vec::new();
        }
        self.0
            .iter_errors(args)
            .take(MAX_MISFITS)
            .map(|error| Misfit {
                path: error.instance_path().to_string(),
                problem: error.masked_with("the value").to_string(),
            })
            .collect()
    }
}

impl fmt::Debug for ArgsValidator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArgsValidator")
    }
}

/// The table as data, rows in their order.
pub(super) fn table_json(rows: &[Row], models: &[ModelRow]) -> Value {
    json!({
        "format": TABLE_FORMAT,
        "rows": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        "models": models.iter().map(ModelRow::to_json).collect::<Vec<_>>(),
    })
}

impl Row {
    /// The row as data: digests whole, schemas by digest, no values of variables.
    pub fn to_json(&self) -> Value {
        let rules: Vec<Value> =
            self.rules.iter().map(|rule| json!({ "rule": rule.rule, "granted": rule.granted })).collect();
        let require: Vec<Value> = self
            .require
            .iter()
            .map(|require| json!({ "rule": require.rule, "condition": require.condition.text() }))
            .collect();
        let folders: Vec<Value> = self
            .grants
            .filesystem()
            .iter()
            .map(|grant| {
                json!({
                    "guest": grant.folder.guest,
                    "access": grant.folder.access.to_string(),
                    "host": grant.host,
                })
            })
            .collect();
        let mut row = json!({
            "local": self.local,
            "tool": self.tool,
            "version": self.version,
            "component": self.component,
            "manifest": self.manifest,
            "export": self.export.path(),
            "input": schema_digest(&self.export.input),
            "output": schema_digest(&self.export.output),
            "effect": self.effect.to_string(),
            "requested": self.requested,
            "granted": self.granted,
            "linked": self.linked,
            "stubbed": self.stubbed,
            "limits": self.limits,
            "rules": rules,
            "folders": folders,
            "require": require,
            "pii": self.pii,
        });
        let together = self.grants.together();
        if !together.is_none() {
            row["together"] = json!(together);
        }
        match &self.vouched {
            Vouched::Publisher { name, key, signature } => {
                row["publisher"] = json!({ "name": name, "key": key.digest(), "signature": signature });
            }
            Vouched::Unsigned(rule) => row["unsigned"] = json!(rule.as_str()),
            Vouched::Nobody => {}
        }
        row
    }
}

/// SHA-256 of the schema with sorted keys. Not its RFC 8785 form: a schema of 64-bit integers has
/// bounds that form cannot hold.
pub fn schema_digest(schema: &Value) -> Digest {
    let mut sorted = schema.clone();
    sorted.sort_all_objects();
    Digest::of(sorted.to_string().as_bytes())
}

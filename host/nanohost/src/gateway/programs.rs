//! Programs as things to look at, save and delete: those that are published are the same for all, those
//! that clients saved are each one's own.

use std::sync::Arc;

use nanohost_core::{Diagnostics, Severity};
use serde_json::{Value, json};

use super::caller::{Caller, Scope};
use super::evidence::{MAX_PAGE, Page};
use super::offer::Offered;
use super::saved::Saved;
use super::starting::Asked;
use super::told::Told;
use super::{Gateway, answer_schema};
use crate::failure::Failure;
use crate::ledger;

impl Gateway {
    /// The programs that a caller may run, sorted by name.
    ///
    /// # Errors
    /// Where saved programs cannot be read.
    pub fn programs(&self, cursor: Option<&str>, caller: &Caller) -> anyhow::Result<Page<Value>> {
        let mut all: Vec<Value> = self
            .offered()
            .filter(|one| !one.is_single() && caller.scopes.has(Scope::Programs))
            .map(|one| json!({ "name": one.name(), "saved": false, "description": one.description() }))
            .collect();
        let saved = self.saved().list(&caller.principal)?;
        // A name that is published means the published program, whatever was saved under it before.
        let own = saved.into_iter().filter(|name| self.offer(&name.name).is_none());
        all.extend(own.map(|name| json!({ "name": name.name, "saved": true, "description": null })));
        all.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
        let after = |one: &Value| cursor.is_none_or(|cursor| one["name"].as_str() > Some(cursor));
        let mut items: Vec<Value> = all.into_iter().filter(after).take(MAX_PAGE + 1).collect();
        let more = items.len() > MAX_PAGE;
        items.truncate(MAX_PAGE);
        let last = items.last().and_then(|one| one["name"].as_str());
        Ok(Page { next: last.filter(|_| more).map(str::to_owned), items })
    }

    /// A program by its name, with what its tools were granted.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn program(&self, name: &str, caller: &Caller) -> Result<Value, Told> {
        let one = match self.offer(name) {
            Some(one) if one.is_single() || !caller.scopes.has(Scope::Programs) => {
                return Err(unknown(name));
            }
            Some(one) => Arc::clone(one),
            None => {
                let found = self.saved().find(name, &caller.principal).map_err(|error| Told::of(&error))?;
                let Some((_, text)) = found else { return Err(unknown(name)) };
                return match self.find(&Asked::Named(name.to_owned()), caller) {
                    Ok(one) => self.described(&one, true),
                    // Where it is not run now, it can be looked at all the same.
                    Err(_) => self.described_alone(&text),
                };
            }
        };
        self.described(&one, false)
    }

    fn described(&self, one: &Offered, saved: bool) -> Result<Value, Told> {
        let decided = one.decide(&self.engine, ledger::now()).map_err(|error| Told::of(&error))?;
        let plan = decided.outcome.as_ref().ok().map(|admitted| &admitted.plan);
        let rows = plan.iter().flat_map(|plan| plan.rows());
        let tools: Vec<Value> = rows
            .map(|row| {
                json!({
                    "name": row.local,
                    "tool": row.tool,
                    "version": row.version,
                    "component": row.component,
                    "effect": row.effect.to_string(),
                    "granted": row.granted,
                })
            })
            .collect();
        let program = one.program();
        Ok(json!({
            "name": program.name(),
            "saved": saved,
            "description": program.description(),
            "version": program.version(),
            "digest": program.digest(),
            "source": program.source().text,
            "inputSchema": one.input_schema(),
            "outputSchema": answer_schema(one.output_schema()),
            "admitted": plan.is_some(),
            "tools": tools,
        }))
    }

    /// A saved program that is not ready to run.
    fn described_alone(&self, text: &str) -> Result<Value, Told> {
        let (program, _) = Saved::check(text).map_err(|error| Told::of(&error))?;
        Ok(json!({
            "name": program.name(),
            "saved": true,
            "description": program.description(),
            "version": program.version(),
            "digest": program.digest(),
            "source": text,
            "inputSchema": super::schema::input_schema(&program),
            "outputSchema": answer_schema(&json!({})),
            "admitted": false,
            "tools": [],
        }))
    }

    /// The text of a tool's manifest, by the program that uses it.
    ///
    /// # Errors
    /// Where there is no such program or tool.
    pub fn manifest(&self, program: &str, tool: &str, caller: &Caller) -> Result<String, Told> {
        let one = self.find(&Asked::Named(program.to_owned()), caller)?;
        let found = one.prepared().tools.iter().find(|(local, _)| local.as_str() == tool);
        found.map(|(_, tool)| tool.manifest.source().text.clone()).ok_or_else(|| unknown(tool))
    }

    /// Saves a program for the caller.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn save(&self, text: &str, caller: &Caller) -> Result<Value, Told> {
        let (program, warnings) = Saved::check(text).map_err(|error| Told::of(&error))?;
        if self.offer(program.name()).is_some() {
            return Err(Told::one(
                "ambiguous_program",
                format!("{:?} is the name of a published program", program.name()),
                "give yours another name",
            ));
        }
        let saved = self.saved().save(text, &caller.principal).map_err(|error| Told::of(&error))?;
        Ok(json!({ "name": saved.name, "digest": saved.digest, "warnings": findings(&warnings) }))
    }

    /// Forgets a program of the caller's.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub fn delete(&self, name: &str, caller: &Caller) -> Result<Value, Told> {
        match self.saved().delete(name, &caller.principal).map_err(|error| Told::of(&error))? {
            true => Ok(json!({ "name": name, "deleted": true })),
            false => Err(unknown(name)),
        }
    }

    /// Looks at a program without running it.
    pub fn check(text: &str) -> Value {
        match Saved::check(text) {
            Ok((_, warnings)) => json!({ "good": true, "findings": findings(&warnings) }),
            Err(error) => {
                let found = match error.downcast::<Failure>() {
                    Ok(failure) => findings(&failure.findings),
                    Err(_) => Value::Array(Vec::new()),
                };
                json!({ "good": false, "findings": found })
            }
        }
    }
}

fn unknown(name: &str) -> Told {
    let shown: String = name.chars().take(64).collect();
    Told::one(
        "unknown_program",
        format!("there is no program {shown:?}"),
        "`list_programs` shows those there are",
    )
}

/// Findings about a client's own text.
fn findings(findings: &Diagnostics) -> Value {
    let one = |finding: &nanohost_core::Diagnostic| {
        let place = finding.source.as_ref().zip(finding.span.as_ref());
        let place = place.map(|(source, span)| source.line_column(span.start));
        json!({
            "code": finding.code,
            "severity": match finding.severity { Severity::Error => "error", Severity::Warning => "warning" },
            "message": finding.message,
            "line": place.map(|(line, _)| line),
            "column": place.map(|(_, column)| column),
            "help": finding.help,
        })
    };
    findings.iter().map(one).collect()
}

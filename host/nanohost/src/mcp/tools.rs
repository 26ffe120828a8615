//! The tools that every gateway has, with exact schemas of what they take and answer, and the programs that
//! the operator published as tools of their own. Knows nothing of what they do.

use std::sync::Arc;

use rmcp::model::{MetaObject, Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use crate::console::escaped;
use crate::gateway::{Caller, Hints, Offered, Scope, answer_schema};

/// A tool of the gateway itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    RunProgram,
    ResumeRun,
    GetTrace,
    GetReceipt,
    VerifyRun,
    ListPrograms,
    GetProgram,
    SaveProgram,
    DeleteProgram,
    ListRuns,
    CheckProgram,
}

impl Own {
    /// All of them, sorted by name.
    pub const ALL: [Self; 11] = [
        Self::CheckProgram,
        Self::DeleteProgram,
        Self::GetProgram,
        Self::GetReceipt,
        Self::GetTrace,
        Self::ListPrograms,
        Self::ListRuns,
        Self::ResumeRun,
        Self::RunProgram,
        Self::SaveProgram,
        Self::VerifyRun,
    ];

    /// Its name in the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RunProgram => "run_program",
            Self::ResumeRun => "resume_run",
            Self::GetTrace => "get_trace",
            Self::GetReceipt => "get_receipt",
            Self::VerifyRun => "verify_run",
            Self::ListPrograms => "list_programs",
            Self::GetProgram => "get_program",
            Self::SaveProgram => "save_program",
            Self::DeleteProgram => "delete_program",
            Self::ListRuns => "list_runs",
            Self::CheckProgram => "check_program",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|own| own.name() == name)
    }

    /// What a caller needs for it; `None`: everybody has it.
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Self::RunProgram | Self::ResumeRun | Self::SaveProgram | Self::DeleteProgram => {
                Some(Scope::Programs)
            }
            Self::GetTrace
            | Self::GetReceipt
            | Self::VerifyRun
            | Self::ListPrograms
            | Self::GetProgram
            | Self::ListRuns
            | Self::CheckProgram => None,
        }
    }

    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::RunProgram => (
                "Run a program",
                "Runs a program: one that is published or that you saved, by its name, or one that you hand over as \
                 text. Every call of its tools goes through the table that policy and program leave, and is signed \
                 into the evidence. Gives the run's id, how it ended, and what it returned.",
            ),
            Self::ResumeRun => (
                "Answer a run that waits",
                "Answers a run that waits for you. Without an event: what it asks, the schema of the answer, and \
                 once the token to answer with. Only whoever the program names may answer, and not whoever started \
                 the run unless it says so.",
            ),
            Self::GetTrace => (
                "Show what a run did",
                "Every envelope of a run of yours, from evidence that verifies, without personal data.",
            ),
            Self::GetReceipt => (
                "Show the receipt of a run",
                "The receipt of a run of yours, computed from its verified evidence.",
            ),
            Self::VerifyRun => {
                ("Verify a run", "Checks the evidence of a run of yours, and says what each check found.")
            }
            Self::ListPrograms => {
                ("List programs", "The programs that are published and those that you saved, sorted by name.")
            }
            Self::GetProgram => {
                ("Show a program", "A program's text, its inputs, and what each of its tools was granted.")
            }
            Self::SaveProgram => (
                "Save a program",
                "Checks a program and saves it under the name that it gives itself, for you alone. It names no place \
                 of this machine, calls tools by the names that the operator offers, and gets only what the \
                 operator's policy grants to saved programs.",
            ),
            Self::DeleteProgram => (
                "Delete a saved program",
                "Forgets a program that you saved. The evidence of its runs stays.",
            ),
            Self::ListRuns => ("List runs", "Your runs, the newest first."),
            Self::CheckProgram => (
                "Check a program",
                "Looks at a program without running it: every mistake with its line, and what is worth knowing.",
            ),
        }
    }

    /// The JSON Schema of its arguments, draft 2020-12.
    pub fn input(self) -> Map<String, Value> {
        let run = || json!({ "type": "string", "pattern": "^[0-9a-f]{32}$", "description": "The run's id." });
        let cursor = || json!({ "type": "string", "maxLength": 256, "description": "`nextCursor` of the page before." });
        let source = || {
            json!({
                "type": "string",
                "minLength": 1,
                "maxLength": crate::gateway::MAX_PROGRAM,
                "description": "The text of the program, TOML or JSON.",
            })
        };
        let name = || json!({ "type": "string", "minLength": 1, "maxLength": 64 });
        match self {
            Self::RunProgram => {
                let mut schema = taking(
                    json!({
                        "program": name(),
                        "source": source(),
                        "inputs": { "type": "object", "description": "The inputs, as the program declares them." },
                        "idempotencyKey": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 512,
                            "description": "Start at most once: the same key with the same program and inputs gives the first run's result.",
                        },
                    }),
                    &[],
                );
                schema.insert(
                    "oneOf".to_owned(),
                    json!([{ "required": ["program"] }, { "required": ["source"] }]),
                );
                schema
            }
            Self::ResumeRun => taking(
                json!({
                    "run": run(),
                    "event": { "description": "The answer, as the step's schema wants it." },
                    "token": { "type": "string", "maxLength": 256, "description": "The token of the suspension." },
                    "signature": {
                        "type": "string",
                        "maxLength": 4096,
                        "description": "What came beside the event, for the tool that checks it.",
                    },
                }),
                &["run"],
            ),
            Self::GetTrace | Self::GetReceipt | Self::VerifyRun => taking(json!({ "run": run() }), &["run"]),
            Self::ListPrograms | Self::ListRuns => taking(json!({ "cursor": cursor() }), &[]),
            Self::GetProgram | Self::DeleteProgram => taking(json!({ "name": name() }), &["name"]),
            Self::SaveProgram | Self::CheckProgram => taking(json!({ "source": source() }), &["source"]),
        }
    }

    /// The JSON Schema of what it answers, draft 2020-12.
    pub fn output(self) -> Map<String, Value> {
        let text = || json!({ "type": "string" });
        let text_or_null = || json!({ "type": ["string", "null"] });
        let number = || json!({ "type": "integer", "minimum": 0 });
        let findings = || {
            json!({ "type": "array", "items": giving(json!({
                "code": text(), "severity": { "enum": ["error", "warning"] }, "message": text(),
                "line": { "type": ["integer", "null"] }, "column": { "type": ["integer", "null"] }, "help": text_or_null(),
            })) })
        };
        match self {
            Self::RunProgram => answer_schema(&json!({})),
            Self::ResumeRun => giving(json!({
                "asks": { "anyOf": [{ "type": "null" }, giving(json!({
                    "run": text(),
                    "question": { "type": "object" },
                    "schema": {},
                    "token": text_or_null(),
                }))] },
                "answer": { "anyOf": [{ "type": "null" }, answer_schema(&json!({}))] },
            })),
            Self::GetTrace => giving(json!({
                "run": text(),
                "state": text(),
                "head": text(),
                "envelopes": { "type": "array", "items": giving(json!({
                    "digest": text(), "predicate": { "type": "object" }, "values": { "type": "object" },
                })) },
            })),
            Self::GetReceipt => giving(json!({
                "receipt": number(), "evidence": text(), "run": text(), "program": text_or_null(),
                "programDigest": text(), "plan": text_or_null(), "status": text(), "outcome": text_or_null(),
                "error": text_or_null(), "failedStep": text_or_null(), "opened": text(), "last": text(),
                "steps": { "type": "object" }, "rejected": { "type": "array" }, "blocked": { "type": "array" },
                "escalations": number(), "answers": { "type": "array" }, "unknownCalls": { "type": "array" },
                "budget": { "type": "object" }, "authority": { "type": "array" }, "resumable": { "type": "boolean" },
                "replayable": { "type": "boolean" }, "signer": { "type": ["object", "null"] }, "envelopes": number(),
                "head": text(),
            })),
            Self::VerifyRun => giving(json!({
                "run": text(), "good": { "type": "boolean" }, "status": text_or_null(), "exitCode": number(),
                "state": text_or_null(), "fault": text_or_null(),
                "checks": { "type": "array", "items": giving(json!({
                    "name": text(), "result": { "enum": ["pass", "fail", "not-checked"] }, "detail": text(),
                })) },
            })),
            Self::ListPrograms => giving(json!({
                "programs": { "type": "array", "items": giving(json!({
                    "name": text(), "saved": { "type": "boolean" }, "description": text_or_null(),
                })) },
                "nextCursor": text_or_null(),
            })),
            Self::GetProgram => giving(json!({
                "name": text(), "saved": { "type": "boolean" }, "description": text_or_null(), "version": text_or_null(),
                "digest": text(), "source": text(), "inputSchema": { "type": "object" }, "outputSchema": { "type": "object" },
                "admitted": { "type": "boolean" },
                "tools": { "type": "array", "items": giving(json!({
                    "name": text(), "tool": text(), "version": text(), "component": text(), "effect": text(),
                    "granted": { "type": "array", "items": text() },
                })) },
            })),
            Self::SaveProgram => giving(json!({ "name": text(), "digest": text(), "warnings": findings() })),
            Self::DeleteProgram => giving(json!({ "name": text(), "deleted": { "type": "boolean" } })),
            Self::ListRuns => giving(json!({
                "runs": { "type": "array", "items": giving(json!({
                    "run": text(), "program": text(), "state": text(), "opened": text(), "principal": text(),
                    "envelopes": number(),
                })) },
                "nextCursor": text_or_null(),
            })),
            Self::CheckProgram => giving(json!({ "good": { "type": "boolean" }, "findings": findings() })),
        }
    }

    fn hints(self) -> Hints {
        match self {
            // What it does depends on the program.
            Self::RunProgram | Self::ResumeRun => Hints::UNKNOWN,
            Self::SaveProgram | Self::DeleteProgram => {
                Hints { read_only: false, destructive: true, idempotent: true, open_world: false }
            }
            _ => Hints { read_only: true, destructive: false, idempotent: true, open_world: false },
        }
    }

    /// As the protocol lists it.
    pub fn tool(self) -> Tool {
        let (title, description) = self.words();
        Tool::new(self.name(), description, self.input())
            .with_title(title)
            .with_raw_output_schema(Arc::new(self.output()))
            .with_annotations(annotations(self.hints()))
    }
}

/// No description that somebody else wrote is longer, characters.
const MAX_DESCRIPTION: usize = 1000;

/// A program or a single tool, as the protocol lists it.
pub fn offered(one: &Offered) -> Tool {
    let own = one.description().map(|text| text.chars().take(MAX_DESCRIPTION).collect::<String>());
    let what = if one.is_single() { "tool" } else { "program" };
    let description = match own {
        Some(own) => {
            format!("{} (a governed {what}: every call of it leaves signed evidence)", escaped(&own))
        }
        None => format!("A governed {what}: every call of it leaves signed evidence."),
    };
    let mut meta = MetaObject::new();
    meta.insert(format!("{}program", super::META), one.program().digest().to_string().into());
    Tool::new(one.name().to_owned(), description, one.input_schema().clone())
        .with_raw_output_schema(Arc::new(answer_schema(one.output_schema())))
        .with_annotations(annotations(one.hints()))
        .with_meta(meta)
}

/// Whether a caller is shown a published program.
pub fn is_shown(one: &Offered, caller: &Caller) -> bool {
    caller.scopes.has(if one.is_single() { Scope::Tools } else { Scope::Programs })
}

fn annotations(hints: Hints) -> ToolAnnotations {
    ToolAnnotations::new()
        .read_only(hints.read_only)
        .destructive(hints.destructive)
        .idempotent(hints.idempotent)
        .open_world(hints.open_world)
}

/// The schema of an object with these members, some of them required, and no other.
fn taking(properties: Value, required: &[&str]) -> Map<String, Value> {
    let mut schema = giving(properties);
    schema.insert("required".to_owned(), required.iter().copied().map(Value::from).collect());
    schema
}

/// The schema of an object with all of these members and no other.
fn giving(properties: Value) -> Map<String, Value> {
    let required: Value =
        properties.as_object().into_iter().flatten().map(|(name, _)| Value::from(name.as_str())).collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), properties);
    schema.insert("required".to_owned(), required);
    schema.insert("additionalProperties".to_owned(), false.into());
    schema
}

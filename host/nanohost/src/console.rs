//! What a person or a program reads: text, tables and JSON. Knows nothing of how it came about.
//!
//! Text that a guest, a model, an author or a peer chose is shown escaped and capped wherever it
//! appears: it must not be able to move the cursor, hide itself or look like the host speaking.

mod audit;
mod health;
mod holds;
mod keys;
mod lock;
mod plan;
mod policy;
mod progress;
mod recall;
mod replay;
mod runs;
mod sarif;
mod sight;
mod summary;
mod tool;
mod waiting;

use std::path::Path;

use nanohost_verify::console::{escape, table};

pub use audit::{audit, audit_json, catalogue, catalogued, catalogued_json};
pub use health::{Overview, health, health_json, overview, overview_json};
pub use holds::holds;
pub use keys::keys;
pub use lock::moved;
pub use nanohost_verify::called::program_name;
pub use nanohost_verify::console::escape::{escaped, json_text, lines, value_text};
pub use nanohost_verify::console::table::columns;
pub use nanohost_verify::console::{Console, findings_json, misused, render, report};
pub use plan::{plan, plan_json, whole};
pub use policy::{difference, difference_json, difference_markdown, explanation, explanation_json};
pub use progress::Progress;
pub use recall::{Recalled, RecalledRun, recalled, recalled_json};
pub use replay::{Replayed, replay, replay_json};
pub use runs::{list, receipt, trace, trace_json};
pub use sarif::sarif;
pub use sight::{REVEALS, Sight};
pub use summary::{Summary, duration, outcome, refusal, summary, summary_json};
pub use tool::{
    change_json, inspection, inspection_json, publisher_json, standing, tool_difference,
    tool_difference_markdown, tried,
};
pub use waiting::{answer, gone_on, how_they_stand, how_to_answer, look_outside, question, unknown_calls};

/// A path for a person. Whoever made a folder chose its name.
pub fn path(path: &Path) -> String {
    escaped(&path.display().to_string())
}

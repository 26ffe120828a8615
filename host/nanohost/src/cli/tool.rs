//! What can be said of tools: what they are, and what their authors and reviewers ask.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `nanohost tool`.
#[derive(Debug, Args)]
pub struct ToolArgs {
    #[command(subcommand)]
    pub command: ToolCommand,
}

/// What to do with a tool.
#[derive(Debug, Subcommand)]
pub enum ToolCommand {
    /// Show what a tool is and what it could reach: whose it is, its authority, its imports, what it is made of
    Inspect(InspectArgs),
    /// Print the JSON Schemas of a tool's functions
    Schema(SchemaArgs),
}

impl ToolCommand {
    /// Whether the result is to be one JSON document.
    pub fn json(&self) -> bool {
        match self {
            Self::Inspect(args) => args.json,
            Self::Schema(args) => args.json,
        }
    }
}

/// Which tool is meant.
#[derive(Debug, Args)]
pub struct WhichArgs {
    /// The tool: its folder, the name of one in the nearest tools/, or a component, by itself or beside its
    /// manifest.toml
    #[arg(value_name = "TOOL|FILE.wasm")]
    pub tool: PathBuf,
}

/// `nanohost tool inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub which: WhichArgs,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost tool schema`.
#[derive(Debug, Args)]
#[command(after_help = "\
The schemas are of draft 2020-12. Of one function with --input or --output the schema itself is printed, ready for
whatever reads schemas; otherwise an object with both, for each function.")]
pub struct SchemaArgs {
    #[command(flatten)]
    pub which: WhichArgs,
    /// The function, where the tool has several [default: all]
    #[arg(value_name = "FUNCTION")]
    pub function: Option<String>,
    /// The arguments alone
    #[arg(long, conflicts_with = "output")]
    pub input: bool,
    /// The result alone
    #[arg(long)]
    pub output: bool,
    /// Tell of problems as one JSON document too
    #[arg(long)]
    pub json: bool,
}

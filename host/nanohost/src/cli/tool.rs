//! What can be said of tools: what they are, and what their authors and reviewers ask.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{PackageArgs, ToolBundleArgs, ToolPackArgs, ToolPullArgs, ToolPushArgs};
use super::{ToolListArgs, ToolSearchArgs, ToolShowArgs};
use crate::tool::template::Language;

/// `nanohost tool`.
#[derive(Debug, Args)]
pub struct ToolArgs {
    #[command(subcommand)]
    pub command: ToolCommand,
}

/// What to do with a tool.
#[derive(Debug, Subcommand)]
pub enum ToolCommand {
    /// Make a folder with a new tool that builds, tests and runs as it is
    New(ToolNewArgs),
    /// Make a tool's component from its sources, and hold manifest and component against each other
    Build(ToolBuildArgs),
    /// Show what a tool is and what it could reach: whose it is, its authority, its imports, what it is made of
    Inspect(InspectArgs),
    /// Print the JSON Schemas of a tool's functions
    Schema(SchemaArgs),
    /// Call a tool as the cases beside it say, in the sandbox; exit code 1 where one comes out otherwise
    Test(ToolTestArgs),
    /// Draft a tool's manifest from what its component imports, or from what it uses when it is called
    Infer(ToolInferArgs),
    /// Compare two versions of a tool; exit code 1 where anything widens
    Diff(ToolDiffArgs),
    /// Find what in a tool's manifest is wide, missing, or meant to instruct a model
    Lint(ToolLintArgs),
    /// Write a tool as an OCI image layout: the same bytes each time
    Pack(ToolPackArgs),
    /// Send a tool to a registry, with its manifest, its signature and its bill of materials
    Push(ToolPushArgs),
    /// Fetch a package, or print the digest to pin
    Pull(ToolPullArgs),
    /// Write packages into one file, for machines without a network
    Bundle(ToolBundleArgs),
    /// List the tools of a folder: whose each is, and how many programs use it
    List(ToolListArgs),
    /// Show one tool of a folder: which programs use it, with which grants
    Show(ToolShowArgs),
    /// Find tools of a folder by what they are called, say and ask for
    Search(ToolSearchArgs),
    /// Give a publisher's word for a package: sign which component, manifest and parts belong together
    Sign(ToolSignArgs),
    /// Hold a package against the keys of publishers; exit code 1 where nobody signed it, 10 where the
    /// signature is not good, 13 where its key is nobody's
    Verify(ToolVerifyArgs),
}

impl ToolCommand {
    /// Whether the result is to be one JSON document.
    pub fn json(&self) -> bool {
        match self {
            Self::New(args) => args.json,
            Self::Build(args) => args.json,
            Self::Inspect(args) => args.json,
            Self::Schema(args) => args.json,
            Self::Test(args) => args.json,
            Self::Infer(args) => args.json,
            Self::Diff(args) => args.json,
            Self::Lint(args) => args.json,
            Self::Pack(args) => args.json,
            Self::Push(args) => args.json,
            Self::Pull(args) => args.json,
            Self::Bundle(args) => args.json,
            Self::List(args) => args.json,
            Self::Show(args) => args.json,
            Self::Search(args) => args.json,
            Self::Sign(args) => args.json,
            Self::Verify(args) => args.json,
        }
    }
}

/// Which tool is meant.
#[derive(Debug, Args)]
pub struct WhichArgs {
    /// The tool: its folder, the name of one in the nearest tools/, a component, by itself or beside its
    /// manifest.toml, or a package, oci://…@sha256:…
    #[arg(value_name = "TOOL|FILE.wasm")]
    pub tool: PathBuf,
    #[command(flatten)]
    pub packages: PackageArgs,
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

/// `nanohost tool test`.
#[derive(Debug, Args)]
pub struct ToolTestArgs {
    #[command(flatten)]
    pub which: WhichArgs,
    /// Files of cases, TOML [default: all of tests/ beside the manifest]
    #[arg(value_name = "CASES")]
    pub cases: Vec<PathBuf>,
    /// Let a tool that asks for TCP connections open them: they are real
    #[arg(long)]
    pub connect: bool,
    /// Write the results as JUnit XML too
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost tool new`.
#[derive(Debug, Args)]
pub struct ToolNewArgs {
    /// The folder to make; its last part is the tool's name
    #[arg(value_name = "NAME")]
    pub name: PathBuf,
    /// What it is written in
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    pub lang: Language,
    /// The library that Rust tools are written with, where one lies already [default: the tool brings its own]
    #[arg(long, value_name = "DIR")]
    pub sdk: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost tool build`.
#[derive(Debug, Args)]
#[command(after_help = "\
A folder with a Cargo crate is built by Cargo, one with app.py and wit/ by componentize-py (of its .venv, else of the
PATH), one with build.mjs and package.json by Node.js. Building runs the author's code on this machine.")]
pub struct ToolBuildArgs {
    /// The tool's folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Take this component, made elsewhere, instead of building one
    #[arg(long, value_name = "FILE")]
    pub component: Option<PathBuf>,
    /// Write a package too: component, schemas, and the manifest, for this component and no other
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost tool infer`.
#[derive(Debug, Args)]
pub struct ToolInferArgs {
    #[command(flatten)]
    pub which: WhichArgs,
    /// Call the tool as the cases of these files say, granted next to nothing at first and then what it was
    /// refused: the draft asks for what it used, within limits that it needs. Nothing real is touched
    #[arg(long, value_name = "CASES", num_args = 1..)]
    pub observe: Vec<PathBuf>,
    /// Write the draft into manifest.toml, beside the component or in its place; what is not drafted stays
    #[arg(long)]
    pub write: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost tool diff`.
#[derive(Debug, Args)]
pub struct ToolDiffArgs {
    /// The version before: a folder, a name in the nearest tools/, or a component
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The version after
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Print Markdown, for a pull request
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost tool lint`.
#[derive(Debug, Args)]
pub struct ToolLintArgs {
    /// The tools: folders, names in the nearest tools/, or components
    #[arg(value_name = "TOOL", required = true)]
    pub tools: Vec<PathBuf>,
    /// Exit with code 1 where there are warnings
    #[arg(long)]
    pub strict: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost tool sign`.
#[derive(Debug, Args)]
#[command(after_help = "\
The signature is package.dsse.json in the package's folder: a DSSE envelope around an in-toto statement, with Ed25519.
It names the SHA-256 of component.wasm, manifest.toml and, where it is there, sbom.cdx.json, and the schemas.")]
pub struct ToolSignArgs {
    /// The package: a folder with component.wasm and manifest.toml, as `tool build --out` writes it
    #[arg(value_name = "DIR")]
    pub package: PathBuf,
    /// The private key, PKCS#8 PEM [default: the key that signs for this user]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The sources that it was made from: the commit they stand at is named
    #[arg(long, value_name = "DIR")]
    pub source: Option<PathBuf>,
    /// Where the repository of the sources can be had
    #[arg(long, value_name = "URL", requires = "source")]
    pub repository: Option<String>,
    /// Build the sources again from nothing, and say whether that gave the same bytes
    #[arg(long, requires = "source")]
    pub rebuild: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost tool verify`.
#[derive(Debug, Args)]
pub struct ToolVerifyArgs {
    /// The package, or a tool of the nearest tools/
    #[arg(value_name = "TOOL")]
    pub package: PathBuf,
    #[command(flatten)]
    pub packages: PackageArgs,
    /// A publisher's public key, SPKI PEM [default: those that the policies in force here name]
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// The policy whose publishers count
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

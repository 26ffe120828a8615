//! What can be said of audits and of the catalogue of tools.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::PackageArgs;

/// `nanohost audit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Every program below DIR is held against the policies that judge it, its lock and its tools. Tools that have to be built
are built where that is allowed; none runs. `nanohost explain CODE` says more of each finding.")]
pub struct AuditArgs {
    /// Programs, or folders that hold some, there or below
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    pub paths: Vec<PathBuf>,
    /// What ends with exit code 1
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = FailOn::Error)]
    pub fail_on: FailOn,
    /// Write the findings as SARIF 2.1.0 too, for code hosts; places in it are from this folder
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,
    #[command(flatten)]
    pub packages: ReviewArgs,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Where a reviewer's commands take packages from: looking asks no registry.
#[derive(Debug, Clone, Default, Args)]
pub struct ReviewArgs {
    /// A bundle that packages may be taken from
    #[arg(long = "bundle", value_name = "FILE")]
    pub bundles: Vec<PathBuf>,
    /// Fetch packages that are not on this machine [default: each is a finding, package_offline]
    #[arg(long, conflicts_with = "offline")]
    pub fetch: bool,
    /// Fetch no package, which is so in any case without --fetch
    #[arg(long)]
    pub offline: bool,
    /// A registry, HOST:PORT, that --fetch speaks to without encryption; to those on this machine it does in
    /// any case
    #[arg(long, value_name = "REGISTRY", requires = "fetch")]
    pub plain_http: Vec<String>,
}

impl ReviewArgs {
    /// The same for whoever resolves packages.
    pub fn reach(&self) -> PackageArgs {
        PackageArgs {
            bundles: self.bundles.clone(),
            offline: !self.fetch,
            plain_http: self.plain_http.clone(),
        }
    }
}

/// Which findings are more than findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Any finding
    Warning,
    /// What refuses a program
    Error,
    /// None
    Never,
}

/// `nanohost tool list`.
#[derive(Debug, Args)]
pub struct ToolListArgs {
    /// Folders of programs and tools
    #[arg(value_name = "DIR", default_value = ".")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub packages: ReviewArgs,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost tool show`.
#[derive(Debug, Args)]
pub struct ToolShowArgs {
    /// The tool's own name, or a program's name of it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Folders of programs and tools
    #[arg(value_name = "DIR", default_value = ".")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub packages: ReviewArgs,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost tool search`.
#[derive(Debug, Args)]
pub struct ToolSearchArgs {
    /// What is looked for in names, descriptions, functions and capabilities; all words have to be there
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// Folders of programs and tools
    #[arg(value_name = "DIR", default_value = ".")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub packages: ReviewArgs,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

//! What can be said by whoever begins, or looks something up.

use std::path::PathBuf;

use clap::Args;

/// `nanohost init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder of the project, made where it is not there
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The code, such as unbuilt_tool [default: list all]
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder for the pages, made where it is not there
    #[arg(value_name = "DIR")]
    pub output: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

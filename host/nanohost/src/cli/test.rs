//! What can be said of tests of whole programs.

use std::path::PathBuf;

use clap::Args;

use super::PackageArgs;

/// `nanohost test`.
#[derive(Debug, Args)]
#[command(after_help = "\
Cases of program.toml stand in program.cases.toml beside it. A run of a case is made in memory: nothing is recorded,
models and other hosts are what the case says, and a tool that would reach something real has to have a stand-in.")]
pub struct TestArgs {
    /// Files of cases, or folders that hold *.cases.toml, there or below
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub packages: PackageArgs,
    /// Write the results as JUnit XML too
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

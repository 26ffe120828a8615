//! `nanohost mcp`: the gateway for clients of the Model Context Protocol.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nanohost_core::Principal;

use super::PackageArgs;
use crate::mcp::Client;

/// `nanohost mcp`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Without --listen, one client on standard input and output: whoever started this process.

Nothing that a client asks can grant, load, trust or change a policy or a key. A program that a client saves
or hands over is of the class `saved`: it gets what rows with `class = \"saved\"` permit, and nothing else.")]
pub struct McpArgs {
    #[command(subcommand)]
    pub command: Option<McpCommand>,
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// What is served, and to whom.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Programs to publish, each as a tool of its own; of a folder all that are in it
    #[arg(value_name = "PROGRAM|DIR")]
    pub programs: Vec<PathBuf>,
    /// A tool to serve as it is: its folder, and the function where it has several; --policy grants
    #[arg(long = "tool", value_name = "DIR[:FUNCTION]")]
    pub single: Vec<String>,
    /// The policy, trusted since you name it [default: NANOHOST_POLICY, else the nearest policies/local.toml
    /// at or above each program]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The tools that programs of clients may call, by name; without it no program of a client runs
    #[arg(long, value_name = "DIR")]
    pub tools: Option<PathBuf>,
    /// Who the client is, as the evidence names it
    #[arg(long = "as", value_name = "NAME", default_value = "agent")]
    pub principal: Principal,
    /// Answer no more requests at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub at_once: u32,
    #[command(flatten)]
    pub packages: PackageArgs,
}

/// What else there is to do.
#[derive(Debug, Subcommand)]
pub enum McpCommand {
    /// Print what a client's configuration says to start this gateway
    Config(ConfigArgs),
}

/// `nanohost mcp config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The client
    #[arg(value_name = "CLIENT", value_enum)]
    pub client: Client,
    #[command(flatten)]
    pub serve: ServeArgs,
}

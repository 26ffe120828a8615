//! `nanohost mcp`: the gateway for clients of the Model Context Protocol.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use nanohost_core::Principal;

use super::PackageArgs;
use crate::mcp::{Client, duration};

/// `nanohost mcp`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Without --listen there is one client, on standard input and output: whoever started this process. With it
clients come over HTTP, at /mcp; beyond this machine each needs a token (nanohost mcp token new NAME), and a
reverse proxy before the gateway speaks TLS.

Nothing that a client asks can grant, load, trust or change a policy or a key. A program that a client saves
or hands over is of the class `saved`: it gets what rows with `class = \"saved\"` permit, and nothing else.")]
pub struct McpArgs {
    #[command(subcommand)]
    pub command: Option<McpCommand>,
    #[command(flatten)]
    pub serve: ServeArgs,
    #[command(flatten)]
    pub network: NetworkArgs,
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
    /// Who a client is that needs no token, as the evidence names it
    #[arg(long = "as", value_name = "NAME", default_value = "agent")]
    pub principal: Principal,
    /// Start no more runs at the same time; who asks for more is told to come again
    #[arg(long, value_name = "NUMBER", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub at_once: u32,
    #[command(flatten)]
    pub packages: PackageArgs,
}

/// How clients come over the network.
#[derive(Debug, Clone, Args)]
pub struct NetworkArgs {
    /// Serve over HTTP: [ADDRESS:]PORT, of this machine unless an address is said; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// The file of tokens [default: mcp-tokens.json in the configuration folder; where there is one, a token is
    /// needed]
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub tokens: Option<PathBuf>,
    /// A name of this gateway, HOST or HOST:PORT, that requests may be for
    #[arg(long, value_name = "HOST", requires = "listen")]
    pub allow_host: Vec<String>,
    /// A page of a browser that may ask, such as https://app.example.com:443
    #[arg(long, value_name = "ORIGIN", requires = "listen")]
    pub allow_origin: Vec<String>,
    /// Tell /healthz, /readyz and /metrics (Prometheus) at [ADDRESS:]PORT
    #[arg(long, value_name = "ADDRESS", value_parser = address, requires = "listen")]
    pub metrics: Option<SocketAddr>,
    /// Connections at the same time; one more is closed
    #[arg(long, value_name = "NUMBER", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub connections: u32,
    /// Requests of one caller each second; more are answered with 429
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    /// How long calls have to end once the gateway is asked to, such as 10s
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub grace: Duration,
}

/// What else there is to do.
#[derive(Debug, Subcommand)]
pub enum McpCommand {
    /// Print what a client's configuration says to start this gateway
    Config(ConfigArgs),
    /// Make, list, rotate and revoke the tokens of callers over the network
    Token {
        #[command(subcommand)]
        command: McpTokenCommand,
    },
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

/// `nanohost mcp token`.
#[derive(Debug, Subcommand)]
pub enum McpTokenCommand {
    /// Make a token, and print it: the one moment at which it is shown
    New {
        /// Whose it is: the principal in the evidence
        #[arg(value_name = "NAME")]
        name: Principal,
        /// What it is for: run programs, call single tools, look at everybody's runs, or only look at
        /// one's own
        #[arg(long = "scope", value_name = "SCOPE", value_enum, required = true)]
        scopes: Vec<TokenScope>,
        /// When it ends, such as 90d [default: never]
        #[arg(long, value_name = "TIME", value_parser = duration)]
        expires: Option<Duration>,
        #[command(flatten)]
        file: TokenFileArgs,
    },
    /// List the tokens, without what they are
    List {
        #[command(flatten)]
        file: TokenFileArgs,
    },
    /// Make a new token for somebody with the scopes of their last one, and let the others end
    Rotate {
        /// Whose
        #[arg(value_name = "NAME")]
        name: Principal,
        /// How long the others still count
        #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
        overlap: Duration,
        /// When the new one ends, such as 90d [default: never]
        #[arg(long, value_name = "TIME", value_parser = duration)]
        expires: Option<Duration>,
        #[command(flatten)]
        file: TokenFileArgs,
    },
    /// End tokens at once
    Revoke {
        /// The id of one, or the name of somebody whose tokens all end
        #[arg(value_name = "ID|NAME")]
        which: String,
        #[command(flatten)]
        file: TokenFileArgs,
    },
}

/// Where tokens are kept.
#[derive(Debug, Args)]
pub struct TokenFileArgs {
    /// The file of tokens [default: mcp-tokens.json in the configuration folder]
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

impl McpTokenCommand {
    /// Where the tokens are, and how it is told.
    pub fn file(&self) -> &TokenFileArgs {
        match self {
            Self::New { file, .. }
            | Self::List { file }
            | Self::Rotate { file, .. }
            | Self::Revoke { file, .. } => file,
        }
    }
}

impl McpArgs {
    /// Whether the result is to be one JSON document.
    pub fn json(&self) -> bool {
        matches!(&self.command, Some(McpCommand::Token { command }) if command.file().json)
    }
}

/// What a token may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenScope {
    /// Run programs, and save and delete one's own
    Programs,
    /// Call single tools
    Tools,
    /// Look at everybody's runs
    Audit,
    /// Look at one's own runs, and nothing more
    ReadOnly,
}

/// `[ADDRESS:]PORT`.
fn address(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<u16>() {
        Ok(port) => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        Err(_) => {
            text.parse().map_err(|_| "it is a port, or ADDRESS:PORT with the address in numbers".to_owned())
        }
    }
}

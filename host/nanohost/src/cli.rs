//! The command line: what can be said. Knows nothing of how it is done.

mod audit;
mod begin;
mod erase;
mod key;
mod log;
mod mcp;
mod recall;
mod registry;
mod store;
mod test;
mod tool;
mod witness;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use nanohost_core::{Principal, ProgramClass, ToolName};
use nanohost_verify::Asked;
use nanohost_verify::console::Colour;

pub use audit::{AuditArgs, FailOn, ToolListArgs, ToolSearchArgs, ToolShowArgs};
pub use begin::{DoctorArgs, ExplainArgs, InitArgs, ManArgs};
pub use erase::{EraseArgs, HoldArgs, HoldCommand};
pub use key::{KeyArgs, KeyCommand, NewKeyArgs, PassphraseArgs};
pub use log::{LogArgs, LogCommand};
pub use mcp::{
    ConfigArgs as McpConfigArgs, McpArgs, McpCommand, McpTokenCommand, NetworkArgs, ServeArgs, TokenFileArgs,
    TokenScope,
};
pub use recall::{ListArgs, ListedState, Recall, ReportArgs};
pub use registry::{
    CacheArgs, CacheCommand, GcArgs, PackageArgs, ToolBundleArgs, ToolPackArgs, ToolPullArgs, ToolPushArgs,
    pinned,
};
pub use store::{StoreArgs, StoreCommand};
pub use test::TestArgs;
pub use tool::{
    InspectArgs, SchemaArgs, ToolArgs, ToolBuildArgs, ToolCommand, ToolDiffArgs, ToolInferArgs, ToolLintArgs,
    ToolNewArgs, ToolSignArgs, ToolTestArgs, ToolVerifyArgs,
};
pub use witness::{WitnessArgs, WitnessCommand};

/// Models propose, the runtime governs.
///
/// nanohost runs a program, a finite state machine fixed before it runs, whose tools are
/// WebAssembly components. A tool is linked with what its manifest asks for, the policy permits
/// and the program grants, and with nothing else. Every call and every refusal is signed into a
/// hash-chained log that anybody can verify offline.
#[derive(Debug, Parser)]
#[command(name = "nanohost", version, max_term_width = 100)]
#[command(after_help = "\
Exit codes: 0 success · 1 the run failed · 2 wrong usage or an invalid file · 3 denied ·
4 suspended · 5 the host could not go on · verify: 10 tampered · 11 truncated ·
12 rolled back or forked · 13 untrusted key · 14 open run · 15 witness quorum missing")]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Debug, Args)]
pub struct Common {
    /// The folder of the store [default: NANOHOST_STORE, else the platform's data folder]
    #[arg(long, global = true, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a program
    Run(RunArgs),
    /// Answer a run that waits for somebody outside, or see what it waits for
    Resume(ResumeArgs),
    /// Say what became of a call whose end nobody saw
    Settle(SettleArgs),
    /// Hand out, once, the token that somebody answers a run with
    Token(TokenArgs),
    /// Let runs go on whose process ended before they did
    Recover(RecoverArgs),
    /// End a run, whoever has it
    Cancel(CancelArgs),
    /// Show what a program's tools may do; builds those that are not built, runs none
    Plan(PlanArgs),
    /// Check a program without its tools
    Check(CheckArgs),
    /// Draw a program as a graph, also one whose graph the checker refuses
    Graph(GraphArgs),
    /// Pin a program's tools in the lock beside it, or move what it pins; shows what changes
    Update(UpdateArgs),
    /// Erase values of runs, or of a subject, and leave their evidence as it is
    Erase(EraseArgs),
    /// Keep runs from being erased: legal holds
    Hold(HoldArgs),
    /// Copy the store, make it anew from a copy, or look at all of it
    Store(StoreArgs),
    /// List runs: all, or those whose verified evidence says what is asked
    List(ListArgs),
    /// Show what a run did, step by step, from its verified evidence
    Trace(TraceArgs),
    /// Compute the receipt of a run from its verified evidence; sign it, or check a signed one
    Receipt(ReceiptArgs),
    /// Write what a run did, and what of it is proven, as one page for a person who audits
    Report(ReportArgs),
    /// Measure how a run went, or all of them: retries, failures, the paths they took
    Health(HealthArgs),
    /// Verify the evidence of a run, or of an exported file
    Verify(Box<VerifyArgs>),
    /// Make the calls of a run again from its evidence, and compare; nothing real is touched
    Replay(ReplayArgs),
    /// Write the evidence of a run into one file that verifies without this machine
    Export(ExportArgs),
    /// Trust a project's policy, as it is now, and the building of its tools
    Trust(TrustArgs),
    /// Check, explain, compare and test policies
    Policy(PolicyArgs),
    /// Look at all programs of a folder: their grants, locks and tools, and what of that is for a person to look at
    Audit(AuditArgs),
    /// Make a project: a program, a policy, a tool and their tests, ready to run
    Init(InitArgs),
    /// Run programs as the cases beside them say; exit code 1 where one comes out otherwise
    Test(TestArgs),
    /// Make, try, show and compare tools
    Tool(ToolArgs),
    /// Make, show, change and retire the keys that sign
    Key(KeyArgs),
    /// Keep the secrets that tools may have the host send for them
    Secret(SecretArgs),
    /// The log over all runs: its head to remember, proofs, a mirror, a look at all of it
    Log(LogArgs),
    /// Be a witness of others' logs: sign their heads, and nothing that contradicts them
    Witness(WitnessArgs),
    /// Serve programs and tools to clients of the Model Context Protocol, or print what starts that
    Mcp(Box<McpArgs>),
    /// Say what a code means, what leads to it and what to do
    Explain(ExplainArgs),
    /// Look at this machine: what is there, what is in force, what is missing
    Doctor(DoctorArgs),
    /// Show what is kept of compiled code and of packages, and remove what nobody uses
    Cache(CacheArgs),
    /// Compile the component that comes on standard input: what nanohost starts itself for
    #[command(hide = true)]
    CompileComponent,
    /// Write man pages, one for each command
    Man(ManArgs),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// Whether the result is to be one JSON document.
    pub fn json(&self) -> bool {
        match self {
            Self::Run(args) => args.json,
            Self::Resume(args) => args.json,
            Self::Settle(args) => args.json,
            Self::Token(args) => args.json,
            Self::Recover(args) => args.json,
            Self::Cancel(args) => args.json,
            Self::Plan(args) => args.json,
            Self::Check(args) => args.json,
            Self::Update(args) => args.json,
            Self::Erase(args) => args.json,
            Self::Hold(HoldArgs { command }) => command.json(),
            Self::Store(StoreArgs { command }) => command.json(),
            Self::List(args) => args.json,
            Self::Trace(args) => args.evidence.json,
            Self::Receipt(args) => args.evidence.json,
            Self::Report(args) => args.json,
            Self::Health(args) => args.json,
            Self::Verify(args) => args.asked.json,
            Self::Replay(args) => args.json,
            Self::Policy(PolicyArgs { command }) => command.json(),
            Self::Test(args) => args.json,
            Self::Init(args) => args.json,
            Self::Explain(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Man(args) => args.json,
            Self::Audit(args) => args.json,
            Self::Tool(ToolArgs { command }) => command.json(),
            Self::Key(KeyArgs { command }) => command.json(),
            Self::Secret(SecretArgs { command: SecretCommand::List { json } }) => *json,
            Self::Secret(_) => false,
            Self::Log(LogArgs { command }) => command.json(),
            Self::Witness(WitnessArgs { command }) => command.json(),
            Self::Cache(CacheArgs { command }) => command.json(),
            Self::Graph(args) => args.json,
            Self::Export(args) => args.json,
            Self::Trust(args) => args.json,
            Self::Mcp(args) => args.json(),
            Self::CompileComponent | Self::Completions { .. } => false,
        }
    }
}

/// Where the program, its policy and its tools come from.
#[derive(Debug, Clone, Default, Args)]
pub struct ProgramArgs {
    /// The program, TOML or JSON
    #[arg(value_name = "PROGRAM")]
    pub program: PathBuf,
    /// The policy, trusted since you name it [default: NANOHOST_POLICY, else the nearest policies/local.toml at or above
    /// the program; without one nothing is granted]. The machine's and the user's are in force beside it
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Where tools without a row in the program are looked up by name [default: the nearest tools/
    /// at or above the program]
    #[arg(long, value_name = "DIR")]
    pub tools: Option<PathBuf>,
    /// Refuse where no lock lies beside the program, which `nanohost update` writes; where one does,
    /// its tools have to be what it pins in any case
    #[arg(long)]
    pub locked: bool,
    #[command(flatten)]
    pub packages: PackageArgs,
    /// Whose word the program is: who runs one by its file vouches for it.
    #[arg(skip)]
    pub class: ProgramClass,
}

impl ProgramArgs {
    /// This program, and everything else as it is by default.
    pub fn of(program: &Path) -> Self {
        let packages = PackageArgs::default();
        let class = ProgramClass::Vetted;
        Self { program: program.to_owned(), policy: None, tools: None, locked: false, packages, class }
    }
}

/// `nanohost run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub program: ProgramArgs,
    /// An input: name=value, read by its declared type, or name:=JSON
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE")]
    pub inputs: Vec<String>,
    /// A JSON file with inputs; --input wins over it
    #[arg(long = "inputs", value_name = "FILE")]
    pub inputs_file: Option<PathBuf>,
    /// Start at most once: the same key with the same program and inputs gives the first run's
    /// result, or how it stands, and lets it go on where it was interrupted. Whoever starts under
    /// another name (--as) has keys of their own
    #[arg(long, value_name = "KEY", value_parser = start_key)]
    pub idempotency_key: Option<String>,
    /// Who starts the run: a name, which the evidence holds
    #[arg(long = "as", value_name = "NAME", default_value = "local")]
    pub principal: Principal,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Print nothing but how it ended
    #[arg(long, short)]
    pub quiet: bool,
    /// Show personal data too, which is kept back otherwise
    #[arg(long)]
    pub reveal: bool,
}

/// No key is longer: it is hashed, and shown to nobody.
const MAX_START_KEY: usize = 512;

fn start_key(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("a key is not empty".to_owned()),
        1..=MAX_START_KEY => Ok(text.to_owned()),
        _ => Err(format!("a key is at most {MAX_START_KEY} bytes")),
    }
}

/// Where the files of a run lie now, if not where they lay when it began.
#[derive(Debug, Clone, Default, Args)]
pub struct GoOnArgs {
    /// The run's program, where it lies elsewhere by now
    #[arg(long, value_name = "FILE")]
    pub program: Option<PathBuf>,
    /// The policy, trusted since you name it [default: as when the run began]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Where tools without a row in the program are looked up [default: as when the run began]
    #[arg(long, value_name = "DIR")]
    pub tools: Option<PathBuf>,
    #[command(flatten)]
    pub packages: PackageArgs,
}

/// `nanohost resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run's id, or the start of it
    #[arg(value_name = "RUN", required_unless_present = "due")]
    pub run: Option<String>,
    /// The event: a JSON file, `-` for standard input. Without it: what the run waits for
    #[arg(long, short, value_name = "FILE")]
    pub event: Option<PathBuf>,
    /// What came beside the event, such as the value of its signature header, for the tool that the
    /// step checks events with
    #[arg(long, value_name = "TEXT", requires = "event", allow_hyphen_values = true)]
    pub signature: Option<String>,
    /// The token that `nanohost token` handed out
    #[arg(long, value_name = "TOKEN", env = "NANOHOST_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// End the wait of every run whose deadline has passed
    #[arg(long, conflicts_with_all = ["run", "event", "signature", "program", "policy", "tools", "reveal"])]
    pub due: bool,
    /// Who answers
    #[arg(long = "as", value_name = "NAME", default_value = "local")]
    pub principal: Principal,
    #[command(flatten)]
    pub go_on: GoOnArgs,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Print nothing but how it ended
    #[arg(long, short)]
    pub quiet: bool,
    /// Show personal data too, which is kept back otherwise
    #[arg(long)]
    pub reveal: bool,
}

/// `nanohost settle`.
#[derive(Debug, Args)]
pub struct SettleArgs {
    /// The run's id, or the start of it
    #[arg(value_name = "RUN")]
    pub run: String,
    /// It happened: a JSON file with what the tool would have returned, `-` for standard input
    #[arg(long, value_name = "FILE", group = "settlement")]
    pub happened: Option<PathBuf>,
    /// It did not happen: it is called again
    #[arg(long, group = "settlement")]
    pub did_not_happen: bool,
    /// Nobody can tell: the run fails
    #[arg(long, group = "settlement")]
    pub fail: bool,
    /// The token that `nanohost token` handed out
    #[arg(long, value_name = "TOKEN", env = "NANOHOST_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Who says so
    #[arg(long = "as", value_name = "NAME", default_value = "local")]
    pub principal: Principal,
    #[command(flatten)]
    pub go_on: GoOnArgs,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Print nothing but how it ended
    #[arg(long, short)]
    pub quiet: bool,
    /// Show personal data too, which is kept back otherwise
    #[arg(long)]
    pub reveal: bool,
}

/// `nanohost token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The run's id, or the start of it
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Whom it is for
    #[arg(long = "as", value_name = "NAME")]
    pub principal: Principal,
    /// Make a new one; the one handed out before ends
    #[arg(long)]
    pub renew: bool,
    #[command(flatten)]
    pub go_on: GoOnArgs,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost recover`.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// The run's id, or the start of it [default: every run that was interrupted]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Who lets it go on
    #[arg(long = "as", value_name = "NAME", default_value = "local")]
    pub principal: Principal,
    #[command(flatten)]
    pub go_on: GoOnArgs,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Print nothing but how it ended
    #[arg(long, short)]
    pub quiet: bool,
}

/// `nanohost cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The run's id, or the start of it
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Why, for whoever reads the evidence
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
    /// Who ends it
    #[arg(long = "as", value_name = "NAME", default_value = "local")]
    pub principal: Principal,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("say why".to_owned()) } else { Ok(text.to_owned()) }
}

/// `nanohost plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub program: ProgramArgs,
    /// Print one JSON document, with whole digests
    #[arg(long)]
    pub json: bool,
}

/// `nanohost check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The program, TOML or JSON
    #[arg(value_name = "PROGRAM")]
    pub program: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// The program, TOML or JSON
    #[arg(value_name = "PROGRAM")]
    pub program: PathBuf,
    /// Move these alone, by the program's names [default: all of them]
    #[arg(value_name = "TOOL", value_parser = tool_name)]
    pub only: Vec<ToolName>,
    /// Where tools without a row in the program are looked up by name [default: the nearest tools/
    /// at or above the program]
    #[arg(long, value_name = "DIR")]
    pub tools: Option<PathBuf>,
    #[command(flatten)]
    pub packages: PackageArgs,
    /// Write nothing; exit with code 1 where something would change
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

fn tool_name(text: &str) -> Result<ToolName, String> {
    ToolName::new(text).map_err(|error| error.to_string())
}

/// `nanohost graph`.
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// The program, TOML or JSON
    #[arg(value_name = "PROGRAM")]
    pub program: PathBuf,
    /// The language of the drawing
    #[arg(long, value_enum, default_value_t = GraphFormat::Mermaid)]
    pub format: GraphFormat,
    /// The file to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print one JSON document: the drawing under the name of its language, and what was found
    #[arg(long)]
    pub json: bool,
}

/// The language of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Mermaid, which forges and editors show
    Mermaid,
    /// DOT, which Graphviz draws
    Dot,
}

/// A command about the evidence of one run.
#[derive(Debug, Args)]
pub struct EvidenceRef {
    /// The run's id, the start of it, or an exported file
    #[arg(value_name = "RUN|FILE")]
    pub evidence: String,
    /// The public key, or keys, that may sign: PEM or a trust file [default: this machine's own]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost receipt`.
#[derive(Debug, Args)]
pub struct ReceiptArgs {
    #[command(flatten)]
    pub evidence: EvidenceRef,
    /// Write it as a signed document, under the key that signed the run
    #[arg(long, requires = "output")]
    pub sign: bool,
    /// The file to write the signed receipt to; it must not exist
    #[arg(long, short, value_name = "FILE", requires = "sign")]
    pub output: Option<PathBuf>,
    /// Check a signed receipt: computed again from the evidence, it has to be the same to the byte
    #[arg(long, value_name = "FILE", conflicts_with = "sign")]
    pub check: Option<PathBuf>,
}

/// `nanohost health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// The run's id, the start of it, or an exported file
    #[arg(value_name = "RUN|FILE")]
    pub evidence: Option<String>,
    /// Another run of the program, to compare with
    #[arg(long, value_name = "RUN|FILE")]
    pub baseline: Option<String>,
    /// All runs of the store, by program and by model
    #[arg(long, conflicts_with_all = ["evidence", "baseline"])]
    pub all: bool,
    /// The public key, or keys, that may sign: PEM or a trust file [default: this machine's own]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost trace`.
#[derive(Debug, Args)]
pub struct TraceArgs {
    #[command(flatten)]
    pub evidence: EvidenceRef,
    /// Show personal data too, which is kept back otherwise
    #[arg(long)]
    pub reveal: bool,
}

/// `nanohost verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The run's id, the start of it, or an exported file
    #[arg(value_name = "RUN|FILE")]
    pub evidence: String,
    /// The public key, or keys, that may sign: PEM or a trust file [default: this machine's own]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    #[command(flatten)]
    pub asked: Asked,
    /// Leave out whose word on the log's head counts, although it is configured for this machine
    #[arg(long, conflicts_with_all = ["log_policy", "max_age"])]
    pub no_log_policy: bool,
}

/// `nanohost replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// The run's id, the start of it, or an exported file
    #[arg(value_name = "RUN|FILE")]
    pub evidence: String,
    /// Only the calls of this step
    #[arg(long, value_name = "ID")]
    pub step: Option<String>,
    /// Another version of a tool: see what it makes of the recorded calls. Its manifest is the
    /// manifest.toml beside it, else that of the evidence
    #[arg(long, value_name = "COMPONENT")]
    pub against: Option<PathBuf>,
    /// Which of the program's tools that is [default: the only one that was called]
    #[arg(long, value_name = "NAME", requires = "against")]
    pub tool: Option<String>,
    /// The public key, or keys, that may sign: PEM or a trust file [default: this machine's own]
    #[arg(long, value_name = "FILE")]
    pub trust: Option<PathBuf>,
    #[command(flatten)]
    pub go_on: GoOnArgs,
    /// Count what could not be replayed, such as calls whose values are not disclosed, as missing
    #[arg(long)]
    pub strict: bool,
    /// Show personal data too, which is kept back otherwise
    #[arg(long)]
    pub reveal: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Print nothing while it works
    #[arg(long, short)]
    pub quiet: bool,
}

/// `nanohost export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The run's id, or the start of it
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The file to write; it must not exist
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Which values go along with the envelopes
    #[arg(long, value_enum, default_value_t = Disclose::Public)]
    pub disclose: Disclose,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Which values go along with the envelopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Disclose {
    /// Commitments only: signatures and the chain can be verified
    None,
    /// The program, the manifests and the policy, unless the policy holds values of [env], and
    /// those values of the run that hold no personal data
    Public,
    /// Everything, the values of [env] and what lets a run go on included
    All,
}

/// `nanohost trust`.
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// The project, or its policy. Without it: what trusting the project here would mean
    #[arg(value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Show what is trusted
    #[arg(long, conflicts_with_all = ["project", "remove"])]
    pub list: bool,
    /// Trust it no longer
    #[arg(long)]
    pub remove: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost policy`.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    pub command: PolicyCommand,
}

/// What to ask about policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Find what is wrong in a policy, and what in it is idle, about to end or too wide
    Check(PolicyCheckArgs),
    /// Say why a tool may do something, or may not, with the lines that decide
    Explain(PolicyExplainArgs),
    /// Compare what two policies grant; exit code 1 where anything widens
    Diff(PolicyDiffArgs),
    /// Hold a policy against the cases of a file; exit code 1 where one fails
    Test(PolicyTestArgs),
}

impl PolicyCommand {
    fn json(&self) -> bool {
        match self {
            Self::Check(args) => args.json,
            Self::Explain(args) => args.json,
            Self::Diff(args) => args.json,
            Self::Test(args) => args.json,
        }
    }
}

/// `nanohost policy check`.
#[derive(Debug, Args)]
pub struct PolicyCheckArgs {
    /// The policy [default: the one in force for this folder]
    #[arg(value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Hold it against the programs of a folder, and all below it [default: programs/ and examples/ of the policy's
    /// project, else all of the project]
    #[arg(long, value_name = "DIR")]
    pub programs: Option<PathBuf>,
    /// Exit with code 1 where there are warnings
    #[arg(long)]
    pub strict: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost policy explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
What can be asked about:
  filesystem /data [read|write]       env REGION            clock real
  sockets 127.0.0.1:8377              kv ledger             random real
  http [METHOD] https://host/path     secrets NAME [METHOD] https://host/path")]
pub struct PolicyExplainArgs {
    #[command(flatten)]
    pub program: ProgramArgs,
    /// The tool, by the program's name of it or by its own
    #[arg(value_name = "TOOL")]
    pub tool: String,
    /// The class of authority
    #[arg(value_name = "CAPABILITY")]
    pub capability: String,
    /// What of it
    #[arg(value_name = "VALUE", required = true)]
    pub value: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost policy diff`.
#[derive(Debug, Args)]
pub struct PolicyDiffArgs {
    /// The policy before. Its relative folders are meant from where NEW lies
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The policy after
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Programs, or folders that hold them
    #[arg(long, value_name = "DIR|FILE", required = true, num_args = 1..)]
    pub programs: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// Print Markdown, for a pull request
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
}

/// `nanohost policy test`.
#[derive(Debug, Args)]
pub struct PolicyTestArgs {
    /// The cases, TOML
    #[arg(value_name = "FILE")]
    pub cases: PathBuf,
    /// The policy [default: NANOHOST_POLICY, else the nearest policies/local.toml at or above the cases]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Judge by the machine's and the user's policies too, as a run would
    #[arg(long)]
    pub in_force: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost secret`.
#[derive(Debug, Args)]
pub struct SecretArgs {
    #[command(subcommand)]
    pub command: SecretCommand,
}

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Keep a secret, which is read from standard input, or typed unseen
    Set {
        /// The name that manifests and policies call it by
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List the names of the secrets that are kept
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Forget a secret
    Rm {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

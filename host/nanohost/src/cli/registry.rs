//! What can be said of packages: where they are sent, fetched from and kept.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use nanohost_core::{PackageRef, PinnedPackage};

/// Where the packages of a program may come from.
#[derive(Debug, Clone, Default, Args)]
pub struct PackageArgs {
    /// A bundle that packages may be taken from, before their registries are asked
    #[arg(long = "bundle", value_name = "FILE")]
    pub bundles: Vec<PathBuf>,
    /// Fetch no package: use what is on this machine, and bundles [also: NANOHOST_OFFLINE=1]
    #[arg(long)]
    pub offline: bool,
    /// A registry, HOST:PORT, that is spoken to without encryption; those on this machine are in any case
    #[arg(long, value_name = "REGISTRY")]
    pub plain_http: Vec<String>,
}

/// `nanohost tool pack`.
#[derive(Debug, Args)]
pub struct ToolPackArgs {
    /// The tool: its folder, or the name of one in the nearest tools/
    #[arg(value_name = "TOOL")]
    pub tool: PathBuf,
    /// Where to: a new folder, or an archive whose name ends with .tar
    #[arg(long, short, value_name = "DIR|FILE.tar")]
    pub out: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost tool push`.
#[derive(Debug, Args)]
#[command(after_help = "\
Who one is to a registry stands in Docker's configuration (DOCKER_CONFIG, else ~/.docker/config.json) and is asked of
its credential helpers. What `tool sign` put beside the manifest, and a bill of materials, sbom.cdx.json, go along.")]
pub struct ToolPushArgs {
    /// The tool: its folder, or the name of one in the nearest tools/
    #[arg(value_name = "TOOL")]
    pub tool: PathBuf,
    /// Where to: oci://registry/repository:tag [default of the tag: the tool's version]
    #[arg(value_name = "REF", value_parser = reference)]
    pub to: PackageRef,
    /// Move the tag where it names another package already
    #[arg(long)]
    pub move_tag: bool,
    /// Put this signature in the place of one by another key, which is then gone
    #[arg(long)]
    pub replace_signature: bool,
    /// Speak to the registry without encryption; to those on this machine one does in any case
    #[arg(long)]
    pub plain_http: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost tool pull`.
#[derive(Debug, Args)]
#[command(after_help = "\
A tag names what somebody put there last. Without a digest the package is not fetched: the digest that the tag has now
is printed, to be looked at and pinned, and the exit code is 1. With --resolve it is fetched all the same.")]
pub struct ToolPullArgs {
    /// Which: oci://registry/repository:tag@sha256:… [with --from: all that the bundle holds]
    #[arg(value_name = "REF", value_parser = reference, required_unless_present = "from")]
    pub from_registry: Option<PackageRef>,
    /// Write it as a tool's folder too, which is new
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Take what the tag names now
    #[arg(long, conflicts_with = "from")]
    pub resolve: bool,
    /// Take it from a bundle: an archive, or the folder of an image layout
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Speak to the registry without encryption; to those on this machine one does in any case
    #[arg(long)]
    pub plain_http: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost tool bundle`.
#[derive(Debug, Args)]
pub struct ToolBundleArgs {
    /// What goes in: packages, oci://…@sha256:…, and tools: folders, or names in the nearest tools/
    #[arg(value_name = "REF|TOOL", required_unless_present = "programs")]
    pub what: Vec<String>,
    /// All packages that a program names go in
    #[arg(long = "program", value_name = "PROGRAM")]
    pub programs: Vec<PathBuf>,
    /// The archive to write
    #[arg(long, short, value_name = "FILE.tar")]
    pub out: PathBuf,
    #[command(flatten)]
    pub packages: PackageArgs,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// `nanohost cache`.
#[derive(Debug, Args)]
#[command(after_help = "\
NANOHOST_CACHE names another folder than the platform's cache folder; NANOHOST_CACHE=off keeps nothing")]
pub struct CacheArgs {
    #[command(subcommand)]
    pub command: CacheCommand,
}

/// What to do with what is kept.
#[derive(Debug, Clone, Subcommand)]
pub enum CacheCommand {
    /// Print the folder of compiled code
    Path {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Remove all compiled code: it is made again when it is needed
    Clear,
    /// List the packages that are kept, and when each was last used
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Remove packages that nobody uses: what programs that are named need stays, and what a command uses now
    Gc(GcArgs),
}

/// `nanohost cache gc`.
#[derive(Debug, Clone, Args)]
pub struct GcArgs {
    /// Programs whose packages stay, by themselves and by the locks beside them, and folders of programs
    #[arg(value_name = "PROGRAM|DIR")]
    pub programs: Vec<PathBuf>,
    /// Of the others, keep what was used within so many days [default: 30, or 0 where programs are named]
    #[arg(long, value_name = "N")]
    pub days: Option<u32>,
    /// Remove nothing; tell what would be
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

impl CacheCommand {
    /// Whether the result is to be one JSON document.
    pub fn json(&self) -> bool {
        match self {
            Self::Path { json } | Self::List { json } => *json,
            Self::Gc(args) => args.json,
            Self::Clear => false,
        }
    }
}

/// A package as it is typed: the scheme may be left out, which in a program it may not.
fn reference(text: &str) -> Result<PackageRef, String> {
    let whole = match text.contains("://") {
        true => text.to_owned(),
        false => format!("{}{text}", nanohost_core::PACKAGE_SCHEME),
    };
    whole.parse().map_err(|error: nanohost_core::BadPackageRef| error.to_string())
}

/// A package that is named by its digest, where the text is one.
pub fn pinned(text: &str) -> Option<Result<PinnedPackage, String>> {
    let read = text.starts_with(nanohost_core::PACKAGE_SCHEME).then(|| reference(text))?;
    Some(read.and_then(|read| {
        read.pinned().ok_or_else(|| format!("{read} has no digest: `nanohost tool pull {read}` prints it"))
    }))
}

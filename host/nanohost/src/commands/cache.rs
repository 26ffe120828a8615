//! `nanohost cache`: what is kept and can be had again: compiled code, and packages. Removes no package that
//! a command uses at this moment.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nanohost_core::{Diagnostic, Digest, PackageRef, ToolOrigin};
use nanohost_sandbox::CodeCache;
use nanohost_verify::console::table;
use serde_json::json;

use crate::cli::{CacheArgs, CacheCommand, GcArgs};
use crate::console::{self, Console};
use crate::failure::{Exit, Failure};
use crate::prepare;
use crate::project::{self, Places};
use crate::registry::PackageCache;
use crate::registry::cache::Entry;

/// What no program is named for stays so many days after it was last used.
const DAYS: u32 = 30;

/// What an interrupted transfer left is nobody's any more after so long.
const UNFINISHED: Duration = Duration::from_hours(24);

/// `nanohost cache`.
pub fn cache(args: &CacheArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    match &args.command {
        CacheCommand::Path { json } => path(*json, places, console),
        CacheCommand::Clear => clear(places, console),
        CacheCommand::List { json } => list(*json, places, console),
        CacheCommand::Gc(args) => gc(args, places, console),
    }
}

fn path(json: bool, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let shown = |folder: std::path::PathBuf| folder.display().to_string();
    match places.code_cache() {
        folder if json => console.json(&json!({
            "folder": folder.map(shown),
            "packages": places.packages().map(shown),
        }))?,
        None => console.note("compiled code is not kept"),
        Some(folder) => console.print(&format!("{}\n", console::path(&folder)))?,
    }
    Ok(Exit::Success)
}

fn clear(places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let Some(folder) = places.code_cache() else {
        console.note("compiled code is not kept");
        return Ok(Exit::Success);
    };
    let removed = CodeCache::clear(&folder).map_err(|error| {
        let message = format!("cannot clear {}: {error}", console::path(&folder));
        Failure::host(Diagnostic::error("cache_not_cleared", message))
    })?;
    console.note(&format!("removed: {removed} in {}", console::path(&folder)));
    Ok(Exit::Success)
}

fn list(json: bool, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let cache = PackageCache::of(places)?;
    let entries = cache.list()?;
    if json {
        console.json(&json!({
            "folder": cache.folder(),
            "packages": entries.iter().map(as_json).collect::<Vec<_>>(),
        }))?;
        return Ok(Exit::Success);
    }
    if entries.is_empty() {
        console.note(&format!("no package is kept in {}", console::path(cache.folder())));
        return Ok(Exit::Success);
    }
    let rows = entries.iter().map(|entry| {
        vec![
            console::escaped(&called(entry)),
            format!("sha256:{}", entry.digest),
            format!("{} bytes", entry.bytes),
            format!("{} d ago", days_since(entry)),
            if entry.signed { "carries a signature" } else { "no signature" }.to_owned(),
        ]
    });
    console.print(&table::columns(&["tool", "package", "size", "used", "signature"], rows))?;
    Ok(Exit::Success)
}

fn gc(args: &GcArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let cache = PackageCache::of(places)?;
    let stays = reachable(args)?;
    let days = args.days.unwrap_or(if args.programs.is_empty() { DAYS } else { 0 });
    let (mut removed, mut held) = (Vec::new(), Vec::new());
    for entry in cache.list()? {
        if stays.contains(&entry.digest) || (days > 0 && days_since(&entry) < u64::from(days)) {
            continue;
        }
        match args.dry_run || cache.remove(&entry.digest)? {
            true => removed.push(entry),
            false => held.push(entry),
        }
    }
    if !args.dry_run {
        cache.sweep(SystemTime::now() - UNFINISHED)?;
    }
    if args.json {
        console.json(&json!({
            "exitCode": Exit::Success as u8,
            "dryRun": args.dry_run,
            "removed": removed.iter().map(as_json).collect::<Vec<_>>(),
            "inUse": held.iter().map(as_json).collect::<Vec<_>>(),
            "bytes": removed.iter().map(|entry| entry.bytes).sum::<u64>(),
        }))?;
        return Ok(Exit::Success);
    }
    let what = if args.dry_run { "would be removed" } else { "removed" };
    let mut out = String::new();
    for (entries, what) in [(&removed, what), (&held, "stays, since a command uses it")] {
        for entry in entries {
            out.push_str(&format!("{what}: {} sha256:{}\n", console::escaped(&called(entry)), entry.digest));
        }
    }
    let bytes: u64 = removed.iter().map(|entry| entry.bytes).sum();
    out.push_str(&format!("{what}: {} of {bytes} bytes\n", removed.len()));
    console.print(&out)?;
    Ok(Exit::Success)
}

/// The packages that programs need: those that they name, and those that their locks pin. A program that
/// cannot be read ends it: what it needs would be removed otherwise.
fn reachable(args: &GcArgs) -> anyhow::Result<BTreeSet<Digest>> {
    let mut all = BTreeSet::new();
    if args.programs.is_empty() {
        return Ok(all);
    }
    for path in project::programs_in(&args.programs)? {
        let (program, _) = prepare::program(&path)?;
        for tool in program.tools().into_iter().flatten() {
            if let ToolOrigin::Package { package, .. } = &tool.origin {
                all.insert(package.digest());
            }
        }
        all.extend(pinned_beside(&path)?);
    }
    Ok(all)
}

fn pinned_beside(program: &Path) -> anyhow::Result<BTreeSet<Digest>> {
    let Some(lock) = project::read_lock(program)? else { return Ok(BTreeSet::new()) };
    let packages = lock.pins().iter().filter_map(|(_, pin)| pin.package.as_deref());
    Ok(packages.filter_map(|text| text.parse::<PackageRef>().ok()?.digest).collect())
}

fn called(entry: &Entry) -> String {
    match &entry.tool {
        Some((name, version)) => format!("{name} {version}"),
        None => "unreadable".to_owned(),
    }
}

fn days_since(entry: &Entry) -> u64 {
    SystemTime::now().duration_since(entry.used).map_or(0, |since| since.as_secs() / 86_400)
}

fn as_json(entry: &Entry) -> serde_json::Value {
    let (name, version) = entry.tool.clone().unzip();
    json!({
        "digest": format!("sha256:{}", entry.digest),
        "tool": name,
        "version": version,
        "bytes": entry.bytes,
        "daysSinceUse": days_since(entry),
        "signed": entry.signed,
    })
}

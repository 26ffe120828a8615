//! `nanohost tool sign` and `nanohost tool verify`: a publisher's word for a package, given and held against
//! a key. Nothing of the package runs.

use std::io::Write as _;

use nanohost_core::Diagnostic;
use nanohost_core::signature::{SBOM_FILE, SIGNATURE_FILE, Signed, Statement};
use nanohost_sandbox::Engine;
use nanohost_verify::whole;
use serde_json::{Value, json};

use crate::cli::{PackageArgs, ToolSignArgs, ToolVerifyArgs};
use crate::console::{self, Console, Progress};
use crate::failure::{Exit, Failure};
use crate::project::{self, Places, quoted};
use crate::tool::{Failed, Package, Standing, package, signing};

/// `nanohost tool sign`.
pub fn sign(args: &ToolSignArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.json);
    let package = Package::read(&args.package, &PackageArgs::default(), places, &Engine::new()?, &progress)?;
    is_package(&package)?;
    let manifest = package.needs_manifest()?;
    let facts = package.loaded.facts();
    let provenance = signing::provenance(
        facts.component,
        &package.anatomy,
        args.source.as_deref(),
        args.repository.as_deref(),
        args.rebuild,
        &progress,
    )?;
    let sbom = project::sbom(&package.dir)?;
    let (signer, development) = signing::signer(args.key.as_deref(), places)?;
    let statement = Statement::of(manifest, facts, sbom.as_deref(), provenance);
    let unsigned = |why: String| {
        Failure::usage(
            Diagnostic::error("package_not_signed", format!("the package cannot be signed: {why}"))
                .help("mend the manifest's texts"),
        )
    };
    let bytes = statement.sign(&signer).map_err(|error| unsigned(error.to_string()))?;
    let signed = Signed::parse(&bytes).map_err(|fault| unsigned(fault.to_string()))?;
    signed.fits(manifest, facts).map_err(|fault| unsigned(fault.to_string()))?;
    let path = package.dir.join(SIGNATURE_FILE);
    let io = |error: std::io::Error| Failure::io("package_not_written", "write", &path, &error);
    whole::replace_shared(&path, |file| file.write_all(&bytes)).map_err(io)?;
    if args.json {
        let mut document = statement_json(&signed);
        document["signature"] = json!({ "path": path, "digest": signed.digest() });
        document["key"] = json!(signed.key_id().digest());
        document["developmentKey"] = json!(development);
        document["exitCode"] = json!(Exit::Success as u8);
        console.json(&document)?;
        return Ok(Exit::Success);
    }
    console.note(&console::render(&package.warnings, console.look_err()));
    if args.source.is_some() && statement.predicate.provenance.source.is_none() {
        let note = "the sources stand in no git repository, so that no commit is named";
        console.note(&format!("{note}\n"));
    }
    if development {
        let note = "signed with the development key, which nobody made on purpose and which is not encrypted: \
                    `nanohost key new` makes one";
        console.note(&format!("{note}\n"));
    }
    let mut out = format!("{} is signed\n", console::escaped(&package.title()));
    out.push_str(&told(&signed));
    out.push_str(&format!("  signature  {}\n", console::path(&path)));
    let show = match &args.key {
        Some(_) => "the public half of that key".to_owned(),
        None => format!("`{} key show --public`", console::program_name()),
    };
    out.push_str(&format!("\nwho takes it names its key in a policy, below [publishers]: {show}\n"));
    console.print(&out)?;
    Ok(Exit::Success)
}

/// `nanohost tool verify`.
pub fn verify(args: &ToolVerifyArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.json);
    let package = Package::read(&args.package, &args.packages, places, &Engine::new()?, &progress)?;
    let mut keys = Vec::new();
    for file in &args.keys {
        keys.push((file.display().to_string(), signing::public_key(file)?));
    }
    if let Some(policy) = &args.policy {
        let policy = project::read_policy(policy, policy)?;
        let named = policy.publishers();
        keys.extend(named.flat_map(|(name, keys)| keys.iter().map(|key| (name.to_owned(), key.clone()))));
    }
    if args.keys.is_empty() && args.policy.is_none() {
        keys = package::publishers(&package.near, places)?;
    }
    let standing = package.held_against(&keys);
    let exit = match &standing {
        Standing::Verified { .. } => Exit::Success,
        Standing::NotSigned => Exit::RunFailed,
        Standing::Failed(Failed::Fault(_)) => Exit::Tampered,
        Standing::Failed(Failed::UnknownKey(_)) => Exit::Untrusted,
    };
    let signed = match &package.signature {
        Some(Ok(signed)) => Some(signed),
        Some(Err(_)) | None => None,
    };
    if args.json {
        console.json(&json!({
            "exitCode": exit as u8,
            "tool": package.title(),
            "standing": standing.as_str(),
            "publisher": console::publisher_json(&standing),
            // What nobody's key vouches for is nobody's word.
            "says": signed.filter(|_| exit == Exit::Success).map_or(Value::Null, statement_json),
        }))?;
        return Ok(exit);
    }
    let mut out = format!("{}\n", console::escaped(&package.title()));
    out.push_str(&format!("  publisher  {}\n", console::standing(&standing)));
    if let (Some(signed), Exit::Success) = (signed, exit) {
        out.push_str(&told(signed));
    }
    if let Standing::Failed(Failed::UnknownKey(_)) = &standing {
        let named = keys.len();
        out.push_str(&format!(
            "\n{named} keys of publishers were asked; name one with --key FILE, or a policy that does with --policy FILE\n"
        ));
    }
    console.print(&out)?;
    Ok(exit)
}

/// What is signed stays as it is: a crate is another component after its next build. What is kept of a
/// registry is as its publisher signed it.
fn is_package(package: &Package) -> anyhow::Result<()> {
    let program = console::program_name();
    let (message, help) = if package.kept.is_some() {
        let message = "a package of a registry is kept as its publisher signed it";
        (message.to_owned(), format!("make it yours first: {program} tool pull REF -o DIR, and sign DIR"))
    } else if package.dir.join("Cargo.toml").is_file() {
        let folder = quoted(&package.dir);
        let message = "these are a tool's sources, and each build makes another component";
        let help = format!(
            "make a package and sign that:\n  {program} tool build {folder} --out DIR\n  {program} tool sign DIR --source {folder}"
        );
        (message.to_owned(), help)
    } else {
        return Ok(());
    };
    Err(Failure::usage(Diagnostic::error("not_a_package", message).help(help)))
}

fn told(signed: &Signed) -> String {
    let statement = signed.statement();
    let provenance = &statement.predicate.provenance;
    let source = match &provenance.source {
        None => "not said".to_owned(),
        Some(source) => {
            let repository = source.repository.as_deref().map(|own| format!("{own} ")).unwrap_or_default();
            let changed = if source.clean { "" } else { ", with changes that nobody committed" };
            format!("{}commit {}{changed}", console::escaped(&repository), console::escaped(&source.commit))
        }
    };
    let rebuild = match provenance.rebuild {
        nanohost_core::signature::Rebuild::NotTried => "nobody tried",
        nanohost_core::signature::Rebuild::Same => "gave the same bytes",
        nanohost_core::signature::Rebuild::Different => "gave other bytes",
    };
    let parts = match &statement.sbom {
        Some(sbom) => format!("{SBOM_FILE} {}", sbom.short()),
        None => "not listed".to_owned(),
    };
    format!(
        "  key        {}\n  component  sha256:{}\n  manifest   sha256:{}\n  parts      {parts}\n  source     {source}\n  \
         toolchain  {}\n  builder    {}\n  rebuild    {rebuild}\n",
        signed.key_id(),
        statement.component,
        statement.manifest,
        console::escaped(&provenance.toolchain.join(", ")),
        console::escaped(&provenance.builder),
    )
}

fn statement_json(signed: &Signed) -> Value {
    let statement = signed.statement();
    json!({
        "tool": statement.predicate.tool,
        "version": statement.predicate.version,
        "component": statement.component,
        "manifest": statement.manifest,
        "sbom": statement.sbom,
        "provenance": statement.predicate.provenance,
    })
}

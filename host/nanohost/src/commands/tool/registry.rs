//! `nanohost tool pack|push|pull|bundle`: packages on their way to registries, from them, and round them.

use std::fs;
use std::path::{Path, PathBuf};

use nanohost_core::signature::Signed;
use nanohost_core::{
    Diagnostic, Digest, Manifest, PackageRef, PinnedPackage, ToolOrigin, is_tag, source_from_bytes,
};
use nanohost_sandbox::Engine;
use nanohost_verify::{read, whole};
use serde_json::{Value, json};

use crate::cli::{PackageArgs, ToolBundleArgs, ToolPackArgs, ToolPullArgs, ToolPushArgs, pinned};
use crate::console::{self, Console, Progress, program_name};
use crate::failure::{Exit, Failure};
use crate::prepare;
use crate::project::{MANIFEST, PREBUILT, Places};
use crate::registry::artifact::{self, BILL, Part, SIGNATURE};
use crate::registry::layout::LayoutDraft;
use crate::registry::resolve::Bundle;
use crate::registry::{self, Fetched, Files, PackageCache, Packed, Reach, Remote, Use};
use crate::tool::{Package, make};

/// A tool as a package.
struct Whole {
    title: String,
    version: String,
    packed: Packed,
}

/// `nanohost tool pack`.
pub fn pack(args: &ToolPackArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.json);
    let own = packed(&args.tool, places, &progress)?;
    let mut draft = LayoutDraft::default();
    own.packed.lay(&own.title, &mut draft);
    // A folder may be called anything, but who names an archive means one.
    let other = ["zip", "tgz", "gz", "xz", "zst", "bz2", "7z"];
    let named = args.out.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if other.iter().any(|other| named.eq_ignore_ascii_case(other)) {
        let message = format!("{} is called as no archive that is written here", args.out.display());
        return Err(Failure::usage(
            Diagnostic::error("package_not_written", message)
                .help("an archive is FILE.tar; any other name is a folder's"),
        ));
    }
    match args.out.extension().is_some_and(|extension| extension == "tar") {
        true => archive(&draft, &args.out)?,
        false => {
            let io = |error| Failure::io("package_not_written", "write", &args.out, &error);
            let there = fs::read_dir(&args.out).is_ok_and(|mut entries| entries.next().is_some());
            if there {
                return Err(io(std::io::ErrorKind::AlreadyExists.into()));
            }
            draft.write_folder(&args.out).map_err(io)?;
        }
    }
    if args.json {
        console.json(&json!({
            "exitCode": Exit::Success as u8,
            "digest": format!("sha256:{}", own.packed.digest()),
            "path": args.out,
            "parts": parts_json(&own.packed),
        }))?;
        return Ok(Exit::Success);
    }
    let mut out = told(&own.packed);
    out.push_str(&format!("  written    {}\n", console::path(&args.out)));
    console.print(&format!("{}\n{out}", console::escaped(&own.title)))?;
    Ok(Exit::Success)
}

/// `nanohost tool push`.
pub fn push(args: &ToolPushArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    if args.to.digest.is_some() {
        return Err(Failure::usage(
            Diagnostic::error("invalid_reference", format!("{} says what it is before it is there", args.to))
                .help("leave out the digest: it comes from the package"),
        ));
    }
    let progress = Progress::new(!args.json);
    let own = packed(&args.tool, places, &progress)?;
    // As Helm writes versions, whose `+` no tag can have.
    let tag = args.to.tag.clone().unwrap_or_else(|| own.version.replace('+', "_"));
    if !is_tag(&tag) {
        let message = format!("the version {} cannot be a tag", own.version.escape_debug());
        return Err(Failure::usage(
            Diagnostic::error("invalid_reference", message)
                .help("name the tag: oci://registry/repository:TAG"),
        ));
    }
    progress.stage(&format!("sending {} to {}", own.title, args.to.repository));
    let plain = plain(&args.to, args.plain_http);
    let mut remote = Remote::open(&args.to.repository, Use::Push, &plain, &progress)?;
    if let Some(there) = remote.tagged(&tag)?
        && there != own.packed.digest()
        && !args.move_tag
    {
        let message =
            format!("{}:{tag} is sha256:{there} already, which is another package", args.to.repository);
        return Err(Failure::usage(
            Diagnostic::error("tag_taken", message)
                .help("give it another version, or move the tag from the one to the other with --move-tag"),
        ));
    }
    if !args.replace_signature {
        keeps_signatures(&own.packed, &mut remote, &args.to)?;
    }
    let package = remote.push(&own.packed, &tag)?;
    progress.clear();
    if args.json {
        console.json(&json!({
            "exitCode": Exit::Success as u8,
            "package": package.to_string(),
            "digest": format!("sha256:{}", package.digest()),
            "parts": parts_json(&own.packed),
        }))?;
        return Ok(Exit::Success);
    }
    console.print(&format!(
        "{}\n{}  {}\n",
        console::escaped(&own.title),
        told(&own.packed),
        line(&package)
    ))?;
    Ok(Exit::Success)
}

/// That nobody else's word for the same package is lost, by another signature or another bill of materials
/// than the one it names.
fn keeps_signatures(packed: &Packed, remote: &mut Remote<'_>, to: &PackageRef) -> anyhow::Result<()> {
    let sent = |part: Part| {
        let mut found = packed.referrers.iter().filter(|referrer| referrer.part == part);
        found.next().map(|referrer| referrer.bytes.as_slice())
    };
    let own = sent(Part::Signature).and_then(|bytes| Signed::parse(bytes).ok()).map(|own| own.key_id());
    let bill = sent(Part::Bill);
    let manifest = sent(Part::Manifest).map(Digest::of);
    if own.is_none() && bill.is_none() {
        return Ok(());
    }
    for bytes in artifact::signatures(remote, &packed.digest())? {
        let Ok(signed) = Signed::parse(&bytes) else { continue };
        let about = signed.statement();
        if about.component != Digest::of(&packed.component) || Some(about.manifest) != manifest {
            continue;
        }
        let stays = match own {
            Some(own) => own == signed.key_id(),
            None => signed.fits_sbom(bill).is_ok(),
        };
        if !stays {
            let message = format!(
                "sha256:{} at {} is signed with the key {}, and that signature would be lost",
                packed.digest(),
                to.repository,
                signed.key_id()
            );
            return Err(Failure::usage(Diagnostic::error("signature_taken", message).help(
                "send it to a repository of your own, or put yours in its place with --replace-signature",
            )));
        }
    }
    Ok(())
}

/// `nanohost tool pull`.
pub fn pull(args: &ToolPullArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.json);
    let asked = PackageArgs {
        plain_http: args.from_registry.as_ref().map(|from| plain(from, args.plain_http)).unwrap_or_default(),
        ..PackageArgs::default()
    };
    let reach = Reach::new(places, &asked, &progress);
    if let Some(path) = &args.from {
        return imported(path, args, &reach, places, console);
    }
    let Some(from) = &args.from_registry else { return Ok(Exit::Success) };
    let package = match from.pinned() {
        Some(package) => package,
        None => match resolved(from, &asked, &reach, &progress)? {
            package if args.resolve => package,
            package => return unpinned(from, &package, args, console),
        },
    };
    let fetched = reach.fetch(&package, None)?;
    take(&fetched, args.out.as_deref(), &reach, places)?;
    progress.clear();
    if args.json {
        let mut document = fetched_json(&fetched, places);
        document["exitCode"] = (Exit::Success as u8).into();
        document["package"] = package.to_string().into();
        document["path"] = json!(args.out);
        console.json(&document)?;
        return Ok(Exit::Success);
    }
    let mut out = match called(&fetched) {
        Some((name, version)) => format!("{} {}\n", console::escaped(&name), console::escaped(&version)),
        None => String::new(),
    };
    out.push_str(&told(&Packed::again(&fetched)));
    out.extend(args.out.iter().map(|path| format!("  written    {}\n", console::path(path))));
    console.print(&format!("{out}  {}\n", line(&package)))?;
    Ok(Exit::Success)
}

/// What a tag names now.
fn resolved(
    from: &PackageRef,
    asked: &PackageArgs,
    reach: &Reach<'_>,
    progress: &Progress,
) -> anyhow::Result<PinnedPackage> {
    let Some(tag) = &from.tag else {
        return Err(Failure::usage(
            Diagnostic::error("package_unpinned", format!("{from} names a repository, and no package of it"))
                .help("name a tag, whose digest is printed, or the digest"),
        ));
    };
    reach.online(&from.to_string())?;
    let remote = Remote::open(&from.repository, Use::Pull, &asked.plain_http, progress)?;
    let digest = remote.tagged(tag)?;
    progress.clear();
    digest.map(|digest| from.at(digest)).ok_or_else(|| {
        Failure::usage(
            Diagnostic::error("package_not_found", format!("{} has no tag {tag}", from.repository))
                .help("check the reference; a registry may also say so of what one may not see: log in"),
        )
    })
}

/// The digest is what was asked for, and nothing is fetched.
fn unpinned(
    from: &PackageRef,
    package: &PinnedPackage,
    args: &ToolPullArgs,
    console: &Console,
) -> anyhow::Result<Exit> {
    let again = format!("{} tool pull {package}", program_name());
    if args.json {
        let finding =
            Diagnostic::error("package_unpinned", format!("{from} may be another package tomorrow"))
                .help(format!("look at it, and pin it: {again}"));
        console.json(&json!({
            "exitCode": Exit::RunFailed as u8,
            "package": package.to_string(),
            "digest": format!("sha256:{}", package.digest()),
            "findings": console::findings_json(&finding.into()),
        }))?;
        return Ok(Exit::RunFailed);
    }
    console.print(&format!("{}\n", line(package)))?;
    console.note(&format!(
        "nothing was fetched: {from} names this package now, and may name another tomorrow\n  {again}"
    ));
    Ok(Exit::RunFailed)
}

/// What a bundle holds: all of it, or the one that is named.
fn imported(
    path: &Path,
    args: &ToolPullArgs,
    reach: &Reach<'_>,
    places: &Places,
    console: &Console,
) -> anyhow::Result<Exit> {
    let mut bundle = Bundle::open(path)?;
    let wanted = match &args.from_registry {
        Some(from) => match from.digest {
            Some(digest) => Some(digest),
            None => {
                let message = format!("{from} has no digest, and a bundle's own names prove nothing");
                return Err(Failure::usage(
                    Diagnostic::error("package_unpinned", message)
                        .help("name it with its digest, or leave it out to take all that the bundle holds"),
                ));
            }
        },
        None => None,
    };
    let images: Vec<(Digest, Option<String>)> = bundle
        .images()
        .into_iter()
        .filter(|(digest, _)| wanted.is_none_or(|wanted| wanted == *digest))
        .collect();
    if images.is_empty() {
        let message = format!("{} does not hold what is asked for", path.display());
        return Err(Failure::usage(
            Diagnostic::error("package_not_found", message)
                .help("without a reference all that it holds is taken, and listed"),
        ));
    }
    if args.out.is_some() && images.len() > 1 {
        let message = format!("{} holds {} packages, and --out is for one", path.display(), images.len());
        return Err(Failure::usage(
            Diagnostic::error("package_unpinned", message).help("say which, with its digest"),
        ));
    }
    let (mut told, mut documents) = (String::new(), Vec::new());
    for (digest, name) in images {
        let fetched = Fetched::from(&mut bundle, &digest)?;
        take(&fetched, args.out.as_deref(), reach, places)?;
        let name = name.unwrap_or_default();
        told.push_str(&format!("sha256:{digest}  {}\n", console::escaped(&name)));
        let mut document = fetched_json(&fetched, places);
        document["name"] = name.into();
        documents.push(document);
    }
    if args.json {
        console.json(&json!({ "exitCode": Exit::Success as u8, "packages": documents }))?;
    } else {
        console.print(&told)?;
    }
    Ok(Exit::Success)
}

/// Keeps what was fetched, and writes it as a folder where one is wanted. A component without a manifest is
/// no package, and can be had as a folder alone.
fn take(fetched: &Fetched, out: Option<&Path>, reach: &Reach<'_>, places: &Places) -> anyhow::Result<()> {
    if let Some(folder) = out {
        write(fetched, folder)?;
    }
    if fetched.manifest.is_some() || out.is_none() {
        let cache = PackageCache::of(places)?;
        let _held = cache.hold(fetched.digest)?;
        reach.keep(fetched, &cache)?;
    }
    Ok(())
}

fn write(fetched: &Fetched, folder: &Path) -> anyhow::Result<()> {
    let io = |path: &Path, error| Failure::io("package_not_written", "write", path, &error);
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(io(folder, std::io::ErrorKind::AlreadyExists.into()));
    }
    fs::create_dir_all(folder).map_err(|error| io(folder, error))?;
    let files = [
        (PREBUILT, Some(&fetched.component)),
        (SIGNATURE, fetched.signature.as_ref()),
        (BILL, fetched.bill.as_ref()),
        // Last: without it the folder is no tool.
        (MANIFEST, fetched.manifest.as_ref()),
    ];
    for (name, bytes) in files.into_iter().filter_map(|(name, bytes)| Some((name, bytes?))) {
        let path = folder.join(name);
        whole::replace_shared(&path, |file| std::io::Write::write_all(file, bytes))
            .map_err(|error| io(&path, error))?;
    }
    Ok(())
}

/// `nanohost tool bundle`.
pub fn bundle(args: &ToolBundleArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    let progress = Progress::new(!args.json);
    let reach = Reach::new(places, &args.packages, &progress);
    let mut all: Vec<(String, Packed)> = Vec::new();
    for what in &args.what {
        match pinned(what) {
            Some(package) => {
                let package = package.map_err(|why| {
                    Failure::usage(
                        Diagnostic::error("package_unpinned", why).help("a bundle holds what was looked at"),
                    )
                })?;
                all.push((name(&package), Packed::again(&reach.whole(&package)?)));
            }
            None => {
                let own = packed(Path::new(what), places, &progress)?;
                all.push((own.title, own.packed));
            }
        }
    }
    for path in &args.programs {
        let (program, _) = prepare::program(path)?;
        for tool in program.tools().into_iter().flatten() {
            if let ToolOrigin::Package { package, bundle } = &tool.origin {
                let beside = bundle.as_ref().map(|file| path.parent().unwrap_or(Path::new("")).join(file));
                let fetched = match beside {
                    Some(file) => reach.fetch(package, Some(&file))?,
                    None => reach.whole(package)?,
                };
                all.push((name(package), Packed::again(&fetched)));
            }
        }
    }
    if all.is_empty() {
        return Err(Failure::usage(
            Diagnostic::error("package_not_found", "none of these programs names a package")
                .help("a tool of a folder needs no bundle: it lies beside its program"),
        ));
    }
    let mut draft = LayoutDraft::default();
    all.iter().for_each(|(name, packed)| packed.lay(name, &mut draft));
    archive(&draft, &args.out)?;
    progress.clear();
    if args.json {
        let packages = all.iter().map(|(name, packed)| {
            json!({ "name": name, "digest": format!("sha256:{}", packed.digest()), "parts": parts_json(packed) })
        });
        console.json(&json!({
            "exitCode": Exit::Success as u8,
            "path": args.out,
            "packages": packages.collect::<Vec<_>>(),
        }))?;
        return Ok(Exit::Success);
    }
    let lines: String = all
        .iter()
        .map(|(name, packed)| format!("sha256:{}  {}\n", packed.digest(), console::escaped(name)))
        .collect();
    console.print(&format!("{lines}written: {}\n", console::path(&args.out)))?;
    Ok(Exit::Success)
}

/// What a package is called in a bundle: where it is from, without its digest, which stands beside it.
fn name(package: &PinnedPackage) -> String {
    let repository = package.repository();
    let tag = package.tag().map(|tag| format!(":{tag}")).unwrap_or_default();
    format!("{}/{}{tag}", repository.registry(), repository.name())
}

fn archive(draft: &LayoutDraft, path: &Path) -> anyhow::Result<()> {
    whole::replace_shared(path, |file| draft.write_archive(file))
        .map_err(|error| Failure::io("package_not_written", "write", path, &error))
}

/// A tool as a package, byte for byte as it lies there.
fn packed(tool: &Path, places: &Places, progress: &Progress) -> anyhow::Result<Whole> {
    let package = Package::read(tool, &PackageArgs::default(), places, &Engine::new()?, progress)?;
    let manifest = package.needs_manifest()?;
    make::in_step(&package)?;
    // Everybody would refuse it, and who made it would not hear of that.
    package.needs_no_fault()?;
    let component = prepare::component_bytes(&package.component)?;
    registry::check_component(&component, package.loaded.facts().component, &package.component)?;
    let beside = |part: Part| -> anyhow::Result<Option<Vec<u8>>> {
        let path: Option<PathBuf> =
            package.manifest_path.as_ref().map(|path| path.with_file_name(part.file()));
        let Some(path) = path.filter(|path| path.exists()) else { return Ok(None) };
        let bytes = read::read_bounded(&path, part.bound());
        bytes.map(Some).map_err(|error| Failure::io("unreadable_file", "read", &path, &error))
    };
    let files = Files {
        component: component.to_vec(),
        manifest: manifest.source().text.clone().into_bytes(),
        signature: beside(Part::Signature)?,
        bill: beside(Part::Bill)?,
    };
    let packed = Packed::of(&files, manifest, package.loaded.facts());
    Ok(Whole {
        title: format!("{}:{}", manifest.name(), manifest.version()),
        version: manifest.version().to_owned(),
        packed,
    })
}

fn plain(named: &PackageRef, plain: bool) -> Vec<String> {
    if plain { vec![named.repository.registry().to_owned()] } else { Vec::new() }
}

fn line(package: &PinnedPackage) -> String {
    format!("package = \"{package}\"")
}

fn told(packed: &Packed) -> String {
    let mut out = format!(
        "  image      sha256:{}\n  component  sha256:{} ({} bytes)\n",
        packed.digest(),
        Digest::of(&packed.component),
        packed.component.len()
    );
    let carried: Vec<&str> = packed.referrers.iter().map(|referrer| referrer.part.file()).collect();
    out.push_str(&format!("  with       {}\n", carried.join(", ")));
    if !carried.contains(&SIGNATURE) {
        out.push_str("  signature  none\n");
    }
    out
}

fn parts_json(packed: &Packed) -> Value {
    let digest = |part: Part| {
        let found = packed.referrers.iter().find(|referrer| referrer.part == part);
        found.map(|referrer| format!("sha256:{}", Digest::of(&referrer.bytes)))
    };
    json!({
        "component": format!("sha256:{}", Digest::of(&packed.component)),
        "manifest": digest(Part::Manifest),
        "signature": digest(Part::Signature),
        "sbom": digest(Part::Bill),
    })
}

/// The tool's name and version, where it came with a manifest that can be read.
fn called(fetched: &Fetched) -> Option<(String, String)> {
    let source = source_from_bytes(MANIFEST, fetched.manifest.as_deref()?).ok()?;
    let manifest = Manifest::parse(source).ok()?;
    Some((manifest.name().to_string(), manifest.version().to_owned()))
}

fn fetched_json(fetched: &Fetched, places: &Places) -> Value {
    let (tool, version) = called(fetched).unzip();
    let folder = places.packages().map(|folder| folder.join(fetched.digest.to_string()));
    json!({
        "digest": format!("sha256:{}", fetched.digest),
        "tool": tool,
        "version": version,
        "folder": folder.filter(|_| fetched.manifest.is_some()),
        "parts": parts_json(&Packed::again(fetched)),
    })
}

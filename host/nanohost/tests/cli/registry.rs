//! Packages on their way: sent to a real registry, fetched from it, kept, bundled, and refused wherever they
//! are not what they are called.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Done, Home};
use crate::registry_server::{Cutting, Registry};
use crate::tool::{MANIFEST, POLICY, component, program};

/// A user with a cache of packages of their own.
pub(crate) struct User {
    pub(crate) home: Home,
}

impl User {
    fn new() -> Self {
        Self { home: Home::new() }
    }

    /// Someone with the tool `ledger` in `ledger/`.
    pub(crate) fn with_tool() -> Self {
        let user = Self::new();
        user.home.write("ledger/component.wasm", component());
        user.home.write("ledger/manifest.toml", MANIFEST);
        user
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(args);
        command.env("NANOHOST_CACHE", self.home.path("cache")).env("DOCKER_CONFIG", self.home.path("docker"));
        command
    }

    pub(crate) fn nanohost(&self, args: &[&str]) -> Done {
        Done::of(self.command(args))
    }

    /// Sends `ledger/` under a tag; the package with its digest.
    fn push(&self, registry: &str, tag: &str) -> String {
        let to = format!("oci://{registry}/team/ledger:{tag}");
        let sent = self.nanohost(&["tool", "push", "ledger", &to, "--json"]).exits(0).json();
        text(&sent["package"])
    }

    /// Writes `own/NAME.toml`, which books with a package.
    fn program(&self, name: &str, package: &str, more: &str) -> String {
        let origin = format!("package = \"{package}\"{more}");
        self.home.write("own/policies/local.toml", format!("unsigned = \"any\"\n{POLICY}"));
        let path = self
            .home
            .write(format!("own/{name}.toml"), program("book").replace("path = \"tools/ledger\"", &origin));
        path.into_os_string().into_string().expect("UTF-8")
    }

    fn on(&self, command: &str, program: &str, more: &[&str]) -> Done {
        let policy = self.home.path("own/policies/local.toml");
        let policy = policy.to_str().expect("UTF-8");
        let mut args = vec![command, program, "--json"];
        if matches!(command, "run" | "plan") {
            args.extend(["--policy", policy]);
        }
        self.nanohost(&[&args, more].concat())
    }

    /// The packages that are kept.
    pub(crate) fn kept(&self) -> Vec<String> {
        let listed = self.nanohost(&["cache", "list", "--json"]).exits(0).json();
        let packages = listed["packages"].as_array().expect("a list");
        packages.iter().map(|package| text(&package["digest"])).collect()
    }

    /// Everything that lies in the cache of packages, but for locks.
    pub(crate) fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.home.path("cache/packages")) else { return Vec::new() };
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name != "locks").collect()
    }

    /// Writes who one is to a registry, as Docker does.
    pub(crate) fn is(&self, config: &Value) {
        self.home.write("docker/config.json", config.to_string());
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn digest_of(package: &str) -> String {
    package.split_once('@').expect("it is pinned").1.to_owned()
}

#[test]
fn what_is_packed_is_the_same_each_time() {
    let user = User::with_tool();
    let pack = |to: &str| user.nanohost(&["tool", "pack", "ledger", "-o", to, "--json"]).exits(0).json();
    let (one, two) = (pack("one.tar"), pack("two.tar"));
    assert_eq!(one["digest"], two["digest"]);
    let bytes = |name: &str| fs::read(user.home.path(name)).expect("it was written");
    assert_eq!(bytes("one.tar"), bytes("two.tar"));
    assert_eq!(pack("folder")["digest"], one["digest"]);
    assert_eq!((&one["parts"]["signature"], &one["parts"]["sbom"]), (&Value::Null, &Value::Null));
    let digest = text(&one["digest"]);
    let image: Value =
        serde_json::from_slice(&bytes(&format!("folder/blobs/{}", digest.replace(':', "/")))).expect("JSON");
    assert_eq!(image["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(image["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(image["layers"].as_array().map(Vec::len), Some(1));
    assert_eq!(image["annotations"]["dev.nanohost.manifest"], one["parts"]["manifest"]);
    // Another manifest is another package, though the component is the same.
    user.home.write("ledger/manifest.toml", MANIFEST.replace("1.0.0", "1.0.1"));
    assert_ne!(pack("three.tar")["digest"], one["digest"]);
    user.nanohost(&["tool", "pack", "ledger", "-o", "folder", "--json"]).finds(2, "package_not_written");
    user.nanohost(&["tool", "pack", "ledger", "-o", "a.zip", "--json"]).finds(2, "package_not_written");
    assert!(!user.home.path("a.zip").exists());
    user.home.write("ledger/manifest.toml", MANIFEST.replace("[capabilities]\nkv = [\"ledger\"]\n", ""));
    user.nanohost(&["tool", "pack", "ledger", "-o", "no.tar", "--json"]).finds(2, "manifest_out_of_step");
}

#[test]
fn a_signature_by_another_key_is_not_replaced_without_a_word() {
    let (author, other) = (User::with_tool(), User::with_tool());
    let registry = Registry::new(&author.home.path(""));
    let to = format!("oci://{}/team/ledger:1.0.0", registry.address());
    let bill = "{\"bomFormat\":\"CycloneDX\"}";
    author.home.write("ledger/sbom.cdx.json", bill);
    author.nanohost(&["tool", "sign", "ledger"]).exits(0);
    let package = author.push(registry.address(), "1.0.0");
    let signature = |user: &User| fs::read(user.home.path("ledger/package.dsse.json")).expect("it is signed");
    let there = || {
        let user = User::new();
        user.nanohost(&["tool", "pull", &package, "-o", "ledger"]).exits(0);
        signature(&user)
    };
    // Without a signature nothing of another's is touched, but the bill that it names would be.
    assert_eq!(other.push(registry.address(), "1.0.0"), package);
    other.home.write("ledger/sbom.cdx.json", format!("{bill} "));
    other.nanohost(&["tool", "push", "ledger", &to, "--json"]).finds(2, "signature_taken");
    other.home.write("ledger/sbom.cdx.json", bill);
    assert_eq!(other.push(registry.address(), "1.0.0"), package);
    // With one, the other's would be.
    other.nanohost(&["tool", "sign", "ledger"]).exits(0);
    other.nanohost(&["tool", "push", "ledger", &to, "--json"]).finds(2, "signature_taken");
    assert_eq!(there(), signature(&author));
    other.nanohost(&["tool", "push", "ledger", &to, "--replace-signature"]).exits(0);
    assert_eq!(there(), signature(&other));
    // One's own is replaced as ever.
    other.nanohost(&["tool", "sign", "ledger"]).exits(0);
    assert_eq!(other.push(registry.address(), "1.0.0"), package);
}

#[test]
fn reviewers_ask_no_registry_unless_they_say_so() {
    let author = User::with_tool();
    let registry = Registry::new(&author.home.path(""));
    let package = author.push(registry.address(), "1.0.0");
    author.nanohost(&["tool", "bundle", "ledger", "-o", "tools.tar"]).exits(0);
    let bundle = author.home.path("tools.tar");
    let bundle = bundle.to_str().expect("UTF-8");

    let user = User::new();
    user.program("book", &package, "");
    user.nanohost(&["audit", "own", "--json"]).exits(1).says("package_offline");
    user.nanohost(&["audit", "own", "--offline", "--json"]).exits(1).says("package_offline");
    for args in [&["list", "own"][..], &["search", "ledger", "own"]] {
        let listed = user.nanohost(&[&["tool"], args, &["--json"]].concat()).exits(0).json();
        assert_eq!((&listed["tools"], &listed["programsNotRead"]), (&json!([]), &json!(1)), "{listed:#}");
    }
    user.nanohost(&["tool", "show", "ledger", "own", "--json"]).finds(2, "unknown_tool");
    for args in [&["inspect", &package][..], &["verify", &package], &["schema", &package]] {
        user.nanohost(&[&["tool"], args, &["--offline", "--json"]].concat()).finds(2, "package_offline");
    }
    assert_eq!(user.files(), [""; 0], "nothing was fetched");
    // What a bundle holds needs no registry.
    let listed = user.nanohost(&["tool", "list", "own", "--bundle", bundle, "--json"]).exits(0).json();
    assert_eq!(
        (listed["tools"][0]["name"].as_str(), &listed["programsNotRead"]),
        (Some("ledger"), &json!(0))
    );
    for (more, exit) in [(&["inspect"][..], 0), (&["verify"], 1)] {
        let user = User::new();
        let args = [&["tool"], more, &[&package, "--offline", "--bundle", bundle]].concat();
        user.nanohost(&args).exits(exit).says("ledger 1.0.0");
    }
    // Nor is one asked that is, but for who wants that.
    let user = User::new();
    user.program("book", &package, "");
    let audit = user.nanohost(&["audit", "own", "--fetch", "--json"]);
    assert!(!audit.stdout.contains("package_offline"), "{}", audit.stdout);
    assert_eq!(user.kept(), [digest_of(&package)]);
    user.nanohost(&["audit", "own", "--fetch", "--offline"]).exits(2);
}

#[test]
fn a_package_is_sent_looked_up_and_fetched() {
    let author = User::with_tool();
    let registry = Registry::new(&author.home.path(""));
    author.home.write("ledger/sbom.cdx.json", "{\"bomFormat\":\"CycloneDX\"}");
    author.nanohost(&["tool", "sign", "ledger"]).exits(0);
    let package = author.push(registry.address(), "1.0.0");
    // What everybody would refuse is not sent, and takes nothing's place.
    let to = format!("oci://{}/team/ledger:1.0.0", registry.address());
    let bill = author.home.write("ledger/sbom.cdx.json", "{\"bomFormat\":\"CycloneDX\"} ");
    author.nanohost(&["tool", "push", "ledger", &to, "--json"]).finds(2, "signature_failed");
    author.nanohost(&["tool", "bundle", "ledger", "-o", "x.tar", "--json"]).finds(2, "signature_failed");
    fs::write(bill, "{\"bomFormat\":\"CycloneDX\"}").expect("it is ours");
    // Sent again, it is the same.
    assert_eq!(author.push(registry.address(), "1.0.0"), package);

    let user = User::new();
    let tagged = package.split_once('@').expect("pinned").0.to_owned();
    let looked = user.nanohost(&["tool", "pull", &tagged, "--json"]).finds(1, "package_unpinned");
    assert_eq!(looked.json()["package"], package.as_str());
    assert_eq!(user.files(), [""; 0], "nothing was fetched");
    user.nanohost(&["tool", "pull", &tagged]).exits(1).says(&format!("package = \"{package}\""));

    // What is suggested fetches it, with everything that belongs to it.
    let pulled = user.nanohost(&["tool", "pull", &package, "-o", "fetched", "--json"]).exits(0).json();
    assert_eq!((&pulled["tool"], &pulled["version"]), (&json!("ledger"), &json!("1.0.0")));
    user.nanohost(&["tool", "pull", &package]).exits(0).says("ledger 1.0.0");
    for name in ["component.wasm", "manifest.toml", "package.dsse.json", "sbom.cdx.json"] {
        let bytes = |user: &User, folder: &str| fs::read(user.home.path(folder).join(name)).expect(name);
        assert_eq!(bytes(&user, "fetched"), bytes(&author, "ledger"), "{name}");
    }
    assert_eq!(user.kept(), [digest_of(&package)]);
    user.nanohost(&["tool", "inspect", "fetched"]).exits(0).says("ledger 1.0.0");
    // What is kept stays as its publisher signed it.
    user.nanohost(&["tool", "sign", &package, "--json"]).finds(2, "not_a_package");
    user.nanohost(&["tool", "pull", &tagged, "--resolve"]).exits(0);
    // The scheme may be left out where it is typed.
    user.nanohost(&["tool", "pull", package.trim_start_matches("oci://")]).exits(0);

    // The tag is another package's by now: who pinned it gets what they pinned.
    author.home.write("ledger/manifest.toml", MANIFEST.replace("Books", "Reckons"));
    author.nanohost(&["tool", "sign", "ledger"]).exits(0);
    let to = format!("oci://{}/team/ledger:1.0.0", registry.address());
    author.nanohost(&["tool", "push", "ledger", &to, "--json"]).finds(2, "tag_taken");
    let moved = author.nanohost(&["tool", "push", "ledger", &to, "--move-tag", "--json"]).exits(0).json();
    assert_ne!(moved["package"], package.as_str());
    let other = User::new();
    other.nanohost(&["tool", "pull", &package]).exits(0);
    assert_eq!(other.kept(), [digest_of(&package)]);

    // Without a tag, the version is one.
    let plain = format!("oci://{}/team/other", registry.address());
    let sent = author.nanohost(&["tool", "push", "ledger", &plain, "--json"]).exits(0).json();
    assert!(text(&sent["package"]).contains("/other:1.0.0@sha256:"), "{sent}");
}

#[test]
fn what_is_not_there_or_nothing_is_said_so() {
    let user = User::with_tool();
    let registry = Registry::new(&user.home.path(""));
    let package = user.push(registry.address(), "1.0.0");
    let nowhere = format!("{}@sha256:{}", package.split_once('@').expect("pinned").0, "0".repeat(64));
    user.nanohost(&["tool", "pull", &nowhere, "--json"]).finds(2, "package_not_found");
    let at = registry.address().to_owned();
    user.nanohost(&["tool", "pull", &format!("oci://{at}/team/ledger:9"), "--json"])
        .finds(2, "package_not_found");
    user.nanohost(&["tool", "pull", &format!("oci://{at}/team/ledger"), "--json"])
        .finds(2, "package_unpinned");
    user.nanohost(&["tool", "pull", "oci://Registry/x", "--json"]).exits(2);
    let program = user.program("gone", &nowhere, "");
    user.on("run", &program, &[]).finds(2, "package_not_found");
    drop(registry);
    user.nanohost(&["tool", "pull", &package, "--json"]).finds(5, "registry_unreachable");
    user.nanohost(&["tool", "push", "ledger", &format!("oci://{at}/x"), "--json"])
        .finds(5, "registry_unreachable");
    let program = user.program("down", &package, "");
    user.on("plan", &program, &[]).finds(5, "registry_unreachable");
    assert_eq!(user.files(), [""; 0]);
}

#[test]
fn a_program_runs_with_a_package_and_shares_what_is_kept() {
    let author = User::with_tool();
    let registry = Registry::new(&author.home.path(""));
    let package = author.push(registry.address(), "1.0.0");
    let user = User::new();
    let unpinned = user.program("unpinned", package.split_once('@').expect("pinned").0, "");
    let suggested = user.on("check", &unpinned, &[]).finds(2, "package_unpinned").suggests();
    assert_eq!(suggested[..2], ["tool", "pull"]);
    user.nanohost(&suggested.iter().map(String::as_str).collect::<Vec<_>>()).exits(1).says(&package);

    let first = user.program("first", &package, "");
    user.on("run", &first, &["--offline"]).finds(2, "package_offline");
    let mut offline = user.command(&["run", &first, "--json"]);
    offline.env("NANOHOST_OFFLINE", "1");
    Done::of(offline).finds(2, "package_offline");
    assert_eq!(user.files(), [""; 0]);
    let ran = user.on("run", &first, &[]).exits(0).json();
    assert_eq!(ran["status"], "success", "{ran:#}");
    // What its evidence says of the tool is what its package is.
    let run = text(&ran["run"]);
    user.nanohost(&["verify", &run]).exits(0);

    let updated = user.on("update", &first, &[]).exits(0).json();
    assert_eq!(updated["written"], true);
    let lock = fs::read_to_string(user.home.path("own/first.lock")).expect("it was written");
    assert!(
        lock.contains(&format!("package = \"{package}\"\n")) && lock.contains("\ncomponent = \"sha256:"),
        "{lock}"
    );
    user.on("run", &first, &["--locked"]).exits(0);

    // The registry is gone: what is kept is enough, for another program too.
    drop(registry);
    let second = user.program("second", &package, "");
    user.on("run", &second, &[]).exits(0);
    user.on("plan", &first, &["--locked", "--offline"]).exits(0);
    assert_eq!(user.kept(), [digest_of(&package)]);

    // Another package in the program than its lock pins is refused.
    let moved = fs::read_to_string(&first).expect("it is there").replace(":1.0.0@", ":1.0.1@");
    fs::write(&first, moved).expect("it is ours");
    user.on("run", &first, &[]).finds(2, "lock_mismatch");
    let mut nothing_kept = user.command(&["run", &second, "--json"]);
    nothing_kept.env("NANOHOST_CACHE", "off");
    Done::of(nothing_kept).finds(2, "no_package_cache");
}

#[test]
fn several_that_fetch_the_same_at_once_keep_it_once() {
    let author = User::with_tool();
    let registry = Registry::new(&author.home.path(""));
    let package = author.push(registry.address(), "1.0.0");
    let user = User::new();
    let program = user.program("book", &package, "");
    let policy = user.home.path("own/policies/local.toml");
    let start = |_| {
        let mut command = user.command(&["run", &program, "--json", "--policy"]);
        command.arg(&policy).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("nanohost starts")
    };
    let running: Vec<_> = (0..4).map(start).collect();
    for one in running {
        let output = one.wait_with_output().expect("it can be waited for");
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert_eq!(user.files(), [digest_of(&package).trim_start_matches("sha256:")]);
}

#[test]
fn what_was_changed_where_it_is_kept_is_never_used() {
    let author = User::with_tool();
    let registry = Registry::new(&author.home.path(""));
    let package = author.push(registry.address(), "1.0.0");
    let user = User::new();
    let program = user.program("book", &package, "");
    user.on("run", &program, &[]).exits(0);
    let folder = user.home.path("cache/packages").join(digest_of(&package).trim_start_matches("sha256:"));
    for (name, bytes) in [
        ("component.wasm", wat::parse_str("(component)").expect("a component")),
        ("manifest.toml", MANIFEST.replace("kv = [\"ledger\"]", "kv = [\"other\"]").into_bytes()),
        ("image.json", b"{}".to_vec()),
    ] {
        fs::write(folder.join(name), bytes).expect("it is ours");
        user.on("run", &program, &[]).finds(2, "package_mismatch");
        user.nanohost(&["tool", "bundle", &package, "-o", "x.tar", "--json"]).finds(2, "package_mismatch");
        // Fetched again, it is whole again.
        user.nanohost(&["tool", "pull", &package]).exits(0);
        user.on("run", &program, &["--offline"]).exits(0);
    }
    fs::remove_file(folder.join("manifest.toml")).expect("it is ours");
    user.on("plan", &program, &[]).finds(2, "package_mismatch");
}

#[test]
fn what_was_changed_in_the_registry_is_never_kept() {
    let author = User::with_tool();
    author.nanohost(&["tool", "sign", "ledger"]).exits(0);
    let registry = Registry::new(&author.home.path(""));
    let package = author.push(registry.address(), "1.0.0");
    let packed = author.nanohost(&["tool", "pack", "ledger", "-o", "x.tar", "--json"]).exits(0).json();
    let user = User::new();
    for part in ["component", "manifest", "signature"] {
        let blob = registry.blob(&text(&packed["parts"][part]));
        let sound = fs::read(&blob).expect("it lies there");
        let mut changed = sound.clone();
        *changed.last_mut().expect("not empty") ^= 1;
        // As long as it was, and longer.
        for bytes in [changed, [sound.as_slice(), b"more"].concat()] {
            fs::write(&blob, bytes).expect("it is ours");
            user.nanohost(&["tool", "pull", &package, "--json"]).finds(2, "package_mismatch");
            assert_eq!(user.files(), [""; 0], "{part}");
        }
        fs::write(&blob, sound).expect("it is ours");
    }
    // The image itself.
    let blob = registry.blob(&digest_of(&package));
    let sound = fs::read_to_string(&blob).expect("it lies there");
    fs::write(&blob, sound.replace("1.0.0", "6.6.6")).expect("it is ours");
    let refused = user.nanohost(&["tool", "pull", &package, "--json"]);
    assert_ne!(refused.code, Some(0), "{refused}");
    assert_eq!(user.files(), [""; 0]);
    fs::write(&blob, sound).expect("it is ours");
    user.nanohost(&["tool", "pull", &package, "--json"]).exits(0);
}

#[test]
fn an_interrupted_transfer_leaves_nothing() {
    let author = User::with_tool();
    let registry = Registry::new(&author.home.path(""));
    let cutting = Cutting::before(registry.address());
    let package = author.push(&cutting.address(), "1.0.0");
    let user = User::new();
    for bytes in [10, 400, 900, 1_500, 2_500] {
        cutting.cut_after(bytes);
        let cut = user.nanohost(&["tool", "pull", &package, "--json"]).exits(5);
        let code = text(&cut.json()["findings"][0]["code"]);
        assert!(["registry_interrupted", "registry_unreachable"].contains(&code.as_str()), "{bytes}: {cut}");
        assert_eq!(user.files(), [""; 0], "{bytes}");
    }
    cutting.cut_after(u64::MAX);
    user.nanohost(&["tool", "pull", &package, "--json"]).exits(0);
    assert_eq!(user.kept(), [digest_of(&package)]);
}

#[test]
fn a_registry_that_asks_who_one_is_is_answered_from_dockers_configuration() {
    let user = User::with_tool();
    let users = Command::new("htpasswd")
        .args(["-Bbn", "desk", "correct horse"])
        .output()
        .expect("htpasswd is installed");
    let users = user.home.write("users", users.stdout);
    let registry = Registry::with_users(&user.home.path(""), &users);
    let to = format!("oci://{}/team/ledger:1", registry.address());
    let push = || user.nanohost(&["tool", "push", "ledger", &to, "--json"]);
    push().finds(5, "registry_refused");
    // "desk:wrong".
    user.is(&json!({ "auths": { registry.address(): { "auth": "ZGVzazp3cm9uZw==" } } }));
    push().finds(5, "registry_refused");
    user.is(&json!({ "auths": { "elsewhere.example": { "auth": "ZGVzazpjb3JyZWN0IGhvcnNl" } } }));
    push().finds(5, "registry_refused");
    user.is(&json!({ "auths": { registry.address(): { "auth": "ZGVzazpjb3JyZWN0IGhvcnNl" } } }));
    let package = text(&push().exits(0).json()["package"]);

    // The same from a helper, which is asked for this registry alone.
    let other = User::new();
    let helper = other.home.write(
        "bin/docker-credential-tests",
        "#!/bin/sh\nread -r server || true\necho \"$1 $server\" >> \"$0.asked\"\necho '{\"Username\":\"desk\",\"Secret\":\"correct horse\"}'\n",
    );
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).expect("it is ours");
    other.is(&json!({ "credHelpers": { registry.address(): "tests" } }));
    let pull = |path: &Path| {
        let mut command = other.command(&["tool", "pull", &package, "--json"]);
        command.env("PATH", path);
        Done::of(command)
    };
    pull(Path::new("/nowhere")).finds(5, "registry_credentials").omits("correct horse");
    let path = format!("{}:{}", other.home.path("bin").display(), std::env::var("PATH").expect("it is set"));
    pull(Path::new(&path)).exits(0);
    let asked =
        fs::read_to_string(helper.with_file_name("docker-credential-tests.asked")).expect("it was asked");
    assert_eq!(asked, format!("get {}\n", registry.address()));
    // A configuration that is none is no reason to be nobody.
    other.home.write("docker/config.json", "{");
    pull(Path::new(&path)).finds(5, "registry_credentials");
}

#[test]
fn packages_that_nobody_needs_are_removed_and_those_in_use_stay() {
    let author = User::with_tool();
    let registry = Registry::new(&author.home.path(""));
    let one = author.push(registry.address(), "1.0.0");
    author.home.write("ledger/manifest.toml", MANIFEST.replace("1.0.0", "2.0.0"));
    let two = author.push(registry.address(), "2.0.0");
    let user = User::new();
    let program = user.program("book", &one, "");
    user.on("update", &program, &[]).exits(0);
    user.nanohost(&["tool", "pull", &two]).exits(0);
    let both = {
        let mut both = vec![digest_of(&one), digest_of(&two)];
        both.sort();
        both
    };
    assert_eq!(user.kept(), both);
    // Used today.
    let kept = user.nanohost(&["cache", "gc", "--json"]).exits(0).json();
    assert_eq!((&kept["removed"], user.kept()), (&json!([]), both.clone()));
    let would = user.nanohost(&["cache", "gc", &program, "--dry-run", "--json"]).exits(0).json();
    assert_eq!(would["removed"][0]["digest"], digest_of(&two));
    assert_eq!(user.kept(), both);

    // Somebody uses it at this moment.
    let lock = user.home.path("cache/packages/locks").join(digest_of(&two).trim_start_matches("sha256:"));
    let lock = fs::File::open(lock).expect("it was made");
    lock.lock_shared().expect("nobody holds it alone");
    let busy = user.nanohost(&["cache", "gc", &program, "--json"]).exits(0).json();
    assert_eq!((&busy["removed"], &busy["inUse"][0]["digest"]), (&json!([]), &json!(digest_of(&two))));
    drop(lock);
    user.nanohost(&["cache", "gc", &program]).exits(0).says("removed: ledger 2.0.0");
    assert_eq!(user.kept(), [digest_of(&one)]);

    // What the lock pins stays, though the program has moved on.
    user.program("book", &two, "");
    user.on("plan", &program, &[]).finds(2, "lock_mismatch");
    user.nanohost(&["cache", "gc", &program]).exits(0);
    assert_eq!(user.kept(), both);
    // A program that cannot be read: what it needs is not known, and nothing goes.
    user.home.write("own/broken.toml", "steps = 1");
    let broken = user.home.path("own/broken.toml");
    user.nanohost(&["cache", "gc", broken.to_str().expect("UTF-8"), "--json"]).exits(2);
    assert_eq!(user.kept(), both);
    user.nanohost(&["cache", "gc", "--days", "0"]).exits(0);
    assert_eq!(user.kept(), [""; 0]);
}

#[test]
fn a_bundle_brings_packages_where_no_network_is() {
    let author = User::with_tool();
    author.nanohost(&["tool", "sign", "ledger"]).exits(0);
    let registry = Registry::new(&author.home.path(""));
    let package = author.push(registry.address(), "1.0.0");
    let named = author.program("book", &package, "");
    author
        .nanohost(&["tool", "bundle", "--program", &named, "-o", "tools.tar"])
        .exits(0)
        .says(&digest_of(&package));
    author.nanohost(&["tool", "bundle", &package, "-o", "same.tar"]).exits(0);
    let bytes = |name: &str| fs::read(author.home.path(name)).expect("it was written");
    assert_eq!(bytes("tools.tar"), bytes("same.tar"));
    let unpinned = package.split_once('@').expect("pinned").0;
    author.nanohost(&["tool", "bundle", unpinned, "-o", "no.tar", "--json"]).finds(2, "package_unpinned");
    drop(registry);

    let user = User::new();
    user.home.write("tools.tar", bytes("tools.tar"));
    let program = user.program("book", &package, "");
    user.on("run", &program, &["--offline"]).finds(2, "package_offline");
    user.on("run", &program, &["--offline", "--bundle", "tools.tar"]).exits(0);
    let folder = user.home.path("cache/packages").join(digest_of(&package).trim_start_matches("sha256:"));
    assert!(folder.join("package.dsse.json").is_file(), "what signs it came along");
    // By now it is kept.
    user.on("run", &program, &["--offline"]).exits(0);

    // A program that names its bundle.
    let other = User::new();
    other.home.write("own/tools.tar", bytes("tools.tar"));
    let program = other.program("book", &package, "\nbundle = \"tools.tar\"");
    other.on("plan", &program, &["--offline"]).exits(0);
    // And one whose bundle holds something else.
    let another = format!("{}@sha256:{}", package.split_once('@').expect("pinned").0, "0".repeat(64));
    let program = other.program("other", &another, "\nbundle = \"tools.tar\"");
    other.on("plan", &program, &[]).finds(2, "package_not_found");

    // Taken whole, or as a folder.
    let third = User::new();
    third.home.write("tools.tar", bytes("tools.tar"));
    let taken =
        third.nanohost(&["tool", "pull", "--from", "tools.tar", "-o", "ledger", "--json"]).exits(0).json();
    assert_eq!(taken["packages"][0]["digest"], digest_of(&package));
    assert_eq!(third.kept(), [digest_of(&package)]);
    third.nanohost(&["tool", "inspect", "ledger"]).exits(0).says("ledger 1.0.0");

    // One byte of the component is another one.
    let mut changed = bytes("tools.tar");
    let at = changed.windows(4).position(|four| four == b"\0asm").expect("the component");
    changed[at + 100] ^= 1;
    let fourth = User::new();
    fourth.home.write("tools.tar", changed);
    fourth.nanohost(&["tool", "pull", "--from", "tools.tar", "--json"]).finds(2, "package_mismatch");
    fourth.home.write("text.tar", "no archive");
    fourth.nanohost(&["tool", "pull", "--from", "text.tar", "--json"]).finds(2, "invalid_bundle");
    assert_eq!(fourth.files(), [""; 0]);
}

#[test]
fn other_peoples_programs_read_what_was_sent_and_send_what_is_read() {
    let user = User::with_tool();
    let registry = Registry::new(&user.home.path(""));
    let package = user.push(registry.address(), "1.0.0");
    let skopeo = |args: &[&str]| {
        let mut command = Command::new("skopeo");
        command.args(args).current_dir(user.home.path("")).env("HOME", user.home.path(""));
        Done::of(command)
    };
    let at = |name: &str| format!("docker://{}/{name}", registry.address());
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &at("team/ledger:1.0.0")]).exits(0);
    assert_eq!(raw.json()["layers"][0]["mediaType"], "application/wasm");
    // Into a layout, whose image we take: the component, which is all that skopeo carries.
    skopeo(&[
        "copy",
        "--src-tls-verify=false",
        "--preserve-digests",
        &at("team/ledger:1.0.0"),
        "oci:copied:1.0.0",
    ])
    .exits(0);
    user.nanohost(&["tool", "pull", "--from", "copied", "--json"]).finds(2, "invalid_package");
    // A layout of ours, sent by skopeo, is the same image under its tag.
    user.nanohost(&["tool", "pack", "ledger", "-o", "packed"]).exits(0);
    skopeo(&[
        "copy",
        "--dest-tls-verify=false",
        "--preserve-digests",
        "oci:packed:ledger:1.0.0",
        &at("team/copy:1"),
    ])
    .exits(0);
    let looked =
        user.nanohost(&["tool", "pull", &format!("oci://{}/team/copy:1", registry.address()), "--json"]);
    assert_eq!(looked.exits(1).json()["digest"], digest_of(&package));
    // Beside the package that was sent whole, its referrers are found again.
    skopeo(&[
        "copy",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        "--preserve-digests",
        &at("team/copy:1"),
        &at("team/ledger:again"),
    ])
    .exits(0);
    let again = format!("oci://{}/team/ledger:again", registry.address());
    user.nanohost(&["tool", "pull", &again, "--resolve", "--json"]).exits(0);
    assert_eq!(user.kept(), [digest_of(&package)]);
}

#[test]
fn a_platform_team_takes_a_component_restricts_hands_it_on_and_an_upgrade_that_asks_for_more_is_stopped() {
    // A component that was made elsewhere, and packed by somebody who knows nothing of nanohost.
    let team = User::new();
    let registry = Registry::new(&team.home.path(""));
    let blob = |bytes: &[u8], media_type: &str| {
        let digest = nanohost_core::Digest::of(bytes);
        team.home.write(format!("foreign/blobs/sha256/{digest}"), bytes);
        json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() })
    };
    let image = json!({
        "schemaVersion": 2,
        "config": blob(b"{}", "application/vnd.wasm.config.v0+json"),
        "layers": [blob(&component(), "application/wasm")],
    });
    let image = blob(image.to_string().as_bytes(), "application/vnd.oci.image.manifest.v1+json");
    team.home.write("foreign/index.json", json!({ "schemaVersion": 2, "manifests": [image] }).to_string());
    team.home.write("foreign/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
    // No program can use it, since nobody says what it asks for.
    team.nanohost(&["tool", "pull", "--from", "foreign", "--json"]).finds(2, "invalid_package");
    team.nanohost(&["tool", "pull", "--from", "foreign", "-o", "ledger", "--json"]).exits(0);
    assert_eq!((team.files(), team.home.path("ledger/manifest.toml").exists()), (Vec::new(), false));
    // What it asks for is drafted from what it imports, then a person writes down how much of it.
    team.nanohost(&["tool", "infer", "ledger/component.wasm"]).exits(0).says("open: it imports kv");
    team.home.write("ledger/manifest.toml", MANIFEST);
    team.nanohost(&["tool", "lint", "ledger"]).exits(0);
    let package = team.push(registry.address(), "1.0.0");

    // Another machine takes packages of the team alone.
    let user = User::new();
    let program = user.program("book", &package, "");
    let policy = |lines: &str| user.home.write("own/policies/local.toml", format!("{POLICY}{lines}"));
    policy("");
    user.on("run", &program, &[]).exits(3).says("unsigned_tool");
    // Nor by the path where it is kept, nor in a test, whatever the policy beside a stranger's program says.
    let kept = user.home.path("cache/packages").join(digest_of(&package).trim_start_matches("sha256:"));
    let by_path = fs::read_to_string(&program)
        .expect("it is there")
        .replace(&format!("package = \"{package}\""), &format!("path = \"{}\"", kept.display()));
    let by_path = user.home.write("own/path.toml", by_path);
    user.on("run", by_path.to_str().expect("UTF-8"), &[]).finds(2, "path_into_cache");
    user.home.write("own/book.cases.toml", "[[case]]\nname = \"n\"\noutput = 0\n");
    user.home.write("own/policies/local.toml", format!("unsigned = \"any\"\n{POLICY}"));
    user.nanohost(&["test", "own/book.cases.toml", "--json"]).exits(2).says("unsigned_tool");
    user.nanohost(&["trust", "own"]).exits(0);
    user.nanohost(&["test", "own/book.cases.toml"]).exits(0).says("1 passed");
    policy("");
    // A signature refers to the package, whose digest stays the same.
    team.nanohost(&["tool", "sign", "ledger"]).exits(0);
    assert_eq!(team.push(registry.address(), "1.0.0"), package);
    user.nanohost(&["tool", "pull", &package, "--json"]).exits(0);
    user.on("run", &program, &[]).exits(3).says("untrusted_publisher");
    let key = team.nanohost(&["key", "show", "--public"]).exits(0).stdout;
    policy(&format!("\n[publishers]\nteam = \"\"\"\n{key}\"\"\"\n"));
    user.nanohost(&["tool", "verify", &package, "--policy", "own/policies/local.toml"]).exits(0).says("team");
    // It pins it and runs it.
    user.on("update", &program, &[]).exits(0);
    let lock = fs::read_to_string(Path::new(&program).with_extension("lock")).expect("it is written");
    let publisher = lock.lines().find(|line| line.starts_with("publisher = ")).expect("it is signed");
    let anothers = lock.replace(publisher, &format!("publisher = \"{}\"", "0".repeat(64)));
    fs::write(Path::new(&program).with_extension("lock"), anothers).expect("it is ours");
    user.on("run", &program, &[]).finds(2, "lock_mismatch").says("the publisher of");
    user.on("update", &program, &[]).exits(0);
    assert_eq!(fs::read_to_string(Path::new(&program).with_extension("lock")).expect("it is there"), lock);
    let run = user.on("run", &program, &["--locked"]).exits(0).json();
    let receipt = user.nanohost(&["receipt", &text(&run["run"]), "--json"]).exits(0).json();
    assert_eq!(receipt["authority"][0]["publisher"], "team", "{receipt:#}");
    user.nanohost(&["verify", &text(&run["run"])]).exits(0);

    // The next version asks for more.
    let wider =
        MANIFEST.replace("1.0.0", "1.1.0").replace("kv = [\"ledger\"]", "kv = [\"ledger\", \"secrets\"]");
    team.home.write("ledger/manifest.toml", wider);
    team.nanohost(&["tool", "sign", "ledger"]).exits(0);
    let upgrade = team.push(registry.address(), "1.1.0");
    let diff = user.nanohost(&["tool", "diff", &package, &upgrade, "--json"]).exits(1).json();
    let changes = diff["lines"].as_array().expect("a list");
    let widens: Vec<_> =
        changes.iter().filter(|own| own["widens"] == true).map(|own| text(&own["after"])).collect();
    assert!(widens.iter().any(|after| after.contains("secrets")), "{diff:#}");
    user.nanohost(&["tool", "inspect", &upgrade]).exits(0).says("ledger 1.1.0");

    // The lock stops it, and says what is asked for.
    let moved = fs::read_to_string(&program).expect("it is there").replace(&package, &upgrade);
    fs::write(&program, moved).expect("it is ours");
    let stopped = user.on("run", &program, &[]).finds(2, "lock_mismatch");
    stopped.says("kv secrets, which the lock does not have").says("the version of `ledger` is 1.1.0");
    let shown = user.on("update", &program, &["--dry-run"]).exits(1).json();
    let widened = shown["changes"].as_array().expect("a list").iter().any(|own| own["change"] == "widened");
    assert!(widened, "{shown:#}");

    // Whoever moves the lock all the same is stopped by the policy.
    user.on("update", &program, &[]).exits(0);
    let refused = user.on("run", &program, &[]).exits(3);
    refused.says("kv secrets");
}

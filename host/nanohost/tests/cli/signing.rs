//! Packages that publishers sign, and policies that want their word.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Done, Home, built_tools};
use crate::interop;
use crate::tool::{POLICY, Project};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A publisher's key, made by OpenSSL: the private and the public half.
fn publisher(home: &Home, name: &str) -> (PathBuf, PathBuf) {
    let (private, public) = (home.path(format!("{name}.pem")), home.path(format!("{name}.pub.pem")));
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "ed25519", "-out", text(&private)])
        .output()
        .expect("openssl starts");
    assert!(made.status.success(), "{made:?}");
    let shown = Command::new("openssl")
        .args(["pkey", "-in", text(&private), "-pubout", "-out", text(&public)])
        .output()
        .expect("openssl starts");
    assert!(shown.status.success(), "{shown:?}");
    (private, public)
}

/// The lines of a policy that name a publisher.
fn named(name: &str, public: &Path) -> String {
    let pem = fs::read_to_string(public).expect("it was made");
    format!("\n[publishers]\n{name} = \"\"\"\n{pem}\"\"\"\n")
}

#[test]
fn a_package_is_not_signed_fails_or_is_verified() {
    let home = Home::new();
    let project = Project::new(&home);
    let (acme, acme_public) = publisher(&home, "acme");
    let (_, other_public) = publisher(&home, "other");
    let package = project.path("tools/ledger");
    let (package, key) = (text(&package), text(&acme_public));
    let verify = |more: &[&str]| home.nanohost([&["tool", "verify", package, "--json"], more].concat());

    assert_eq!(verify(&["--key", key]).exits(1).json()["standing"], "not-signed");
    home.write("own/tools/ledger/sbom.cdx.json", "{\"bomFormat\": \"CycloneDX\"}\n");
    let signed = home.nanohost(["tool", "sign", package, "--key", text(&acme), "--json"]).exits(0).json();
    assert_eq!(signed["provenance"]["rebuild"], "not-tried");
    let verified = verify(&["--key", key]).exits(0).json();
    assert_eq!(verified["standing"], "verified");
    assert_eq!(verified["says"]["component"], signed["component"]);
    // Whoever signed it is nobody's: the default is what the policies here name, and they name nobody.
    let unknown = verify(&[]).exits(13).json();
    assert_eq!((&unknown["standing"], &unknown["says"]), (&Value::from("failed"), &Value::Null));
    verify(&["--key", text(&other_public)]).exits(13);
    let policy = home.write("their.toml", named("acme", &acme_public));
    assert_eq!(verify(&["--policy", text(&policy)]).exits(0).json()["publisher"]["name"], "acme");
    home.nanohost(["tool", "inspect", package]).exits(0).says("nobody known here");

    // Libraries that nobody here wrote accept it, and refuse it with any byte changed.
    let output = interop::verify_export(&project.path("tools/ledger/package.dsse.json"), &acme_public);
    assert!(output.status.success(), "{output:?}");
    let output = interop::verify_export(&project.path("tools/ledger/package.dsse.json"), &other_public);
    assert!(!output.status.success(), "{output:?}");

    // What is signed cannot be exchanged.
    let changed = |file: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let path = project.path("tools/ledger").join(file);
        let good = fs::read(&path).expect("it is there");
        fs::write(&path, change(good.clone())).expect("it is writable");
        let done = verify(&["--key", key]).exits(10);
        assert_eq!(done.json()["standing"], "failed", "{done}");
        fs::write(&path, good).expect("it is writable");
        verify(&["--key", key]).exits(0);
    };
    changed("manifest.toml", &|bytes| [bytes.as_slice(), b"\n# more\n"].concat());
    changed("component.wasm", &|bytes| [bytes.as_slice(), b"\x00\x02\x01a"].concat());
    changed("sbom.cdx.json", &|bytes| [bytes.as_slice(), b" "].concat());
    changed("package.dsse.json", &|bytes| [bytes.as_slice(), b" "].concat());
    changed("package.dsse.json", &|bytes| bytes.replace_last(b"\"sig\":\"", b"\"sig\":\"AAAA"));
    fs::remove_file(project.path("tools/ledger/sbom.cdx.json")).expect("it is there");
    verify(&["--key", key]).exits(10);
}

/// The last place of some bytes, written over.
trait ReplaceLast {
    fn replace_last(self, from: &[u8], to: &[u8]) -> Vec<u8>;
}

impl ReplaceLast for Vec<u8> {
    fn replace_last(mut self, from: &[u8], to: &[u8]) -> Self {
        let at = self.windows(from.len()).rposition(|window| window == from).expect("it is in there");
        self[at..at + to.len()].copy_from_slice(to);
        self
    }
}

#[test]
fn a_policy_runs_what_its_publishers_signed_and_the_evidence_says_so() {
    let home = Home::new();
    let project = Project::new(&home);
    let (acme, acme_public) = publisher(&home, "acme");
    let (other, _) = publisher(&home, "other");
    let policy = format!("{POLICY}{}", named("acme", &acme_public));
    home.write("own/policies/local.toml", &policy);
    let package = project.path("tools/ledger");
    let sign = |key: &Path| home.nanohost(["tool", "sign", text(&package), "--key", text(key)]).exits(0);

    let refused = project.run("book.toml").exits(3).json();
    assert_eq!(refused["denied"][0]["code"], "unsigned_tool", "{refused:#}");
    sign(&other);
    let refused = project.run("book.toml").exits(3).json();
    assert_eq!(refused["denied"][0]["code"], "untrusted_publisher", "{refused:#}");
    sign(&acme);
    let run = project.run("book.toml").exits(0).json();
    let id = run["run"].as_str().expect("an id").to_owned();
    home.nanohost(["verify", &id]).exits(0);
    let receipt = home.nanohost(["receipt", &id, "--json"]).exits(0).json();
    assert_eq!(receipt["authority"][0]["publisher"], "acme", "{receipt:#}");
    home.nanohost(["receipt", &id]).exits(0).says("signed by acme");
    // The refusals before are evidence too.
    let runs = home.nanohost(["list", "--denied", "--json"]).exits(0).json();
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(2), "{runs:#}");

    // A signature for something else is refused whatever policies say.
    let manifest = project.path("tools/ledger/manifest.toml");
    let good = fs::read_to_string(&manifest).expect("it is there");
    home.write("own/tools/ledger/manifest.toml", format!("{good}\n# more\n"));
    project.run("book.toml").finds(2, "signature_failed");
    home.write("own/policies/local.toml", POLICY);
    project.run("book.toml").finds(2, "signature_failed");
    fs::remove_file(project.path("tools/ledger/package.dsse.json")).expect("it is there");
    project.run("book.toml").exits(0);

    // The rule for local development, and what the evidence says of it.
    home.write("own/policies/local.toml", &policy);
    project.run("book.toml").exits(3).says("unsigned_tool");
    home.write("own/policies/local.toml", format!("unsigned = \"local\"\n{policy}"));
    let run = project.run("book.toml").exits(0).json();
    let id = run["run"].as_str().expect("an id").to_owned();
    let receipt = home.nanohost(["receipt", &id, "--json"]).exits(0).json();
    assert_eq!(receipt["authority"][0]["unsigned"], "local", "{receipt:#}");
    home.nanohost(["verify", &id]).exits(0);
    let page = home.path("report.html");
    home.nanohost(["report", &id, "-o", text(&page)]).exits(0);
    assert!(fs::read_to_string(&page).expect("it was written").contains("a rule let it run so"));
}

#[test]
fn a_found_policy_names_no_publisher_that_counts() {
    let home = Home::new();
    let project = Project::new(&home);
    let (mallory, mallory_public) = publisher(&home, "mallory");
    home.write("own/policies/local.toml", format!("{POLICY}{}", named("\"Your Company\"", &mallory_public)));
    let package = project.path("tools/ledger");
    home.nanohost(["tool", "sign", text(&package), "--key", text(&mallory)]).exits(0);
    let program = project.path("book.toml");
    home.nanohost(["run", text(&program)]).exits(3).says("untrusted_publisher").says("nanohost trust");
    home.nanohost(["tool", "verify", text(&package)]).exits(13).omits("Your Company");
    home.nanohost(["tool", "inspect", text(&package)]).exits(0).omits("Your Company");
    home.nanohost(["trust", text(&project.path(""))]).exits(0);
    home.nanohost(["tool", "verify", text(&package)]).exits(0).says("Your Company");
    home.nanohost(["run", text(&program)]).exits(0);
}

#[test]
fn what_cannot_be_signed_is_told() {
    let home = Home::new();
    let project = Project::new(&home);
    let package = project.path("tools/ledger");
    let package = text(&package);
    let junk = home.write("junk.pem", "no key");
    home.nanohost(["tool", "sign", package, "--key", text(&junk), "--json"]).finds(2, "key_unreadable");
    let (_, public) = publisher(&home, "acme");
    home.nanohost(["tool", "sign", package, "--key", text(&public), "--json"]).finds(2, "key_unreadable");
    home.nanohost(["tool", "verify", package, "--key", text(&junk), "--json"]).finds(2, "key_unreadable");
    // The sources of a tool, by whatever name.
    let sources = built_tools().join("read-folder");
    home.nanohost(["tool", "sign", text(&sources), "--json"]).finds(2, "not_a_package");
    let mut by_name = home.command(["tool", "sign", "read-folder", "--json"]);
    by_name.current_dir(built_tools().parent().expect("it lies in the repository"));
    Done::of(by_name).finds(2, "not_a_package");
    assert!(!sources.join("package.dsse.json").exists());
    let own = text(&project.path("tools/ledger")).to_owned();
    let done = home.nanohost(["tool", "sign", package, "--source", &own, "--rebuild", "--json"]);
    done.finds(2, "no_rebuild");
    home.nanohost(["tool", "sign", package, "--source", &own, "--key", text(&publisher(&home, "other").0)])
        .exits(0)
        .says("no git repository");
    // What contradicts its signature is not called either.
    home.write("own/tools/ledger/sbom.cdx.json", "{}");
    home.write(
        "own/tools/ledger/tests/c.toml",
        "[[case]]\nname = \"n\"\nfunction = \"add\"\ninput = { a = 1, b = 2 }\noutput = 3\n",
    );
    home.nanohost(["tool", "test", package, "--json"]).finds(2, "signature_failed");
    fs::remove_file(project.path("tools/ledger/sbom.cdx.json")).expect("it is there");
    home.nanohost(["tool", "test", package]).exits(0);
    // With the key of this user, which nobody made on purpose.
    home.nanohost(["tool", "sign", package]).exits(0).says("development key");
}

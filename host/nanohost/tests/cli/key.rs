//! Keys that sign: made, under a passphrase, changed in the middle of a log, retired, and gone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::database::execute;
use crate::harness::{Done, Home};

const PASSPHRASE: &str = "correct horse battery";

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A file of one's own.
fn private(home: &Home, name: &str, content: &str) -> PathBuf {
    let path = home.write(name, content);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    path
}

fn key(home: &Home, arguments: &[&str]) -> Done {
    home.nanohost([&["key"][..], arguments].concat())
}

fn a_run(home: &Home) -> String {
    home.examples().refund(0, &[])["run"].as_str().expect("an id").to_owned()
}

/// The refund example, with the passphrase of this file.
fn run_with(home: &Home, passphrase: Option<&Path>) -> Done {
    let program = home.examples().path("refund/program.toml");
    let policy = home.examples().policy();
    let mut command = home.command(["run", "--json", text(&program), "--policy", text(&policy)]);
    if let Some(passphrase) = passphrase {
        command.env("NANOHOST_KEY_PASSPHRASE_FILE", passphrase);
    }
    Done::of(command)
}

fn openssl(arguments: &[&str]) -> String {
    let done = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

#[test]
fn a_key_under_a_passphrase_signs_and_openssl_reads_it() {
    let home = Home::new();
    let passphrase = private(&home, "passphrase", &format!("{PASSPHRASE}\n"));
    // Nobody is there to type it.
    key(&home, &["new", "--json"]).finds(2, "key_passphrase_missing");
    let weak = private(&home, "weak", "short\n");
    key(&home, &["new", "--passphrase-file", text(&weak)]).exits(2).says("key_passphrase_weak");
    let open = home.write("open", PASSPHRASE);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("it is ours");
    key(&home, &["new", "--passphrase-file", text(&open)]).exits(5).says("key_mode");
    let made = key(&home, &["new", "--passphrase-file", text(&passphrase), "--json"]).exits(0).json();
    assert_eq!((&made["encrypted"], &made["replaces"]), (&true.into(), &Value::Null));
    key(&home, &["new", "--plain"]).exits(2).says("key_there");
    let shown = key(&home, &["show", "--json"]).exits(0).json();
    assert_eq!((&shown["keyId"], &shown["development"]), (&made["keyId"], &false.into()));
    assert!(shown["vkey"].as_str().is_some_and(|vkey| vkey.starts_with("nanohost-key/")), "{shown}");

    // OpenSSL opens the private key, and comes to the same public one.
    let file = made["private"].as_str().expect("a path");
    let pass = format!("file:{}", text(&passphrase));
    let public = openssl(&["pkey", "-in", file, "-passin", &pass, "-pubout"]);
    assert_eq!(shown["pem"], public.as_str());
    let structure = openssl(&["asn1parse", "-in", file]);
    assert!(structure.contains("PBES2") && structure.contains("scrypt") && structure.contains("aes-256-cbc"));

    run_with(&home, None).finds(2, "key_passphrase_missing");
    let wrong = private(&home, "wrong", "another passphrase");
    run_with(&home, Some(&wrong)).finds(2, "key_passphrase_wrong");
    let document = run_with(&home, Some(&passphrase)).exits(0).json();
    let run = document["run"].as_str().expect("an id");
    home.nanohost(["verify", run]).exits(0);
    let receipt = home.nanohost(["receipt", run, "--json"]).exits(0).json();
    assert_eq!(
        (&receipt["signer"]["key"], &receipt["signer"]["development"]),
        (&made["keyId"], &false.into())
    );
    // Nothing was made beside it, and nobody else may read it.
    assert!(!home.path("config/keys/development.key.pem").exists());
    fs::set_permissions(file, fs::Permissions::from_mode(0o640)).expect("it is ours");
    run_with(&home, Some(&passphrase)).finds(5, "key_mode");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    // A damaged one is said to be that.
    let good = fs::read_to_string(file).expect("it is there");
    fs::write(file, &good[..good.len() / 2]).expect("it is ours");
    run_with(&home, Some(&passphrase)).finds(2, "key_unreadable");
}

/// A key under another passphrase is the same key. Both passphrases come from files of their own.
#[test]
fn a_key_is_kept_under_another_passphrase() {
    let home = Home::new();
    let (old, new) = (private(&home, "old", PASSPHRASE), private(&home, "new", "quite another passphrase"));
    key(&home, &["passphrase", "--plain"]).exits(2).says("key_unknown").says("development key");
    let made = key(&home, &["new", "--passphrase-file", text(&old), "--json"]).exits(0).json();
    let file = made["private"].as_str().expect("a path");
    let before = fs::read(file).expect("it is there");
    let change = |from: &Path, more: &[&str]| {
        key(&home, &[&["passphrase", "--json", "--old-passphrase-file", text(from)][..], more].concat())
    };
    change(&new, &["--passphrase-file", text(&old)]).exits(2).says("key_passphrase_wrong");
    let weak = private(&home, "weak", "short");
    change(&old, &["--passphrase-file", text(&weak)]).exits(2).says("key_passphrase_weak");
    // Without a word on the new one nobody is there to type it, and that is what is said.
    change(&old, &[]).exits(2).says("key_passphrase_missing").says("new passphrase");
    key(&home, &["passphrase", "--passphrase-file", text(&new)]).exits(2).says("key that signs is under");
    change(&old, &["--passphrase-file", text(&new), "--plain"]).exits(2);
    assert_eq!(fs::read(file).expect("it is there"), before, "what is refused changes nothing");
    let changed = change(&old, &["--passphrase-file", text(&new)]).exits(0).json();
    assert_eq!((&changed["keyId"], &changed["encrypted"]), (&made["keyId"], &true.into()));
    assert_ne!(fs::read(file).expect("it is there"), before);
    run_with(&home, Some(&old)).finds(2, "key_passphrase_wrong");
    let run = run_with(&home, Some(&new)).exits(0).json()["run"].as_str().expect("an id").to_owned();
    home.nanohost(["verify", &run]).exits(0);
    // A rotation opens the old one by one file and keeps the new one by another.
    let files = ["rotate", "--old-passphrase-file", text(&new), "--passphrase-file", text(&old), "--json"];
    let rotated = key(&home, &files).exits(0).json();
    assert_eq!(rotated["replaces"], made["keyId"]);
    home.nanohost(["log", "fsck"]).exits(0);
    run_with(&home, Some(&old)).exits(0);
    // The one that signed before is named by the start of its id.
    let id = made["keyId"].as_str().expect("an id");
    let plain = change(&new, &[&id[..12], "--plain"]).exits(0).json();
    assert_eq!((&plain["keyId"], &plain["encrypted"]), (&made["keyId"], &false.into()));
    assert!(fs::read_to_string(file).expect("it is there").contains("BEGIN PRIVATE KEY"));
    let mode = fs::metadata(file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    change(&new, &["ffff", "--plain"]).exits(2).says("key_unknown");
}

#[test]
fn what_is_wrong_with_a_passphrase_is_said_of_the_passphrase() {
    let home = Home::new();
    key(&home, &["new"]).exits(2).says("key_passphrase_missing").says("--passphrase-file").says("--plain");
    let open = home.write("open", PASSPHRASE);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let done = key(&home, &["new", "--passphrase-file", text(&open)]).exits(5);
    done.says("key_mode").omits("private key");
    // A reason has no place before there is evidence.
    let made = key(&home, &["new", "--plain", "--reason", "an audit", "--json"]).exits(0).json();
    assert_eq!(made["reason"], Value::Null);
    let other = Home::new();
    key(&other, &["new", "--plain", "--reason", "an audit"]).exits(0).says("stands nowhere");
    a_run(&home);
    let rotated = key(&home, &["rotate", "--plain", "--reason", "an audit", "--json"]).exits(0).json();
    assert_eq!(rotated["reason"], "an audit");
}

/// Types at a terminal: waits for each prompt, answers it, and says what the terminal showed.
const TYPE: &str = r#"
import json, os, pty, sys
answers, program = json.loads(sys.argv[1]), sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(program[0], program)
shown = b""
def more():
    global shown
    try:
        part = os.read(terminal, 4096)
    except OSError:
        part = b""
    shown += part
    return part
for prompt, answer in answers:
    begin = len(shown)
    while prompt.encode() not in shown[begin:]:
        if not more():
            break
    os.write(terminal, answer.encode() + b"\n")
while more():
    pass
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(status))
"#;

fn typed(home: &Home, answers: &[(&str, &str)], arguments: &[&str]) -> Done {
    let mut command = Command::new("python3");
    command.arg("-c").arg(TYPE).arg(serde_json::to_string(answers).expect("JSON"));
    command.arg(env!("CARGO_BIN_EXE_nanohost")).args(arguments);
    home.environment(&mut command);
    command.env_remove("NANOHOST_KEY_PASSPHRASE_FILE");
    Done::of(command)
}

#[test]
fn what_is_typed_is_not_shown() {
    let home = Home::new();
    const OTHER: &str = "quite another passphrase";
    let (first, again) = ("passphrase of the new key: ", "once more: ");
    typed(&home, &[(first, PASSPHRASE), (again, OTHER)], &["key", "new"]).exits(2).says("differs");
    let made = typed(&home, &[(first, PASSPHRASE), (again, PASSPHRASE)], &["key", "new"]).exits(0);
    made.says(first).omits(PASSPHRASE).says("key id");
    let changes = ["key", "passphrase"];
    let wrong = [("passphrase of the key", OTHER)];
    typed(&home, &wrong, &changes).exits(2).says("key_passphrase_wrong").omits(OTHER);
    let right = [("passphrase of the key", PASSPHRASE), ("new passphrase: ", OTHER), (again, OTHER)];
    typed(&home, &right, &changes).exits(0).omits(PASSPHRASE).omits(OTHER).says("under the new passphrase");
    let file = private(&home, "other", OTHER);
    run_with(&home, Some(&file)).exits(0);
}

#[test]
fn a_log_verifies_across_a_change_of_keys() {
    let home = Home::new();
    let first = a_run(&home);
    let old = home.public_key();
    let made =
        key(&home, &["new", "--plain", "--as", "dana", "--reason", "an audit", "--json"]).exits(0).json();
    let second = a_run(&home);
    let again = key(&home, &["rotate", "--plain", "--json"]).exits(0).json();
    assert_eq!(again["replaces"], made["keyId"]);
    let third = a_run(&home);
    for run in [&first, &second, &third] {
        home.nanohost(["verify", run]).exits(0).says("VERIFIED");
        // Who trusts the first key follows its successors.
        home.nanohost(["verify", run, "--trust", text(&old)]).exits(0);
    }
    home.nanohost(["log", "fsck"]).exits(0);
    let signers: Vec<Value> = [&first, &second, &third]
        .map(|run| home.nanohost(["receipt", run, "--json"]).exits(0).json()["signer"]["key"].clone())
        .to_vec();
    assert_eq!(signers[1..], [made["keyId"].clone(), again["keyId"].clone()]);
    assert_ne!(signers[0], signers[1]);
    // Each signs its own receipts still.
    let receipt = home.path("receipt");
    home.nanohost(["receipt", &first, "--sign", "-o", text(&receipt)]).exits(0);
    home.nanohost(["receipt", &first, "--check", text(&receipt)]).exits(0);
    // Whoever trusts a key that nobody introduced is not led to these.
    let stranger = Home::new();
    home.nanohost(["verify", &third, "--trust", text(&stranger.public_key())]).exits(13);
}

#[test]
fn a_retired_key_signs_nothing_that_counts() {
    let home = Home::new();
    let first = a_run(&home);
    let early = fs::read(home.acts_head()).expect("it is kept");
    let waiting = home.examples().run_json("approval/program.toml", 4, &[]);
    let waiting = waiting["run"].as_str().expect("an id").to_owned();
    let old = key(&home, &["show", "--json"]).exits(0).json();
    let old = old["keyId"].as_str().expect("an id").to_owned();
    key(&home, &["retire", &old]).exits(2).says("key_signs");
    key(&home, &["rotate", "--plain"]).exits(0);
    let second = a_run(&home);
    let retired = key(&home, &["retire", &old[..12], "--reason", "it leaked", "--json"]).exits(0).json();
    assert_eq!(retired["runsWithoutKey"], serde_json::json!([waiting]));
    key(&home, &["retire", &old]).exits(2).says("key_retired");
    key(&home, &["retire", "ffff"]).exits(2).says("key_unknown");
    // What it signed before counts, and so does what others sign.
    for run in [&first, &second, &waiting] {
        home.nanohost(["verify", run]).exits(0);
    }
    home.nanohost(["log", "fsck"]).exits(0);
    // What it began cannot go on.
    home.nanohost(["resume", &waiting, "--json"]).finds(5, "key_retired");

    // Nor does it begin anything, nor do anything to the store, when the newer key is lost.
    let current = home.path("config/keys/signing/current");
    fs::rename(&current, home.path("current")).expect("it is there");
    let done = home.examples().run("refund/program.toml", &["-q"]).exits(5);
    assert!(done.stderr.contains("key_retired"), "{done}");
    key(&home, &["rotate", "--plain"]).exits(5).says("key_retired");
    // Somebody who has it makes a nanohost sign that sees no acts.
    let acts = crate::database::acts(&home);
    let head = crate::database::digest_of_envelope(&home, &acts, 2);
    execute(&home, &format!("UPDATE run SET len = 0, last = NULL WHERE id = '{acts}'"));
    // Nor does the list of acts stand in their way, nor the head of them: it is an older one.
    let (list, kept) = (home.path("config/acts.log"), home.acts_head());
    fs::rename(&list, home.path("acts.log")).expect("it is there");
    let head_of_now = fs::read(&kept).expect("it is kept");
    fs::write(&kept, early).expect("it is ours");
    let later = a_run(&home);
    fs::rename(home.path("acts.log"), &list).expect("it is there");
    fs::write(&kept, head_of_now).expect("it is ours");
    execute(&home, &format!("UPDATE run SET len = 3, last = X'{head}' WHERE id = '{acts}'"));
    fs::rename(home.path("current"), &current).expect("it is there");
    home.nanohost(["verify", &later]).exits(13).says("counts from 0 to before");
    home.nanohost(["trace", &later]).exits(13).says("evidence_bad");
    home.nanohost(["export", &later, "-o", "later.jsonl"]).exits(13);
    home.nanohost(["verify", &first]).exits(0);
}

/// A run that waits, whose key was retired since; the id of that key.
fn orphaned(home: &Home) -> (String, String) {
    let waiting = home.examples().run_json("approval/program.toml", 4, &["--idempotency-key", "monday"]);
    let waiting = waiting["run"].as_str().expect("an id").to_owned();
    let old = key(home, &["show", "--json"]).exits(0).json()["keyId"].as_str().expect("an id").to_owned();
    key(home, &["rotate", "--plain"]).exits(0);
    key(home, &["retire", &old]).exits(0).says("cancel");
    (waiting, old)
}

#[test]
fn a_run_whose_key_was_retired_is_ended_by_the_one_that_signs_now() {
    let home = Home::new();
    let pem = home.public_key();
    let (run, old) = orphaned(&home);
    home.nanohost(["resume", &run, "--json"]).finds(5, "key_retired");
    home.nanohost(["cancel", &run, "--reason", "its key leaked", "--as", "lea", "--json"]).exits(0);
    assert_eq!(home.state(&run), "cancelled");
    let found = home.nanohost(["verify", &run, "--json"]).exits(0).json();
    let detail = found["checks"][0]["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.contains("which ended the run by act 3"), "{detail}");
    // Whoever trusted the first key follows.
    home.nanohost(["verify", &run, "--trust", text(&pem)]).exits(0);
    home.nanohost(["log", "fsck"]).exits(0);
    let again = home.examples().run_json("approval/program.toml", 1, &["--idempotency-key", "monday"]);
    assert_eq!((&again["run"], &again["status"]), (&run.as_str().into(), &"cancelled".into()));

    // With the file alone: both keys have to be trusted, and the act has to be there.
    let export = home.path("run.jsonl");
    home.nanohost(["export", &run, "-o", text(&export)]).exits(0);
    let new = home.nanohost(["key", "show", "--public"]).exits(0).stdout;
    let both = home.write("both.pem", format!("{}{new}", fs::read_to_string(&pem).expect("a key")));
    let auditor = Home::new();
    auditor.nanohost(["verify", text(&export), "--trust", text(&both)]).exits(0).says("ended the run");
    auditor.nanohost(["verify", text(&export), "--trust", text(&pem)]).exits(13);
    let lines = fs::read_to_string(&export).expect("it is there");
    let cut: String =
        lines.lines().filter(|line| !line.starts_with("{\"act\":")).map(|line| format!("{line}\n")).collect();
    let cut = home.write("cut.jsonl", cut);
    auditor.nanohost(["verify", text(&cut), "--trust", text(&both)]).exits(10).says("another program");

    // A row that says which act bears on it is no proof, and without it nothing is found.
    execute(&home, &format!("DELETE FROM act_on WHERE run = '{run}'"));
    home.nanohost(["verify", &run]).exits(10);
    assert!(!old.is_empty());
}

#[test]
fn what_a_retired_key_signed_since_is_not_ended() {
    let home = Home::new();
    let first = a_run(&home);
    let kept = home.acts_head();
    fs::copy(&kept, home.path("head")).expect("it is kept");
    let (run, old) = orphaned(&home);
    // Somebody has the retired key, and makes a nanohost sign that sees no acts.
    let current = home.path("config/keys/signing/current");
    let acts = crate::database::acts(&home);
    let head = crate::database::digest_of_envelope(&home, &acts, 2);
    let list = home.path("config/acts.log");
    let hidden = |hide: bool| {
        let pairs = [(&list, home.path("acts.log")), (&current, home.path("current"))];
        for (there, aside) in pairs {
            let (from, to) = if hide { (there, &aside) } else { (&aside, there) };
            fs::rename(from, to).expect("it is there");
        }
        let aside = home.path("head-aside");
        fs::rename(&kept, &aside).expect("it is kept");
        fs::rename(home.path("head"), &kept).expect("it is kept");
        fs::rename(&aside, home.path("head")).expect("it is kept");
        let row = if hide { "len = 0, last = NULL".to_owned() } else { format!("len = 3, last = X'{head}'") };
        execute(&home, &format!("UPDATE run SET {row} WHERE id = '{acts}'"));
    };
    hidden(true);
    let later = home.examples().run_json("approval/program.toml", 4, &[]);
    let later = later["run"].as_str().expect("an id").to_owned();
    hidden(false);
    home.nanohost(["cancel", &later, "--reason", "whose is it?", "--json"]).finds(13, "evidence_bad");
    home.nanohost(["cancel", &run, "--reason", "its key leaked", "--json"]).exits(0);
    home.nanohost(["verify", &run]).exits(0);
    home.nanohost(["verify", &first]).exits(0);
    assert!(!old.is_empty());
}

#[test]
fn a_trust_file_says_for_which_part_of_the_log_a_key_counts() {
    let home = Home::new();
    let first = a_run(&home);
    let old = key(&home, &["show", "--json"]).exits(0).json()["keyId"].as_str().expect("an id").to_owned();
    let pem = home.public_key();
    key(&home, &["new", "--plain"]).exits(0);
    let second = a_run(&home);
    key(&home, &["retire", &old]).exits(0);
    let trust = home.path("trust.toml");
    let told = key(&home, &["export", "-o", text(&trust), "--json"]).exits(0).json();
    assert_eq!(told["calls"].as_array().map(Vec::len), Some(2));
    key(&home, &["export", "-o", text(&trust)]).exits(2).says("export_unwritable");
    let files = |run: &str| {
        let (export, proof) = (home.path(format!("{run}.jsonl")), home.path(format!("{run}.proof")));
        home.nanohost(["export", run, "-o", text(&export)]).exits(0);
        home.nanohost(["log", "prove", run, "-o", text(&proof)]).exits(0);
        (export, proof)
    };
    let ((first, first_proof), (second, second_proof)) = (files(&first), files(&second));
    let auditor = Home::new();
    let verify = |file: &Path, more: &[&str]| {
        auditor.nanohost([&["verify", text(file), "--trust", text(&trust)][..], more].concat())
    };
    // The key of the log stands in the file too.
    verify(&first, &["--log-proof", text(&first_proof)]).exits(0).says("stands at index");
    verify(&second, &["--log-proof", text(&second_proof)]).exits(0);
    // Nothing shows that it was signed before the key was retired.
    verify(&first, &[]).exits(13).says("--log-proof");
    auditor.nanohost(["trace", text(&first), "--trust", text(&trust)]).exits(13);
    verify(&first, &["--log-proof", text(&second_proof)]).exits(10);
    // Who counts for none of it.
    let edited = fs::read_to_string(&trust).expect("it is there");
    let at = edited.find("until = ").expect("one is retired");
    let end = at + edited[at..].find('\n').expect("a line");
    let early = home.write("early.toml", format!("{}until = 1{}", &edited[..at], &edited[end..]));
    let arguments = ["verify", text(&first), "--trust", text(&early), "--log-proof", text(&first_proof)];
    auditor.nanohost(arguments).exits(13).says("to before 1");
    let wrong = home.write("wrong.toml", edited.replace("until", "untill"));
    auditor.nanohost(["verify", text(&first), "--trust", text(&wrong)]).exits(2).says("unknown_field");
    // A key alone says nothing of the log.
    auditor.nanohost(["verify", text(&first), "--trust", text(&pem)]).exits(0);
    auditor
        .nanohost(["verify", text(&first), "--trust", text(&pem), "--log-proof", text(&first_proof)])
        .exits(2)
        .says("log_key_unknown");
}

/// Whoever is trusted with runs of their own erases nothing from those of others.
#[test]
fn a_key_erases_from_its_own_runs_and_from_those_of_the_keys_before_it() {
    let home = Home::new();
    let (early, late) = (a_run(&home), a_run(&home));
    let first = home.public_key();
    let erase = |run: &str| {
        home.nanohost(["erase", run, "--basis", "request", "--reason", "she asked"]).exits(0);
        let file = home.path(format!("{run}.jsonl"));
        home.nanohost(["export", run, "--disclose", "all", "-o", text(&file)]).exits(0);
        file
    };
    let early = erase(&early);
    let made = key(&home, &["new", "--plain", "--json"]).exits(0).json();
    let second = PathBuf::from(made["public"].as_str().expect("a path"));
    // Erased by the second key, which the first one introduced: the file says so, before the erasure.
    let run = late;
    let late = erase(&run);
    for file in [&early, &late] {
        home.nanohost(["verify", text(file), "--trust", text(&first)]).exits(0);
    }
    let acts = |file: &Path| -> Vec<String> {
        let all = fs::read_to_string(file).expect("it is written");
        all.lines().filter(|line| line.starts_with("{\"act\":")).map(str::to_owned).collect()
    };
    assert_eq!((acts(&early).len(), acts(&late).len()), (1, 3));
    home.nanohost(["verify", &run, "--trust", text(&first)]).exits(0);
    home.nanohost(["list", "--since", "2020-01-01", "--trust", text(&first)]).exits(0);
    // Without these acts nobody knows that one key follows the other, whoever else trusts both.
    let pem = |path: &Path| fs::read_to_string(path).expect("it is there");
    let both = home.write("both.pem", pem(&first) + &pem(&second));
    let all = pem(&late);
    let (introduced, last) = (&acts(&late)[..2], &acts(&late)[2]);
    let alone: String = all
        .lines()
        .filter(|line| !introduced.contains(&(*line).to_owned()))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(alone.contains(last.as_str()));
    let alone = home.write("alone.jsonl", alone);
    home.nanohost(["verify", text(&alone), "--trust", text(&both)]).exits(13).says("took over");
    // A trust file gives the role to speak for every run.
    let trust = home.path("roles.toml");
    key(&home, &["export", "-o", text(&trust)]).exits(0);
    let key_of_log = home.nanohost(["log", "key"]).exits(0).stdout;
    home.nanohost(["verify", text(&alone), "--trust", text(&trust)]).exits(0).says("each stands in the log");
    let without = pem(&trust);
    let without = &without[..without.find("[[acts]]").expect("a role")];
    let without = home.write("without.toml", without);
    let key_of_log = key_of_log.trim();
    let plain = ["verify", text(&alone), "--trust", text(&without), "--log-key", key_of_log];
    home.nanohost(plain).exits(13).says("took over");
    let whole = ["verify", text(&late), "--trust", text(&without), "--log-key", key_of_log];
    home.nanohost(whole).exits(0).says("each stands in the log");
}

#[test]
fn no_key_of_the_log_takes_the_place_of_one_that_is_gone() {
    let home = Home::new();
    let run = a_run(&home);
    for name in ["log.key.pem", "log.pub.pem"] {
        let path = home.path("config/keys").join(name);
        fs::rename(&path, home.path(name)).expect("it is there");
    }
    let done = home.examples().run("refund/program.toml", &["-q"]).exits(5);
    assert!(done.stderr.contains("log_key_missing"), "{done}");
    home.nanohost(["log", "checkpoint"]).exits(5).says("log_key_missing");
    assert!(!home.path("config/keys/log.key.pem").exists());
    for name in ["log.key.pem", "log.pub.pem"] {
        fs::rename(home.path(name), home.path("config/keys").join(name)).expect("it is there");
    }
    a_run(&home);
    home.nanohost(["verify", &run]).exits(0);
}

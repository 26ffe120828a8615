//! Runs that wait for somebody: who may answer, what is refused and that nothing then changes, and
//! that another process goes on from the log alone.

use std::fs;
use std::path::Path;

use nanohost_core::export::Export;
use serde_json::{Value, json};

use crate::database;
use crate::harness::{Done, Examples, Home, built_component, repository};

/// A run of an example that waits.
struct Waiting<'h> {
    home: &'h Home,
    examples: Examples<'h>,
    run: String,
}

impl<'h> Waiting<'h> {
    fn new(home: &'h Home, program: &str, more: &[&str]) -> Self {
        let examples = home.examples();
        let document = examples.run_json(program, 4, more);
        assert_eq!(document["status"], "suspended", "{document:#}");
        let run = document["run"].as_str().expect("an id").to_owned();
        Self { home, examples, run }
    }

    /// A purchase that an agent wants and somebody else has to approve.
    fn purchase(home: &'h Home) -> Self {
        Self::new(home, "approval/program.toml", &["--as", "agent"])
    }

    /// A payment that the payment service has to confirm.
    fn payment(home: &'h Home) -> Self {
        Self::new(home, "payment-webhook/program.toml", &[])
    }

    fn file(&self, path: &str) -> String {
        self.examples.path(path).into_os_string().into_string().expect("UTF-8")
    }

    fn command(&self, command: &str, more: &[&str]) -> Done {
        self.home.nanohost([&[command, &self.run, "--json"], more].concat())
    }

    fn resume(&self, more: &[&str]) -> Done {
        self.command("resume", more)
    }

    fn token(&self, who: &str) -> String {
        let document = self.command("token", &["--as", who]).exits(0).json();
        document["token"].as_str().expect("a token").to_owned()
    }

    fn answers(&self, who: &str, token: &str, event: &str) -> Done {
        self.resume(&["--as", who, "--token", token, "--event", &self.file(event)])
    }

    fn verifies(&self) {
        self.home.nanohost(["verify", &self.run]).exits(0).says("VERIFIED");
    }

    /// The run waits on, whatever `refused` was, and its evidence gained the refusal by `rule`, or
    /// nothing.
    #[track_caller]
    fn waits_on(&self, rule: Option<&str>, refused: impl FnOnce() -> Done) {
        let before = self.home.envelopes(&self.run);
        let done = refused();
        let after = self.home.envelopes(&self.run);
        assert_eq!(after[..before.len()], before, "what was there stays: {done}");
        let gained = &after[before.len()..];
        assert_eq!(gained.len(), usize::from(rule.is_some()), "{done}\n{gained:#?}");
        if let (Some(rule), [denied]) = (rule, gained) {
            let predicate = &denied["predicate"];
            assert_eq!(predicate["kind"], "denied", "{denied:#}");
            assert_eq!(predicate["denials"][0]["rule"], rule, "{denied:#}");
            assert_eq!(predicate["denials"][0]["culprit"], "resolver", "{denied:#}");
        }
        assert_eq!(self.home.state(&self.run), "suspended", "{done}");
        self.verifies();
    }
}

/// The last envelope of a kind.
fn last<'e>(envelopes: &'e [Value], kind: &str) -> &'e Value {
    let found = envelopes.iter().rev().find(|envelope| envelope["predicate"]["kind"] == kind);
    &found.expect("there is one")["predicate"]
}

fn edit(path: &Path, change: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(path).expect("the file is there");
    let changed = change(text.clone());
    assert_ne!(changed, text, "the edit changes something");
    fs::write(path, changed).expect("it is writable");
}

#[test]
fn a_run_says_what_it_waits_for() {
    let home = Home::new();
    let waiting = Waiting::purchase(&home);
    let document = waiting.resume(&[]).exits(4).json();
    assert_eq!(document["question"]["reason"], "approve 1299.00 for a coffee machine?", "{document:#}");
    assert_eq!(document["by"], json!(["role:approver"]));
    home.nanohost(["resume", &waiting.run]).exits(4).says("nanohost token").says("--event");
    assert_eq!(home.state(&waiting.run), "suspended");
    waiting.verifies();
    // Looking is no answer, and a wait is no interruption.
    home.nanohost(["recover", "--json"]).exits(0);
    let settled = waiting.command("settle", &[]).finds(2, "not_suspended");
    let short = &waiting.run[..12];
    assert_eq!(
        settled.suggests(),
        ["resume", short, "--as", "NAME", "--token", "TOKEN", "--event", "EVENT.json"],
        "{settled}"
    );
    let still = home.nanohost(["recover", &waiting.run]).exits(4);
    assert!(still.stdout.contains("suspended") && !still.stdout.contains("in doubt"), "{still}");
    assert_eq!(home.envelopes(&waiting.run).len(), 3);
    assert_eq!(database::kv(&home), [], "nothing was ordered");
}

#[test]
fn only_who_is_entitled_answers_and_once() {
    let home = Home::new();
    let waiting = Waiting::purchase(&home);
    let yes = waiting.file("approval/approved.json");
    let refused = "resume_refused";
    waiting.waits_on(Some("resume:by"), || {
        waiting.resume(&["--as", "agent", "--event", &yes]).finds(3, refused)
    });
    waiting.waits_on(Some("resume:by"), || {
        waiting.resume(&["--as", "robin", "--event", &yes]).finds(3, refused)
    });
    waiting.waits_on(Some("resume:by"), || waiting.resume(&["--event", &yes]).finds(3, refused));
    waiting.waits_on(Some("resume:by"), || waiting.command("token", &["--as", "agent"]).finds(3, refused));
    waiting.waits_on(Some("resume:token"), || {
        waiting.resume(&["--as", "dana", "--event", &yes]).finds(3, refused)
    });
    let token = waiting.token("dana");
    for (who, token) in [("dana", "0".repeat(64)), ("dana", "guess".to_owned()), ("sam", token.clone())] {
        waiting.waits_on(Some("resume:token"), || {
            waiting.answers(who, &token, "approval/approved.json").finds(3, refused)
        });
    }
    // What is suggested works as it is printed: a token of sam's, and then only a new one.
    let none = waiting.resume(&["--as", "sam", "--event", &yes]).finds(3, refused);
    home.nanohost(none.suggests()).exits(0);
    home.nanohost(none.suggests()).exits(2).says("token_handed_out");
    let wrong = waiting.answers("sam", &token, "approval/approved.json").finds(3, refused);
    assert_eq!(wrong.suggests().last().map(String::as_str), Some("--renew"), "{wrong}");
    home.nanohost(wrong.suggests()).exits(0);
    let answer = |event: &str| {
        let event = home.write("event.json", event);
        let event = event.to_str().expect("UTF-8");
        waiting.resume(&["--as", "dana", "--token", &token, "--event", event])
    };
    for misfit in ["{}", "7", "null", r#"{"approved":"yes","approved_by":"Dana"}"#] {
        waiting.waits_on(Some("resume:schema"), || answer(misfit).finds(3, refused));
    }
    waiting.waits_on(None, || answer("yes").finds(2, "not_json"));
    waiting.waits_on(None, || answer(r#"{"approved":true,"approved":false}"#).finds(2, "duplicate_key"));
    waiting.waits_on(None, || {
        let more = ["--as", "dana", "--token", &token, "--event", &yes, "--signature", "sha256=00"];
        waiting.resume(&more).finds(2, "unused_signature")
    });
    waiting.waits_on(None, || {
        waiting.answers("dana", &token, "approval/none.json").finds(2, "event_unreadable")
    });

    // None of it spent the token.
    let document = waiting.answers("dana", &token, "approval/approved.json").exits(0).json();
    assert_eq!(document["outcome"], "ordered", "{document:#}");
    assert_eq!(document["run"], waiting.run.as_str());
    assert_eq!(home.state(&waiting.run), "success");
    waiting.verifies();
    let resume = last(&home.envelopes(&waiting.run), "resume").clone();
    assert_eq!(resume["principal"], "dana", "{resume:#}");
    assert_eq!(resume["step"]["event"], "resumed:OPERATOR");
    assert_eq!(resume["resolver"]["authenticated"], "token");
    assert_eq!(resume["resolver"]["entitled"], "role:approver");
    let orders = database::kv(&home);
    assert!(!orders.is_empty());

    // It is over: nothing answers it again.
    let over = home.envelopes(&waiting.run);
    waiting.answers("dana", &token, "approval/approved.json").finds(2, "not_suspended");
    waiting.resume(&[]).finds(2, "not_suspended");
    waiting.command("token", &["--as", "dana", "--renew"]).finds(2, "not_suspended");
    waiting.command("settle", &["--fail"]).finds(2, "not_suspended");
    waiting.command("cancel", &["--reason", "late"]).finds(2, "not_suspended");
    assert_eq!((home.envelopes(&waiting.run), database::kv(&home)), (over, orders));
}

#[test]
fn a_token_is_shown_once_and_kept_nowhere() {
    let home = Home::new();
    let waiting = Waiting::purchase(&home);
    let first = waiting.token("dana");
    waiting.command("token", &["--as", "dana"]).finds(2, "token_handed_out");
    let renewed = waiting.command("token", &["--as", "dana", "--renew"]).exits(0).json();
    let renewed = renewed["token"].as_str().expect("a token");
    assert_ne!(first, renewed);
    // Each has their own, of this suspension alone.
    let other = waiting.token("sam");
    let another = Waiting::purchase(&home);
    another.waits_on(Some("resume:token"), || {
        another.answers("dana", renewed, "approval/approved.json").finds(3, "resume_refused")
    });
    waiting.waits_on(Some("resume:token"), || {
        waiting.answers("dana", &first, "approval/approved.json").finds(3, "resume_refused")
    });
    for file in fs::read_dir(home.store()).expect("a run made the store") {
        let path = file.expect("it can be listed").path();
        if path.is_file() {
            let bytes = fs::read(&path).expect("it can be read");
            for token in [renewed, &other] {
                let found = bytes.windows(token.len()).any(|window| window == token.as_bytes());
                assert!(!found, "{} holds a token", path.display());
            }
        }
    }
    waiting.answers("dana", renewed, "approval/declined.json").exits(0).says("declined");
    waiting.verifies();
}

#[test]
fn another_process_goes_on_from_anywhere() {
    let home = Home::new();
    let waiting = Waiting::purchase(&home);
    let token = waiting.token("dana");
    // The event on standard input, the token in the environment, the working directory elsewhere.
    let mut command = home.command(["resume", &waiting.run[..12], "--json", "--as", "dana", "--event", "-"]);
    command.current_dir("/").env("NANOHOST_TOKEN", &token);
    let document = Done::fed(command, &waiting.examples.path("approval/approved.json")).exits(0).json();
    assert_eq!(document["outcome"], "ordered", "{document:#}");
    assert_eq!(document["output"]["approved_by"], "Dana Whitfield");
    waiting.verifies();
}

#[test]
fn a_changed_program_is_another_one() {
    let home = Home::new();
    let waiting = Waiting::purchase(&home);
    let token = waiting.token("dana");
    let program = waiting.examples.path("approval/program.toml");
    let text = fs::read(&program).expect("it is there");
    edit(&program, |text| text.replace("$decision.approved_by", "$item"));
    waiting.waits_on(Some("resume:program"), || {
        waiting.answers("dana", &token, "approval/approved.json").finds(3, "program_mismatch")
    });
    fs::remove_file(&program).expect("it is there");
    waiting.waits_on(None, || {
        waiting.answers("dana", &token, "approval/approved.json").finds(2, "unreadable_file")
    });
    fs::write(&program, text).expect("it is writable");
    waiting.answers("dana", &token, "approval/approved.json").exits(0);
    waiting.verifies();
}

#[test]
fn a_component_that_was_exchanged_is_another_authority() {
    let home = Home::new();
    let program = home.examples().path("approval/program.toml");
    edit(&program, |text| text.replace("../../tools/ask-approval", "../../own/ask-approval"));
    let manifest = fs::read(repository().join("tools/ask-approval/manifest.toml")).expect("it is there");
    let component = fs::read(built_component("ask_approval")).expect("it was built");
    home.write("project/own/ask-approval/manifest.toml", manifest);
    let at = home.write("project/own/ask-approval/component.wasm", &component);
    let waiting = Waiting::purchase(&home);
    let token = waiting.token("dana");
    // The same but for a section that nobody reads.
    fs::write(&at, [&component[..], &[0, 2, 1, b'x']].concat()).expect("it is writable");
    waiting.waits_on(Some("resume:table"), || {
        let changed = waiting.answers("dana", &token, "approval/approved.json");
        changed.finds(3, "authority_changed").says("another one: ask (component)")
    });
    fs::write(&at, &component).expect("it is writable");
    waiting.answers("dana", &token, "approval/approved.json").exits(0);
    waiting.verifies();
}

#[test]
fn a_changed_policy_is_read_again_and_may_not_change_the_table() {
    let home = Home::new();
    let waiting = Waiting::purchase(&home);
    let token = waiting.token("dana");
    let policy = waiting.examples.policy();
    let path = policy.to_str().expect("UTF-8");
    let yes = waiting.file("approval/approved.json");
    let answer = |more: &[&str]| {
        let answer = ["--as", "dana", "--token", &token, "--event", &yes];
        waiting.resume(&[&answer, more].concat())
    };
    let original = fs::read(&policy).expect("it is there");

    // It was trusted for what it said.
    edit(&policy, |text| format!("# Looked at, and found good.\n{text}"));
    waiting.waits_on(None, || answer(&[]).finds(2, "policy_changed"));

    // Rows that say something else, or are gone, are other authority.
    edit(&policy, |text| text.replace("$args.amount_cents <= 500000", "$args.amount_cents <= 500001"));
    waiting.waits_on(Some("resume:table"), || answer(&["--policy", path]).finds(3, "authority_changed"));
    fs::write(&policy, &original).expect("it is writable");
    edit(&policy, |text| {
        text.replace(
            "program = \"purchase\"\ntool = \"place-order\"",
            "program = \"purchases\"\ntool = \"place-order\"",
        )
    });
    waiting.waits_on(Some("resume:table"), || answer(&["--policy", path]).finds(3, "authority_changed"));

    // Who has a role is asked now.
    fs::write(&policy, &original).expect("it is writable");
    edit(&policy, |text| text.replace("approver = [\"dana\", \"sam\"]", "approver = [\"sam\"]"));
    waiting.waits_on(Some("resume:by"), || answer(&["--policy", path]).finds(3, "resume_refused"));

    // Another text with the same rows is good, and the evidence says which it was.
    fs::write(&policy, &original).expect("it is writable");
    edit(&policy, |text| format!("# Looked at, and found good.\n{text}"));
    let document = answer(&["--policy", path]).exits(0).json();
    assert_eq!(document["outcome"], "ordered", "{document:#}");
    waiting.verifies();
    let envelopes = home.envelopes(&waiting.run);
    let digest = |kind: &str| last(&envelopes, kind)["policies"][0]["digest"].clone();
    assert!(digest("run-open").is_string());
    assert_ne!(digest("run-open"), digest("resume"));
}

#[test]
fn what_is_due_ends_and_nothing_else() {
    let home = Home::new();
    let later = Waiting::purchase(&home);
    home.nanohost(["resume", "--due"]).exits(0).says("no expired runs");
    let due = Waiting::new(&home, "approval/program.toml", &["--as", "agent", "-i", "deadline=1"]);
    let handled = Waiting::new(&home, "payment-webhook/program.toml", &["-i", "deadline=1"]);
    let document = home.nanohost(["resume", "--due", "--json"]).exits(1).json();
    let runs = document["runs"].as_array().expect("a list");
    assert_eq!(runs.len(), 2, "{document:#}");
    assert_eq!(home.state(&due.run), "failed");
    let close = last(&home.envelopes(&due.run), "run-close").clone();
    assert_eq!(close["close"]["error"], "deadline_expired", "{close:#}");
    let expired = last(&home.envelopes(&due.run), "resume").clone();
    assert_eq!(expired["step"]["event"], "expired", "{expired:#}");
    // Where the step says so, the program goes on without the answer.
    let receipt = home.nanohost(["receipt", &handled.run, "--json"]).exits(0).json();
    assert_eq!(receipt["outcome"], "called_off", "{receipt:#}");
    assert_eq!(home.state(&later.run), "suspended");
    for waiting in [&later, &due, &handled] {
        waiting.verifies();
    }
    home.nanohost(["resume", "--due"]).exits(0).says("no expired runs");
}

#[test]
fn an_answer_after_the_deadline_comes_too_late() {
    let home = Home::new();
    let purchase = Waiting::new(&home, "approval/program.toml", &["--as", "agent", "-i", "deadline=1"]);
    // Nobody is invited to answer any more.
    let over = "nanohost resume --due";
    purchase.waits_on(None, || {
        let token = purchase.command("token", &["--as", "dana"]).finds(2, "not_suspended");
        assert_eq!(token.suggests(), ["resume", "--due"]);
        token
    });
    let asked = home.nanohost(["resume", &purchase.run]).exits(4).says(over);
    assert!(!asked.stdout.contains("--event") && !asked.stdout.contains("nanohost token"), "{asked}");
    assert_eq!(purchase.resume(&[]).exits(4).json()["expired"], true);
    purchase.waits_on(Some("resume:deadline"), || {
        purchase.answers("dana", "0", "approval/approved.json").finds(3, "resume_refused")
    });
    let payment = Waiting::new(&home, "payment-webhook/program.toml", &["-i", "deadline=1"]);
    let paid = payment.file("payment-webhook/paid.json");
    payment.waits_on(Some("resume:deadline"), || {
        payment.resume(&["--event", &paid, "--signature", PAID]).finds(3, "resume_refused")
    });
    home.nanohost(["resume", "--due"]).exits(1);
    assert_eq!((home.state(&purchase.run), home.state(&payment.run)), ("failed".into(), "success".into()));
    purchase.verifies();
    payment.verifies();
}

/// The signature of `payment-webhook/paid.json` under the key of the examples' policy.
pub(crate) const PAID: &str = "sha256=5caeca66793650c5731f80f47255d48c695c1e2da5f153c535dce961acf12ffd";

#[test]
fn a_webhook_is_checked_before_the_run_moves() {
    let home = Home::new();
    let waiting = Waiting::payment(&home);
    let paid = waiting.file("payment-webhook/paid.json");
    let arrives =
        |event: &str, signature: &str| waiting.resume(&["--event", event, "--signature", signature]);
    let refused = |event: &str, signature: &str| {
        waiting.waits_on(Some("resume:verify"), || arrives(event, signature).finds(3, "resume_refused"));
    };
    refused(&paid, &PAID.replace('5', "6"));
    refused(&paid, "");
    refused(&paid, "sha256=");
    // The exact text: without its line feed it is another one, though the same JSON.
    let text = fs::read_to_string(&paid).expect("it is there");
    let trimmed = home.write("trimmed.json", text.trim_end());
    refused(trimmed.to_str().expect("UTF-8"), PAID);
    waiting
        .waits_on(Some("resume:verify"), || waiting.resume(&["--event", &paid]).finds(3, "resume_refused"));
    let empty = home.write("empty.json", "{}");
    waiting.waits_on(Some("resume:schema"), || {
        arrives(empty.to_str().expect("UTF-8"), PAID).finds(3, "resume_refused")
    });

    let document = arrives(&paid, PAID).exits(0).json();
    assert_eq!(document["outcome"], "paid", "{document:#}");
    let resume = last(&home.envelopes(&waiting.run), "resume").clone();
    assert_eq!(resume["step"]["event"], "resumed:WEBHOOK", "{resume:#}");
    assert_eq!(resume["call"]["tool"], "check_hmac");
    waiting.verifies();
    arrives(&paid, PAID).finds(2, "not_suspended");
}

#[test]
fn a_genuine_webhook_about_something_else_is_none_about_this() {
    let home = Home::new();
    let waiting = Waiting::new(&home, "payment-webhook/program.toml", &["-i", "order_id=A-7"]);
    let paid = waiting.file("payment-webhook/paid.json");
    let document = waiting.resume(&["--event", &paid, "--signature", PAID]).exits(0).json();
    assert_eq!(document["outcome"], "called_off", "{document:#}");
    waiting.verifies();
}

#[test]
fn a_suspended_run_is_cancelled() {
    let home = Home::new();
    let waiting = Waiting::purchase(&home);
    let token = waiting.token("dana");
    for blank in ["", " ", "\t\n"] {
        waiting.command("cancel", &["--reason", blank]).exits(2);
    }
    assert_eq!(home.state(&waiting.run), "suspended");
    let reason = ["--reason", "not needed any more", "--as", "robin"];
    let document = waiting.command("cancel", &reason).exits(0).json();
    assert_eq!(document["status"], "cancelled");
    let trace = home.nanohost(["trace", &waiting.run]).exits(0);
    trace.says("by agent").says("cancelled by robin");
    assert_eq!(home.state(&waiting.run), "cancelled");
    let envelopes = home.envelopes(&waiting.run);
    assert!(envelopes.iter().any(|envelope| envelope["values"].to_string().contains("not needed any more")));
    waiting.verifies();
    waiting.answers("dana", &token, "approval/approved.json").finds(2, "not_suspended");
    assert_eq!(home.envelopes(&waiting.run), envelopes);
}

/// A run that its project's own policy admitted goes on under that policy, and under no trust less.
#[test]
fn trust_that_was_lost_is_named_with_what_gives_it_back() {
    let home = Home::new();
    let examples = home.examples();
    let project = examples.path("../../project");
    let project = project.to_str().expect("UTF-8");
    home.nanohost(["trust", project]).exits(0);
    let program = examples.path("approval/program.toml");
    let program = program.to_str().expect("UTF-8");
    let run = home.nanohost(["run", program, "--as", "agent", "--json"]).exits(4).json();
    let waiting = Waiting { home: &home, examples, run: run["run"].as_str().expect("an id").to_owned() };
    let token = waiting.token("dana");
    edit(&waiting.examples.policy(), |text| format!("# A word more.\n{text}"));
    let answer = || waiting.answers("dana", &token, "approval/approved.json");
    waiting.waits_on(Some("resume:table"), || answer().finds(3, "authority_changed"));
    let refused = answer().finds(3, "authority_changed");
    assert_eq!(refused.suggests()[0], "trust", "{refused}");
    home.nanohost(refused.suggests()).exits(0);
    answer().exits(0);
    waiting.verifies();
    let trace = home.nanohost(["trace", &waiting.run]).exits(0).says("resumed:OPERATOR by dana");
    trace.says("refused by dana · authority_changed (resume:table)").omits("(resolver)");
}

/// What is kept back of a question is there for whoever asks for it, and the evidence holds what
/// everybody is shown.
#[test]
fn who_answers_may_look_at_everything() {
    let home = Home::new();
    let examples = home.examples();
    let program = examples.path("approval/program.toml");
    edit(&program, |text| text.replacen("[inputs.item]\n", "[inputs.item]\npii = true\n", 1));
    let waiting = Waiting::purchase(&home);
    let item = "a coffee machine";
    home.nanohost(["resume", &waiting.run]).exits(4).omits(item);
    home.nanohost(["resume", &waiting.run, "--reveal"]).exits(4).says(item).says("may hold personal data");
    waiting.resume(&[]).exits(4).omits(item);
    waiting.resume(&["--reveal"]).exits(4).says(item);
    let token = waiting.token("dana");
    let yes = waiting.file("approval/approved.json");
    let answer = ["resume", &waiting.run, "--as", "dana", "--token", &token, "--event", &yes, "--reveal"];
    home.nanohost(answer).exits(0).says(item);
    waiting.verifies();
}

/// Whatever is disclosed of it, a run that waits is suspended, and not cut.
#[test]
fn a_suspended_run_is_exported_as_one() {
    let home = Home::new();
    // Of payments the policy holds a key, so that nobody else can run the machine.
    for (waiting, holds_env) in [(Waiting::purchase(&home), false), (Waiting::payment(&home), true)] {
        let event = waiting.file("payment-webhook/paid.json");
        waiting.resume(&["--as", "robin", "--event", &event, "--signature", "sha256=00"]).exits(3);
        for disclose in ["none", "public", "all"] {
            let file = home.path(format!("{}-{disclose}.jsonl", waiting.run));
            let path = file.to_str().expect("UTF-8");
            home.nanohost(["export", &waiting.run, "-o", path, "--disclose", disclose]).exits(0);
            home.nanohost(["verify", path]).exits(0).says("the run is suspended");
            let partial = home.nanohost(["verify", path, "--json"]).exits(0).json()["partial"] == true;
            assert_eq!(partial, disclose == "none" || disclose == "public" && holds_env, "{disclose}");
            home.nanohost(["verify", path, "--strict"]).exits(if partial { 11 } else { 0 });

            // Without the envelope that suspended it, and all after it, it is open.
            let text = fs::read_to_string(&file).expect("it is text");
            let lines: Vec<&str> = text.lines().collect();
            let envelopes: Vec<usize> =
                (0..lines.len()).filter(|at| lines[*at].starts_with("{\"payload\"")).collect();
            let before = envelopes[envelopes.len() - 2];
            fs::write(&file, lines[..before].join("\n") + "\n").expect("it is writable");
            home.nanohost(["verify", path]).exits(14).says("OPEN");

            // A refusal that was cut off, of which the value stayed, is a cut.
            let last = envelopes[envelopes.len() - 1];
            if last + 1 < lines.len() {
                let cut = [&lines[..last], &lines[last + 1..]].concat().join("\n") + "\n";
                fs::write(&file, cut).expect("it is writable");
                home.nanohost(["verify", path]).exits(11).says("TRUNCATED");
            }
        }
    }
}

/// What stands in a policy that the run only went on under is as much its user's own.
#[test]
fn values_of_variables_are_withheld_and_that_is_said() {
    let home = Home::new();
    let waiting = Waiting::purchase(&home);
    let token = waiting.token("dana");
    let policy = waiting.examples.policy();
    edit(&policy, |text| format!("{text}\n[env.another]\nKEY = \"letmein-4711\"\n"));
    let yes = waiting.file("approval/approved.json");
    let path = policy.to_str().expect("UTF-8");
    waiting.resume(&["--as", "dana", "--token", &token, "--event", &yes, "--policy", path]).exits(0);
    let out = |name: &str| home.path(name).into_os_string().into_string().expect("UTF-8");
    let file = out("public.jsonl");
    let public = home.nanohost(["export", &waiting.run, "-o", &file]).exits(0);
    let export = Export::parse(&fs::read(&file).expect("it was exported")).expect("an export");
    let holds = |export: &Export| {
        export.contents.iter().any(|it| String::from_utf8_lossy(&it.bytes).contains("letmein-4711"))
    };
    assert!(!holds(&export), "{public}");
    assert!(public.stderr.contains("the policy holds values of [env]"), "{public}");
    assert!(public.stderr.contains("kept on this machine, since they serve only to go on"), "{public}");
    assert!(public.stderr.contains("0/launch, 0/seed"), "{public}");
    let counted = |done: &Done, of: usize| {
        let values = done.json()["withheld"].as_object().expect("by reason").clone();
        let withheld: usize = values.values().filter_map(|list| Some(list.as_array()?.len())).sum();
        assert_eq!(withheld + done.json()["values"].as_u64().expect("a number") as usize, of, "{done}");
    };
    let all = home.nanohost(["export", &waiting.run, "-o", &out("all"), "--disclose", "all", "--json"]);
    let whole = all.json()["values"].as_u64().expect("a number") as usize;
    assert_eq!(all.json()["holdsEnv"], true, "{all}");
    counted(&all, whole);
    let export = Export::parse(&fs::read(out("all")).expect("it was exported")).expect("an export");
    assert!(holds(&export));
    for disclose in ["none", "public"] {
        let file = out(disclose);
        let done = home.nanohost(["export", &waiting.run, "-o", &file, "--disclose", disclose, "--json"]);
        counted(&done.exits(0), whole);
    }
    let warned = home.nanohost(["export", &waiting.run, "-o", &out("again"), "--disclose", "all"]).exits(0);
    assert!(warned.stderr.contains("holds the policy, and so the values of its [env]"), "{warned}");
}

//! Calls whose end nobody saw: what became of them is said from outside, by whoever may.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::crash::spinning;
use crate::database;
use crate::harness::{Done, Home};
use crate::tool::{Project, program};

/// A run of a call in doubt.
struct InDoubt<'h> {
    project: Project<'h>,
    run: String,
}

impl<'h> InDoubt<'h> {
    /// A run of `function` as a program whose step has `more` lines of its own.
    fn new(home: &'h Home, function: &str, more: &str) -> Self {
        let project = Project::new(home);
        project.make_external();
        let text =
            program(function).replace("outcome = \"called\"", &format!("{more}\noutcome = \"called\""));
        home.write("own/doubt.toml", text);
        let run = begin(&project);
        Self { project, run }
    }

    fn command(&self, command: &str, more: &[&str]) -> Done {
        self.project.home.nanohost([&[command, &self.run, "--json"], more].concat())
    }

    fn settle(&self, more: &[&str]) -> Done {
        self.command("settle", more)
    }

    /// What the tool is said to have returned.
    fn happened(&self, output: &str) -> Done {
        let file = self.project.home.write("output.json", output);
        self.settle(&["--happened", file.to_str().expect("UTF-8")])
    }

    fn verifies(&self, said: &str) {
        self.project.home.nanohost(["verify", &self.run]).exits(0).says(said);
    }

    /// The events of the run's steps, in order.
    fn events(&self) -> Vec<Value> {
        let envelopes = self.project.home.envelopes(&self.run);
        envelopes.iter().map(|envelope| envelope["predicate"]["step"]["event"].clone()).collect()
    }
}

fn begin(project: &Project<'_>) -> String {
    let document = project.run("doubt.toml").exits(4).json();
    assert_eq!(document["suspended"]["inDoubt"], true, "{document:#}");
    document["run"].as_str().expect("an id").to_owned()
}

#[test]
fn a_call_in_doubt_waits_to_be_settled() {
    let home = Home::new();
    let doubt = InDoubt::new(&home, "book-and-fault", "");
    let document = doubt.settle(&[]).exits(4).json();
    assert_eq!(document["question"]["inDoubt"], true, "{document:#}");
    assert_eq!(document["schema"]["type"], "integer", "what it returns: {document:#}");
    let before = home.envelopes(&doubt.run);
    let resumed = doubt.command("resume", &[]).finds(2, "not_suspended");
    let asked = home.nanohost(resumed.suggests()).exits(4);
    for way in ["--happened RESULT.json", "--did-not-happen", "--fail"] {
        let line = format!("nanohost settle {} {way}\n", &doubt.run[..12]);
        assert!(asked.stdout.contains(&line), "{line:?}: {asked}");
    }
    let token = doubt.command("token", &["--as", "robin"]).finds(2, "not_suspended");
    assert_eq!(token.suggests()[0], "settle", "{token}");
    let event = home.write("event.json", "0");
    doubt.command("resume", &["--event", event.to_str().expect("UTF-8")]).finds(2, "not_suspended");
    // What the tool cannot have returned did not happen.
    for output in ["-1", "\"0\"", "{}", "0.5"] {
        let misfit = doubt.happened(output).finds(2, "invalid_input");
        let help = misfit.json()["findings"][0]["help"].as_str().expect("help").to_owned();
        assert!(help.contains(&document["schema"].to_string()), "{misfit}");
    }
    doubt.happened("").finds(2, "not_json");
    doubt.settle(&["--fail", "--did-not-happen"]).exits(2);
    home.nanohost(["resume", "--due"]).exits(0).says("no expired runs");
    assert_eq!(home.envelopes(&doubt.run), before, "nothing changed");
    assert_eq!(home.state(&doubt.run), "suspended");
    doubt.verifies("suspended");

    // Where runs are listed it is not one that waits for an event.
    let settle = format!("nanohost settle {}", &doubt.run[..12]);
    home.nanohost(["list"]).exits(0).says("in doubt").says(&settle).omits("suspended");
    assert_eq!(home.runs()[0]["inDoubt"], true);
    home.nanohost(["recover", &doubt.run]).exits(4).says("in doubt").says(&settle);
    assert_eq!(home.envelopes(&doubt.run), before, "nothing changed");
    let settled = home.nanohost(["settle", &doubt.run, "--fail", "--as", "sam", "--reveal"]);
    settled.exits(1).says("may hold personal data");
    home.nanohost(["trace", &doubt.run]).exits(0).says("settled:failed by sam");
    assert_eq!(home.runs()[0]["inDoubt"], false);
    home.nanohost(["recover", &doubt.run]).exits(1).says("failed").omits("no interrupted runs");
    let quiet = home.nanohost(["recover", &doubt.run, "-q"]).exits(1);
    assert_eq!(quiet.stdout, format!("bookkeeping failed · run {}\n", doubt.run));
    assert_eq!(home.nanohost(["recover", "-q"]).exits(0).stdout, "");
}

#[test]
fn it_happened() {
    let home = Home::new();
    let doubt = InDoubt::new(&home, "book-and-fault", "");
    let document = doubt.happened("7").exits(0).json();
    assert_eq!((&document["status"], &document["output"]), (&json!("success"), &json!(7)), "{document:#}");
    assert_eq!(database::kv(&home), [], "the host wrote nothing for it");
    assert!(doubt.events().contains(&json!("settled:happened")), "{:?}", doubt.events());
    doubt.verifies("success");
    doubt.settle(&["--fail"]).finds(2, "not_suspended");
}

#[test]
fn it_did_not_happen() {
    let home = Home::new();
    let doubt = InDoubt::new(&home, "fault-at-first", "");
    let document = doubt.settle(&["--did-not-happen"]).exits(0).json();
    assert_eq!(document["status"], "success", "{document:#}");
    assert_eq!(database::kv(&home).len(), 1, "it was called again, and booked");
    assert!(doubt.events().contains(&json!("settled:did-not-happen")), "{:?}", doubt.events());
    doubt.verifies("success");

    // Where it goes wrong again, it is in doubt again.
    let home = Home::new();
    let doubt = InDoubt::new(&home, "book-and-fault", "");
    doubt.settle(&["--did-not-happen"]).exits(4);
    doubt.verifies("suspended");
    doubt.settle(&["--fail"]).exits(1);
    doubt.verifies("failed");
}

#[test]
fn nobody_can_tell() {
    let home = Home::new();
    // Neither `retry` nor `skip` applies to it.
    for rule in ["retry", "skip", "fail"] {
        let doubt = InDoubt::new(&home, "book-and-fault", &format!("on_error = \"{rule}\""));
        let document = doubt.settle(&["--fail"]).exits(1).json();
        assert_eq!(document["status"], "failed", "{document:#}");
        assert_eq!(document["error"], "in_doubt");
        assert!(doubt.events().contains(&json!("settled:failed")), "{:?}", doubt.events());
        doubt.verifies("failed");
    }
    assert_eq!(database::kv(&home), []);
}

/// A run that is ended with its call in doubt does not let it disappear.
#[test]
fn what_nobody_knows_of_a_cancelled_run_is_said() {
    let home = Home::new();
    let doubt = InDoubt::new(&home, "book-and-fault", "");
    let unknown = json!([{ "step": "call", "tool": "ledger" }]);
    let receipt = |doubt: &InDoubt<'_>| doubt.command("receipt", &[]).exits(0).json();
    assert_eq!(receipt(&doubt)["unknownCalls"], unknown);
    let cancelled = doubt.command("cancel", &["--reason", "no time"]).exits(0).json();
    assert_eq!(cancelled["unknownCalls"], unknown, "{cancelled:#}");
    assert_eq!(receipt(&doubt)["unknownCalls"], unknown);
    home.nanohost(["receipt", &doubt.run]).exits(0).says("whether the call of ledger in step call happened");

    let doubt = InDoubt { run: begin(&doubt.project), project: Project { home: &home } };
    let cancelled = home.nanohost(["cancel", &doubt.run, "--reason", "no time"]).exits(0);
    let said = "ledger of step call: this call ended without an answer";
    assert!(cancelled.stderr.contains(said), "{cancelled}");

    // Nothing is unknown of a call that somebody settled, and who did is said.
    let doubt = InDoubt { run: begin(&doubt.project), project: Project { home: &home } };
    doubt.happened("7").exits(0);
    let settled = receipt(&doubt);
    assert_eq!(settled["unknownCalls"], json!([]), "{settled:#}");
    assert_eq!(settled["answers"][0]["how"], "settled", "{settled:#}");
    let doubt = InDoubt { run: begin(&doubt.project), project: Project { home: &home } };
    doubt.settle(&["--fail"]).exits(1);
    assert_eq!(receipt(&doubt)["unknownCalls"], unknown, "nobody could tell");
}

/// Nor does one that the user ends from the keyboard.
#[test]
fn a_call_that_is_stopped_is_unknown() {
    let home = Home::new();
    let project = Project::new(&home);
    project.make_external();
    let (running, run) = spinning(&project, &[]);
    running.signal(Signal::INT);
    let document = running.end().exits(1).json();
    assert_eq!(document["status"], "cancelled", "{document:#}");
    let unknown = json!([{ "step": "call", "tool": "ledger" }]);
    assert_eq!(document["unknownCalls"], unknown, "{document:#}");
    let receipt = home.nanohost(["receipt", &run, "--json"]).exits(0).json();
    assert_eq!(receipt["unknownCalls"], unknown, "{receipt:#}");
}

#[test]
fn who_settles_is_who_may_resume() {
    let home = Home::new();
    let doubt = InDoubt::new(&home, "book-and-fault", "resume = { by = [\"robin\"] }");
    for who in ["local", "sam"] {
        let denied = doubt.settle(&["--fail", "--as", who]).finds(3, "resume_refused");
        assert_eq!(home.state(&doubt.run), "suspended", "{denied}");
    }
    doubt.settle(&["--fail", "--as", "robin"]).finds(3, "resume_refused");
    doubt.verifies("suspended");
    let token = doubt.command("token", &["--as", "robin"]).exits(0).json();
    let token = token["token"].as_str().expect("a token");
    doubt.settle(&["--fail", "--as", "robin", "--token", token]).exits(1);
    doubt.verifies("failed");
}

/// A call in doubt under an idempotency value, settled so; what a second run with that value does then.
#[track_caller]
fn second(settle: &[&str], settled: i32, check: impl FnOnce(Done)) {
    let home = Home::new();
    let doubt = InDoubt::new(&home, "fault-at-first", "idempotency = \"order-1\"");
    // Nobody knows yet: the second run calls nothing.
    let held = doubt.project.run("doubt.toml").exits(1).json();
    assert_eq!(held["steps"][0]["error"]["code"], "idempotency_held", "{held:#}");
    assert_eq!(database::kv(&home), []);
    home.write("seven.json", "7");
    doubt.settle(settle).exits(settled);
    let second = doubt.project.run("doubt.toml");
    let run = second.json()["run"].as_str().expect("an id").to_owned();
    check(second);
    for run in [&run, &doubt.run] {
        home.nanohost(["verify", run]).exits(0);
    }
}

#[test]
fn an_idempotency_value_is_settled_with_its_call() {
    second(&["--happened", "seven.json"], 0, |done| {
        let document = done.exits(0).json();
        assert_eq!((&document["output"], &document["steps"][0]["recorded"]), (&json!(7), &json!(true)));
    });
    second(&["--did-not-happen"], 0, |done| {
        let document = done.exits(0).json();
        assert_eq!((&document["output"], &document["steps"][0]["recorded"]), (&json!(0), &json!(true)));
    });
    // Nobody could tell, so the second run asks again.
    second(&["--fail"], 1, |done| {
        let document = done.exits(4).json();
        assert_eq!(document["suspended"]["inDoubt"], true, "{document:#}");
        assert_eq!(document["steps"][0]["error"]["code"], "idempotency_held", "{document:#}");
    });
}

/// A run that ended with its call in doubt leaves the question to the next run with its value.
fn left<'h>(home: &'h Home, end: &[&str]) -> InDoubt<'h> {
    let doubt = InDoubt::new(home, "fault-at-first", "idempotency = \"order-1\"");
    let ended = doubt.command(end[0], &end[1..]);
    assert!(["cancelled", "failed"].contains(&home.state(&doubt.run).as_str()), "{ended}");
    let run = begin(&doubt.project);
    assert_eq!(database::kv(home), [], "nothing was called");
    InDoubt { run, ..doubt }
}

const ENDS: [&[&str]; 2] = [&["cancel", "--reason", "no time"], &["settle", "--fail"]];

#[test]
fn what_a_closed_run_left_in_doubt_is_settled_in_the_next() {
    for end in ENDS {
        let home = Home::new();
        let doubt = left(&home, end);
        let document = doubt.happened("7").exits(0).json();
        assert_eq!(document["output"], 7, "{document:#}");
        assert_eq!(database::kv(&home), [], "the host called nothing");
        // From now on that is the answer.
        let third = doubt.project.run("doubt.toml").exits(0).json();
        assert_eq!((&third["output"], &third["steps"][0]["recorded"]), (&json!(7), &json!(true)));
        doubt.verifies("success");

        let home = Home::new();
        let doubt = left(&home, end);
        // It is called now, as its own second attempt: that books.
        doubt.settle(&["--did-not-happen"]).exits(0);
        assert_eq!(database::kv(&home).len(), 1);
        let third = doubt.project.run("doubt.toml").exits(0).json();
        assert_eq!(third["steps"][0]["recorded"], true, "{third:#}");
        doubt.verifies("success");

        let home = Home::new();
        let doubt = left(&home, end);
        doubt.settle(&["--fail"]).exits(1);
        begin(&doubt.project);
        doubt.verifies("failed");
    }
}

#[test]
fn two_runs_that_ask_the_same_question_call_once() {
    let home = Home::new();
    let doubt = left(&home, ENDS[0]);
    let other = InDoubt { run: begin(&doubt.project), project: Project { home: &home } };
    doubt.settle(&["--did-not-happen"]).exits(0);
    assert_eq!(database::kv(&home).len(), 1);
    // Settled meanwhile: the answer is there, and nothing is called a second time.
    let document = other.settle(&["--did-not-happen"]).exits(0).json();
    assert_eq!(document["steps"][0]["recorded"], true, "{document:#}");
    other.verifies("success");
    // What somebody says it returned stands in their run alone.
    let home = Home::new();
    let doubt = left(&home, ENDS[0]);
    let other = InDoubt { run: begin(&doubt.project), project: Project { home: &home } };
    doubt.happened("7").exits(0);
    assert_eq!(other.happened("8").exits(0).json()["output"], 8);
    assert_eq!(doubt.project.run("doubt.toml").exits(0).json()["output"], 7);
}

#[test]
fn functions_of_a_tool_share_no_idempotency_value() {
    let home = Home::new();
    let project = Project::new(&home);
    for (function, output) in [("book", json!(0)), ("add", json!(42))] {
        let key = program(function).replace("outcome", "idempotency = \"order-1\"\noutcome");
        let args = if function == "add" { "args = { a = 40, b = 2 }\noutcome" } else { "outcome" };
        home.write("own/keyed.toml", key.replace("outcome", args));
        for recorded in [Value::Null, json!(true)] {
            let document = project.run("keyed.toml").exits(0).json();
            assert_eq!(document["output"], output, "{document:#}");
            assert_eq!(
                document["steps"][0].get("recorded").cloned().unwrap_or_default() == json!(true),
                recorded == json!(true),
                "{document:#}"
            );
        }
    }
}

/// A program whose call has this idempotency value and these rules.
fn keyed(rules: &str) -> String {
    let more = format!("idempotency = \"order-1\"\n{rules}\noutcome = \"called\"");
    program("fault-at-first").replace("outcome = \"called\"", &more)
}

const BY: &str = "resume = { by = [\"robin\", \"sam\"] }";

#[test]
fn another_program_of_the_name_asks_nobody_else() {
    let home = Home::new();
    let doubt = InDoubt::new(&home, "fault-at-first", &format!("idempotency = \"order-1\"\n{BY}"));
    doubt.settle(&["--did-not-happen"]).finds(3, "resume_refused");
    doubt.command("cancel", &["--reason", "who cares"]).exits(0);
    // Without the rule nobody would have to answer for it: nothing is asked, and nothing called.
    for rules in ["", "resume = { by = [\"local\", \"sam\"] }"] {
        home.write("own/loose.toml", keyed(rules));
        let document = doubt.project.run("loose.toml").exits(1).json();
        assert_eq!(document["steps"][0]["error"]["code"], "idempotency_held", "{document:#}");
    }
    assert_eq!(database::kv(&home), []);
    // With it, who opened the first run has no say in the second either, whoever opens that.
    home.write("own/same.toml", keyed(BY));
    let args = doubt.project.args("same.toml");
    let document = home.nanohost(args.iter().map(String::as_str).chain(["--as", "sam"])).exits(4).json();
    let run = document["run"].as_str().expect("an id");
    home.nanohost(["settle", run, "--did-not-happen", "--as", "local"]).exits(3);
    let token = home.nanohost(["token", run, "--as", "robin", "--json"]).exits(0).json();
    let token = token["token"].as_str().expect("a token");
    let question = home.nanohost(["settle", run, "--as", "robin"]).exits(4);
    assert!(
        question.stdout.contains(&doubt.run[..12]),
        "who settles is told which run made the call: {question}"
    );
    home.nanohost(["settle", run, "--did-not-happen", "--as", "robin", "--token", token]).exits(0);
    assert_eq!(database::kv(&home).len(), 1);
    home.nanohost(["verify", run]).exits(0).says("success");
}

#[test]
fn who_opened_the_first_run_settles_it_in_no_other() {
    let home = Home::new();
    let project = Project::new(&home);
    project.make_external();
    home.write("own/same.toml", keyed(BY));
    let begin = |who: &str| {
        let args = project.args("same.toml");
        let document = home.nanohost(args.iter().map(String::as_str).chain(["--as", who])).exits(4).json();
        document["run"].as_str().expect("an id").to_owned()
    };
    let first = begin("robin");
    home.nanohost(["cancel", &first, "--reason", "mine"]).exits(0);
    let second = begin("local");
    let token = home.nanohost(["token", &second, "--as", "robin", "--json"]).exits(0).json();
    let token = token["token"].as_str().expect("a token");
    let settle = ["settle", &second, "--did-not-happen", "--as", "robin", "--token", token, "--json"];
    home.nanohost(settle).finds(3, "resume_refused");
    assert_eq!((home.state(&second).as_str(), database::kv(&home).len()), ("suspended", 0));
    home.nanohost(["verify", &second]).exits(0).says("suspended");
}

#[test]
fn evidence_that_does_not_verify_leaves_no_question() {
    let home = Home::new();
    let doubt = InDoubt::new(&home, "fault-at-first", "idempotency = \"order-1\"");
    database::execute(&home, "DELETE FROM content WHERE rowid = (SELECT max(rowid) FROM content)");
    doubt.project.run("doubt.toml").finds(5, "recorded_result_lost");
    assert_eq!(database::kv(&home), []);
}

#[test]
fn a_tool_that_became_idempotent_settles_what_it_left_before() {
    let home = Home::new();
    let doubt = InDoubt::new(&home, "fault-at-first", "idempotency = \"order-1\"");
    doubt.command("cancel", &["--reason", "no time"]).exits(0);
    // The same tool, vouched for.
    let project = Project::new(&home);
    let second = InDoubt { run: begin(&project), project };
    second.settle(&["--did-not-happen"]).exits(0);
    assert_eq!(database::kv(&home).len(), 1);
    second.verifies("success");
}

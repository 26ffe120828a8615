//! Models behind servers, as users meet them: granted by a policy, asked over HTTP, recorded,
//! verified; and servers that misbehave.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Done, Home, eventually};
use crate::model_server::{Act, ModelServer};

const KEY: &str = "sk-test-0123456789abcdef";

/// A program whose one step asks the model `fast`, with more lines for the step.
fn asking(more: &str) -> String {
    format!(
        "name = \"asking\"\nmodel = \"fast\"\n[inputs.text]\ntype = \"string\"\ndefault = \"hello\"\n\
         [[steps]]\nid = \"ask\"\ntype = \"llm\"\nprompt = \"say: $text\"\nsystem = \"be brief\"\n{more}\n"
    )
}

/// A user with a program and a policy that grants a model.
struct Asker {
    home: Home,
}

impl Asker {
    fn new(program: &str, policy: &str) -> Self {
        let home = Home::new();
        home.write("program.toml", program);
        home.write("policy.toml", policy);
        Self { home }
    }

    fn command(&self, command: &str, more: &[&str]) -> std::process::Command {
        let mut command = self.home.command([command, "program.toml", "--policy", "policy.toml"]);
        command.args(more).env("FAST_KEY", KEY);
        command
    }

    fn run(&self, more: &[&str]) -> Done {
        Done::of(self.command("run", more))
    }

    /// The document of a run that ends with this exit code, and whose evidence then verifies.
    fn document(&self, exit: i32) -> Value {
        let document = self.run(&["--json"]).exits(exit).json();
        self.home.nanohost(["verify", run_of(&document)]).exits(0).says("VERIFIED");
        document
    }

    /// The attempts of a run, as its envelopes hold them.
    fn attempts(&self, document: &Value) -> Vec<Value> {
        let trace = self.home.nanohost(["trace", run_of(document), "--json"]).exits(0).json();
        let envelopes = trace["envelopes"].as_array().expect("envelopes").clone();
        envelopes.into_iter().filter(|envelope| envelope["predicate"]["model"].is_object()).collect()
    }
}

fn run_of(document: &Value) -> &str {
    document["run"].as_str().expect("an id")
}

#[test]
fn a_model_is_asked_and_recorded() {
    let usage = json!({ "prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12, "cost": 0.00025 });
    let server = ModelServer::new([Act::counted("hi", &usage)]);
    let asker = Asker::new(
        &asking(""),
        &server.policy("fast", "key_env = \"FAST_KEY\"\ntemperature = 0.5\nseed = 7"),
    );
    let document = asker.document(0);
    assert_eq!(document["output"], "hi");
    assert_eq!(document["budget"]["tokens"], 12);
    assert_eq!(document["models"][0]["model"], "m-1");

    let [request] = server.requests().try_into().expect("one request");
    assert_eq!(request.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!((request.prompt(), request.system()), ("say: hello".into(), Some("be brief".into())));
    assert_eq!(request.json()["temperature"], 0.5);

    let [attempt] = asker.attempts(&document).try_into().expect("one attempt");
    let model = &attempt["predicate"]["model"];
    assert_eq!(
        (&model["alias"], &model["host"], &model["name"]),
        (&json!("fast"), &json!(server.origin()), &json!("m-1"))
    );
    assert_eq!(model["params"], json!({ "temperature": "0.5", "seed": 7 }));
    assert_eq!(
        (&model["tokens"], &model["cost"], &model["verdict"]),
        (&json!(12), &json!("0.00025"), &json!("accepted"))
    );
    assert_eq!(
        (&attempt["values"]["prompt"], &attempt["values"]["answer"]),
        (&json!("say: hello"), &json!("hi"))
    );

    // As an export it verifies without the store.
    let key = asker.home.public_key();
    for disclose in ["none", "all"] {
        let out = format!("{disclose}.jsonl");
        asker.home.nanohost(["export", run_of(&document), "-o", &out, "--disclose", disclose]).exits(0);
        asker.home.nanohost(["verify", &out, "--trust", key.to_str().expect("UTF-8")]).exits(0);
    }
}

#[test]
fn a_model_without_a_row_is_refused() {
    let server = ModelServer::new([Act::say("hi")]);
    let asker = Asker::new(&asking(""), &server.policy("slow", ""));
    let refused = asker.run(&[]).exits(3).says("not_granted").says("[models.fast]").says("base_url");
    assert!(refused.stderr.contains("step `ask` asks the model `fast`"), "{refused}");
    Done::of(asker.command("plan", &[])).exits(3).says("not_granted");
    let document = asker.document(3);
    assert_eq!(document["status"], "not_admitted");
    let trace = asker.home.nanohost(["trace", run_of(&document), "--json"]).exits(0).json();
    let denial = &trace["envelopes"][1]["predicate"]["denials"][0];
    assert_eq!((&denial["capability"], &denial["culprit"]), (&json!("model"), &json!("program")));
    assert_eq!(trace["envelopes"][1]["values"]["denied"], json!(["fast"]));

    // A policy that came along grants no model, whatever it says.
    asker.home.write("policies/local.toml", server.policy("fast", ""));
    asker.home.nanohost(["run", "program.toml"]).exits(3).says("untrusted_policy").says("to be trusted");
    assert!(server.requests().is_empty());
}

#[test]
fn a_check_and_a_plan_tell_which_models_are_asked() {
    let server = ModelServer::new([Act::say("hi")]);
    let asker = Asker::new(
        &asking(""),
        &server.policy("fast", "key_env = \"FAST_KEY\"\npii = \"never\"\nmax_tokens = 9"),
    );
    asker.home.nanohost(["check", "program.toml"]).exits(0).says("asks models").says("fast");
    let check = asker.home.nanohost(["check", "program.toml", "--json"]).exits(0).json();
    assert_eq!(check["models"], json!(["fast"]));

    // A reviewer needs no key.
    let mut plan = asker.command("plan", &[]);
    plan.env_remove("FAST_KEY");
    let plan = Done::of(plan).exits(0);
    for said in [
        "fast",
        "m-1",
        &server.base_url(),
        "from the variable FAST_KEY",
        "never",
        "max_tokens 9",
        "answer 1 MiB",
    ] {
        assert!(plan.stdout.contains(said), "{said:?} is not said by {plan}");
    }
    let plan = Done::of(asker.command("plan", &["--json"])).exits(0).json();
    assert_eq!(plan["tools"]["models"][0]["keyEnv"], "FAST_KEY");
    asker.home.write("policy.toml", server.policy("fast", "pii = \"never\"\nmax_tokens = 8"));
    let other = Done::of(asker.command("plan", &["--json"])).exits(0).json();
    assert_ne!(plan["table"], other["table"], "the row is part of the table");
    assert!(server.requests().is_empty());
}

#[test]
fn what_servers_do_fails_the_step_with_its_code() {
    let elsewhere = ModelServer::new([Act::say("hi")]);
    let to = vec![("Location", format!("{}/chat/completions", elsewhere.base_url()))];
    for (act, code) in [
        (Act::Status(401), "model_unauthorized"),
        (Act::Status(404), "model_refused"),
        (Act::Status(500), "model_unavailable"),
        (Act::Status(429), "model_rate_limited"),
        (Act::Full(307, to, String::new()), "model_redirected"),
        (Act::Cut, "model_cut_off"),
        (Act::Endless, "model_answer_too_large"),
        (Act::Body("<html>".into()), "model_answer_invalid"),
    ] {
        let server = ModelServer::new([act]);
        let asker = Asker::new(&asking(""), &server.policy("fast", "key_env = \"FAST_KEY\""));
        let document = asker.document(1);
        assert_eq!(document["steps"][0]["error"]["code"], code, "{document:#}");
        assert_eq!(document["error"], "step_failed");
        assert_eq!(server.requests().len(), 1, "{code}");
    }
    assert!(elsewhere.requests().is_empty(), "nobody follows");
}

#[test]
fn what_may_pass_is_tried_again() {
    let server = ModelServer::new([Act::Status(500), Act::say("hi")]);
    let asker = Asker::new(&asking("on_error = \"retry\""), &server.policy("fast", ""));
    let document = asker.document(0);
    assert_eq!((&document["output"], server.requests().len()), (&json!("hi"), 2));
    let verdicts: Vec<Value> =
        asker.attempts(&document).into_iter().map(|it| it["predicate"]["model"]["verdict"].clone()).collect();
    assert_eq!(verdicts, ["failed", "accepted"]);

    // What may not is not.
    let server = ModelServer::new([Act::Status(400), Act::say("hi")]);
    let asker = Asker::new(&asking("on_error = \"retry\""), &server.policy("fast", ""));
    assert_eq!(asker.document(1)["steps"][0]["error"]["code"], "model_refused");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn retry_after_is_honoured() {
    let wait = vec![("Retry-After", "2".to_owned())];
    let server = ModelServer::new([Act::Full(429, wait, String::new()), Act::say("hi")]);
    let asker = Asker::new(&asking("on_error = \"retry\""), &server.policy("fast", ""));
    asker.document(0);
    let [first, second] = server.requests().try_into().expect("two requests");
    // The machine's own pause would be a second at most.
    assert!(second.at - first.at >= Duration::from_secs(2));
}

#[test]
fn usage_that_cannot_be_is_estimated() {
    for usage in [
        json!({ "prompt_tokens": -1, "completion_tokens": "2" }),
        json!({ "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 1e300 }),
    ] {
        let server = ModelServer::new([Act::counted("hi", &usage)]);
        let asker = Asker::new(&asking(""), &server.policy("fast", ""));
        let budget = asker.document(0)["budget"].clone();
        assert_eq!(budget["tokens"], 0);
        // "say: hello", "be brief" and "hi": twenty bytes.
        assert_eq!(budget["estimatedTokens"], 5);
    }
}

#[test]
fn a_block_asks_side_by_side() {
    // Neither is answered before both are there.
    let both = Arc::new(Barrier::new(2));
    let server = ModelServer::new([Act::Meet(both, "hi".into())]);
    let sub =
        |id: &str| format!("[[steps.parallel_steps]]\nid = \"{id}\"\ntype = \"llm\"\nprompt = \"{id}\"\n");
    let program = format!(
        "name = \"both\"\nmodel = \"fast\"\n[inputs]\n[[steps]]\nid = \"p\"\ntype = \"parallel\"\n{}{}",
        sub("a"),
        sub("b")
    );
    let asker = Asker::new(&program, &server.policy("fast", ""));
    assert_eq!(asker.document(0)["output"], json!({ "a": "hi", "b": "hi" }));
}

#[test]
fn a_step_does_not_wait_longer_than_it_says() {
    let server = ModelServer::new([Act::Hang]);
    let step = "timeout_seconds = 0.2\nallowed_outputs = [\"yes\", \"no\"]\nfallback = \"no\"\n";
    let asker = Asker::new(&asking(&format!("{step}on_timeout = \"fallback\"")), &server.policy("fast", ""));
    let document = asker.document(0);
    assert_eq!(document["output"], "no");
    assert_eq!(asker.attempts(&document)[0]["predicate"]["model"]["verdict"], "timed-out");
    eventually("the end of the request", || (server.abandoned() == 1).then_some(()));

    let asker = Asker::new(&asking("timeout_seconds = 0.2"), &server.policy("fast", ""));
    assert_eq!(asker.document(1)["error"], "llm_timeout");
    let asker = Asker::new(&asking(""), &server.policy("fast", "timeout = \"200ms\""));
    assert_eq!(asker.document(1)["steps"][0]["error"]["code"], "model_timeout");
}

#[test]
fn a_stopped_run_waits_for_no_model() {
    let server = ModelServer::new([Act::Hang]);
    let asker = Asker::new(&asking(""), &server.policy("fast", ""));
    let running = asker.home.start(["run", "program.toml", "--policy", "policy.toml", "--json"]);
    eventually("the request", || (!server.requests().is_empty()).then_some(()));
    let begin = Instant::now();
    running.signal(Signal::INT);
    let document = running.end().exits(1).json();
    assert_eq!(document["status"], "cancelled");
    assert!(begin.elapsed() < Duration::from_secs(60), "the model's own time is twice that");
    eventually("the end of the request", || (server.abandoned() == 1).then_some(()));
    asker.home.nanohost(["verify", run_of(&document)]).exits(0);
}

#[test]
fn without_its_key_nothing_begins() {
    let server = ModelServer::new([Act::say("hi")]);
    let asker = Asker::new(&asking(""), &server.policy("fast", "key_env = \"FAST_KEY\""));
    for (value, code) in [(None, "model_key_missing"), (Some("short"), "model_key_invalid")] {
        let mut command = asker.command("run", &[]);
        match value {
            Some(value) => command.env("FAST_KEY", value),
            None => command.env_remove("FAST_KEY"),
        };
        Done::of(command).exits(2).says(code).says("FAST_KEY");
    }
    assert!(server.requests().is_empty());
    assert!(asker.home.runs().is_empty(), "no run was opened");
}

#[test]
fn the_key_is_nowhere() {
    // Even a server that repeats it, in a complaint and in an answer, does not bring it there; nor
    // does one that writes it as JSON may, each character by its number.
    let numbered: String = KEY.chars().map(|c| format!("\\u{:04X}", u32::from(c))).collect();
    let complaint = |form: &str| {
        let body = format!(r#"{{"error":{{"message":"your key is {form}"}},"key":"{form}"}}"#);
        Act::Full(503, Vec::new(), body)
    };
    let twice = complaint(&numbered.replace('\\', r"\\"));
    let server =
        ModelServer::new([complaint(KEY), Act::say("hi"), twice, Act::say(&format!("I know {KEY}"))]);
    let asker = Asker::new(&asking("on_error = \"retry\""), &server.policy("fast", "key_env = \"FAST_KEY\""));
    for command in ["plan", "run"] {
        Done::of(asker.command(command, &[])).exits(0).omits(KEY);
    }
    asker.run(&["--json"]).exits(1).says("model_key_echo").omits(KEY);
    assert_eq!(server.requests().len(), 4);
    for run in asker.home.runs() {
        let run = run_of(&run);
        for command in ["trace", "receipt", "verify"] {
            asker.home.nanohost([command, run]).exits(0).omits(KEY);
        }
        asker.home.nanohost(["trace", run, "--json"]).exits(0).omits(KEY).omits("u0039").says("hello");
        asker.home.nanohost(["export", run, "-o", &format!("{run}.jsonl"), "--disclose", "all"]).exits(0);
    }
    let mut looked = 0;
    let mut folders = vec![asker.home.path("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it can be read").flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else {
                for form in [KEY, &numbered] {
                    assert!(!holds(&entry.path(), form), "{} holds the key", entry.path().display());
                }
                looked += 1;
            }
        }
    }
    assert!(looked > 5, "store, keys, exports: {looked} files");
}

/// Whether a file holds the text, plainly or as base64 at any of its three phases.
fn holds(path: &Path, text: &str) -> bool {
    let bytes = fs::read(path).expect("it can be read");
    let plain = bytes.windows(text.len()).any(|window| window == text.as_bytes());
    plain
        || String::from_utf8_lossy(&bytes).lines().any(|line| {
            // The lines of an export hold envelopes and values in base64.
            let Ok(line) = serde_json::from_str::<Value>(line) else { return false };
            ["payload", "bytes"].iter().any(|member| {
                line[member].as_str().is_some_and(|encoded| {
                    let decoded = decode(encoded);
                    decoded.windows(text.len()).any(|window| window == text.as_bytes())
                })
            })
        })
}

/// Base64, as exports write it.
fn decode(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u8> = text.bytes().filter_map(value).collect();
    digits
        .chunks(4)
        .flat_map(|chunk| {
            let bits = chunk.iter().fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit))
                << (6 * (4 - chunk.len()));
            bits.to_be_bytes()[1..chunk.len()].to_vec()
        })
        .collect()
}

#[test]
fn https_is_spoken_and_a_stranger_is_not() {
    // The server here speaks no TLS: there is no connection, and no prompt goes anywhere.
    let server = ModelServer::new([Act::say("hi")]);
    let policy = server.policy("fast", "key_env = \"FAST_KEY\"").replace("http://", "https://");
    let asker = Asker::new(&asking(""), &policy);
    assert_eq!(asker.document(1)["steps"][0]["error"]["code"], "model_unreachable");
    assert!(server.requests().iter().all(|request| request.body.is_empty()));
}

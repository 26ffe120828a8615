//! Personal data, secrets and governance data: what the server of a model is sent, what the user
//! sees, what leaves with an export, and what the tools are given all the same.

use std::fs;

use nanohost_core::export::Export;
use serde_json::{Value, json};

use crate::harness::{Done, Home};
use crate::model_server::{Act, ModelServer};

/// What nobody but the tools may see. The first two stand in the order book at marked places.
const PERSONAL: [&str; 8] = [
    "Mira Halvorsen",
    "mira.halvorsen@example.com",
    "mira@private.example",
    "+49 170 1234567",
    "4111 1111 1111 1111",
    "DE02120300000000202051",
    "refund-key-7",
    "the back door",
];

const PROGRAM: &str = r#"
name = "customer_refund"
model = "fast"
pii = ["$find_order.item", "$request.address"]
pii_detectors = ["email", "phone", "card"]

[inputs.request]
type = "object"
properties.iban = { type = "string", pii = true }

[tools.find_order]
path = "../../tools/read-orders"
function = "find-order"

[tools.write_letter]
path = "../../tools/write-letter"

[[steps]]
id = "find_order"
type = "tool"
args = { order_id = "A-1001" }
output_key = "order"

[[steps]]
id = "ask"
type = "llm"
system = "You write for $order.customer.name. The key is $request.key."
prompt = "Order: $order. Request: $request. Name again: ${request.said}."
output_key = "answer"

[[steps]]
id = "letter"
type = "tool"
tool = "write_letter"
args = { order_id = "A-1001", customer_name = "$order.customer.name", reason = "$request.said $request.address" }

[[steps]]
id = "both"
type = "parallel"

[[steps.parallel_steps]]
id = "again"
type = "llm"
prompt = "You said: $answer. The letter: $letter."

[[steps.parallel_steps]]
id = "wrong"
type = "tool"
tool = "write_letter"
on_error = "skip"
args = { order_id = "not for mira@private.example", customer_name = "$order.customer.name", reason = "x" }
"#;

const REQUEST: &str = r#"{
  "said": "I am mira halvorsen, mira@private.example, +49 170 1234567, 4111 1111 1111 1111.",
  "iban": "DE02120300000000202051",
  "copy": "iban de02120300000000202051",
  "address": "the back door",
  "key": "vault://secret/refund-key-7",
  "open": "kettle"
}"#;

/// A user of the refund desk, whose model is behind a server.
struct Desk {
    home: Home,
}

impl Desk {
    fn new(server: &ModelServer, more: &str) -> Self {
        let home = Home::new();
        let examples = home.examples();
        let policy = fs::read_to_string(examples.policy()).expect("a policy");
        fs::write(examples.policy(), format!("{policy}\n{}", server.policy("fast", more))).expect("writable");
        fs::write(examples.path("refund/personal.toml"), PROGRAM).expect("writable");
        Self { home }
    }

    fn run(&self, more: &[&str]) -> Done {
        let request = format!("request:={REQUEST}");
        self.home.examples().run("refund/personal.toml", &[&["--input", request.as_str()], more].concat())
    }
}

/// Nothing of it, however it is written.
fn assert_clean(what: &str, text: &str) {
    let lower = text.to_lowercase();
    for personal in PERSONAL {
        assert!(!lower.contains(&personal.to_lowercase()), "{what} holds {personal}:\n{text}");
    }
}

#[test]
fn personal_data_stays_with_the_tools() {
    let answer = "Mira Halvorsen (mira@private.example) wants her kettle at the back door.";
    let server = ModelServer::new([Act::say(answer)]);
    let desk = Desk::new(&server, "");
    let shown = desk.run(&[]).exits(0);
    let document = desk.run(&["--json"]).exits(0);
    let run = document.json()["run"].as_str().expect("an id").to_owned();
    let run = run.as_str();

    // What was sent: the whole request, headers apart.
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    let table = document.json()["evidence"]["table"].as_str().expect("a digest").to_owned();
    for request in &requests {
        let body = String::from_utf8(request.body.clone()).expect("UTF-8");
        assert_clean("a request", &body);
        for governance in
            [run, &table, "customer_refund", "refund-order-book", "max_steps", "retries", "envelope"]
        {
            assert!(!body.contains(governance), "{governance}: {body}");
        }
    }
    assert!(requests[0].prompt().contains("\"total_cents\":4990"), "{}", requests[0].prompt());
    assert!(requests[0].prompt().contains("\"open\":\"kettle\""), "{}", requests[0].prompt());
    assert_eq!(requests[0].system().as_deref(), Some("You write for [REDACTED_PII]. The key is [SECRET]."));

    // What the tool was given.
    let letter =
        fs::read_to_string(desk.home.examples().path("refund/letters/A-1001.txt")).expect("a letter");
    for given in ["Dear Mira Halvorsen", "mira@private.example", "the back door"] {
        assert!(letter.contains(given), "{letter}");
    }

    // What the user sees.
    let trace = desk.home.nanohost(["trace", run]).exits(0);
    let trace_json = desk.home.nanohost(["trace", run, "--json"]).exits(0);
    for (what, done) in
        [("run", &shown), ("run --json", &document), ("trace", &trace), ("trace --json", &trace_json)]
    {
        assert_clean(what, &done.stdout);
        assert_clean(what, &done.stderr);
    }
    assert!(trace.stdout.contains("[REDACTED_PII]"), "{}", trace.stdout);
    let revealed = desk.home.nanohost(["trace", run, "--json", "--reveal"]).exits(0);
    assert!(revealed.stderr.contains("personal data"), "{}", revealed.stderr);
    for personal in ["Mira Halvorsen", "vault://secret/refund-key-7", "the back door"] {
        assert!(revealed.stdout.contains(personal), "{personal}");
    }
    assert!(desk.run(&["--reveal"]).exits(0).stdout.contains("Mira Halvorsen"));
    desk.home.nanohost(["verify", run]).exits(0).says("VERIFIED");
}

#[test]
fn a_public_export_holds_what_is_not_personal() {
    let server = ModelServer::new([Act::say("fine"), Act::say("for Mira Halvorsen")]);
    let desk = Desk::new(&server, "");
    let run = desk.run(&["--json"]).exits(0).json();
    let run = run["run"].as_str().expect("an id");
    let out = desk.home.path("public.jsonl");
    let path = out.to_str().expect("UTF-8");
    let exported = desk.home.nanohost(["export", run, "-o", path]).exits(0);
    assert!(
        exported.stderr.contains("withheld, since they hold personal data: 0/input"),
        "{}",
        exported.stderr
    );
    let export = Export::parse(&fs::read(&out).expect("it was exported")).expect("an export");
    for content in export.contents.iter().filter(|content| !content.role.is_document()) {
        assert_clean(content.role.as_str(), &String::from_utf8_lossy(&content.bytes));
    }
    let disclosed = |text: &str| {
        export.contents.iter().any(|content| content.bytes == serde_json::to_vec(text).expect("JSON"))
    };
    assert!(disclosed("fine") && !disclosed("for Mira Halvorsen"));
    let prompts = export.contents.iter().filter(|content| content.role.as_str() == "prompt");
    assert_eq!(prompts.count(), 2, "prompts are projected as they are");
    let key = desk.home.public_key();
    let verify = ["verify", path, "--trust", key.to_str().expect("UTF-8")];
    desk.home.nanohost(verify).exits(0).says("VERIFIED IN PART").says("shape only where one of");
    let strict = desk.home.nanohost(verify.iter().chain(&["--strict", "--json"])).exits(11).json();
    assert_eq!((&strict["good"], &strict["partial"]), (&json!(false), &json!(true)), "{strict:#}");
    assert!(strict["withheld"].as_u64() > Some(0), "{strict:#}");
    // What is withheld from nobody is verified as a whole.
    let all = desk.home.path("all.jsonl");
    let all = all.to_str().expect("UTF-8");
    desk.home.nanohost(["export", run, "-o", all, "--disclose", "all"]).exits(0);
    desk.home.nanohost(["verify", all, "--strict"]).exits(0).omits("IN PART");
}

#[test]
fn a_model_that_may_never_see_personal_data_is_not_asked() {
    let server = ModelServer::new([Act::say("fine")]);
    let desk = Desk::new(&server, "pii = \"never\"");
    let document = desk.run(&["--json"]).exits(3).json();
    assert_eq!(document["error"], "authority");
    let step = |document: &Value, id: &str| {
        let steps = document["steps"].as_array().expect("steps").clone();
        steps.into_iter().find(|step| step["id"] == id).expect("the step")
    };
    assert_eq!(step(&document, "ask")["error"]["code"], "personal_data");
    assert!(server.requests().is_empty());
    desk.home.nanohost(["verify", document["run"].as_str().expect("an id")]).exits(0).says("VERIFIED");
}

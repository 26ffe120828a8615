//! A tool that asks a service over HTTP, from manifest to evidence, with a key that it never holds.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Done, Home, built_component, repository};
use crate::model_server::{Act, ModelServer};

const KEY: &str = "an-example-key-0123456789";

/// The example, with the service wherever a test has it.
pub(crate) struct Desk {
    pub(crate) home: Home,
    pub(crate) server: ModelServer,
}

impl Desk {
    pub(crate) fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        let home = Home::new();
        let server = ModelServer::new(acts);
        let port = server.origin().rsplit(':').next().expect("a port").to_owned();
        let text = |path: &str| {
            let text = fs::read_to_string(repository().join(path)).expect("a file of the repository");
            text.replace("8379", &port).replace("../../tools", "tools")
        };
        home.write("own/program.toml", text("examples/http-refund/program.toml"));
        home.write("own/policy.toml", text("examples/http-refund/policy.toml"));
        home.write("own/tools/refund-api/manifest.toml", text("tools/refund-api/manifest.toml"));
        let component = fs::read(built_component("refund_api")).expect("it was built");
        home.write("own/tools/refund-api/component.wasm", component);
        let value = home.write("value", KEY);
        Done::fed(home.command(["secret", "set", "refund-key"]), &value).exits(0);
        Self { home, server }
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.home.path("own").join(file);
        let text = fs::read_to_string(&path).expect("a file");
        assert!(text.contains(from), "{file}: {from}");
        fs::write(path, text.replace(from, to)).expect("written");
    }

    pub(crate) fn run(&self) -> Done {
        let args = ["run", "own/program.toml", "--policy", "own/policy.toml", "--json"];
        let mut command = self.home.command(args);
        // Nobody is there: who asked a proxy would not get an answer.
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            command.env(name, "http://127.0.0.1:9");
        }
        Done::of(command)
    }

    /// Everything of a run that can be shown, none of which holds the key.
    fn evidence(&self, document: &Value) -> String {
        let run = document["run"].as_str().expect("an id");
        self.home.nanohost(["verify", run]).exits(0).says("VERIFIED");
        let file = self.home.path(format!("{run}.jsonl"));
        let file = file.to_str().expect("UTF-8");
        self.home.nanohost(["export", run, "--disclose", "all", "--output", file]).exits(0);
        let trace = self.home.nanohost(["trace", run, "--json", "--reveal"]).exits(0).omits(KEY);
        let all = format!("{}{}", trace.stdout, fs::read_to_string(file).expect("a file"));
        assert!(!all.contains(KEY));
        all
    }
}

pub(crate) fn booked() -> Act {
    Act::Full(201, Vec::new(), "{\"refund\":\"R-1\"}".to_owned())
}

#[test]
fn a_refund_is_booked_and_recorded() {
    let desk = Desk::new([booked()]);
    let document = desk.run().exits(0).omits(KEY).json();
    assert_eq!(document["output"]["status"], 201);
    let [request] = desk.server.requests().try_into().expect("one request");
    assert_eq!(request.line, "POST /v1/refunds HTTP/1.1");
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert!(request.header("idempotency-key").is_some_and(|key| !key.is_empty()));
    assert_eq!(request.json(), json!({ "order_id": "A-1001", "amount_cents": 4990 }));

    desk.evidence(&document);
    let envelopes = desk.home.envelopes(document["run"].as_str().expect("an id"));
    let used: Vec<&Value> = envelopes
        .iter()
        .filter_map(|envelope| envelope["predicate"]["used"].as_array())
        .flatten()
        .filter(|used| used["capability"] != "env")
        .collect();
    let scopes: Vec<&str> = used.iter().filter_map(|used| used["scope"].as_str()).collect();
    let http = format!("POST {}/v1/refunds", desk.server.origin());
    assert_eq!(scopes, [http.as_str(), "refund-key in authorization of POST 127.0.0.1/v1/refunds"]);
}

#[test]
fn what_the_policy_does_not_permit_is_refused_before_anything_runs() {
    for (from, to) in [
        ("path = \"/v1/refunds\"", "path = \"/v2/refunds\""),
        ("methods = [\"POST\"]", "methods = [\"PUT\"]"),
        ("header = \"Authorization\"", "header = \"X-Key\""),
        ("name = \"refund-key\"", "name = \"other-key\""),
    ] {
        let desk = Desk::new([booked()]);
        desk.edit("policy.toml", from, to);
        desk.run().exits(3).says("not_granted");
        assert_eq!(desk.server.requests().len(), 0, "{to}");
    }
}

/// The component asks for more than its manifest says: that is refused while it runs, and recorded.
#[test]
fn another_path_is_refused_and_recorded() {
    let desk = Desk::new([booked()]);
    for file in ["policy.toml", "tools/refund-api/manifest.toml"] {
        desk.edit(
            file,
            "methods = [\"POST\"], path = \"/v1/refunds\" }]\nsecrets",
            "methods = [\"POST\"], path = \"/v2/refunds\" }]\nsecrets",
        );
    }
    let document = desk.run().exits(3).json();
    assert_eq!(desk.server.requests().len(), 0);
    let evidence = desk.evidence(&document);
    assert!(evidence.contains(&format!("POST {}/v1/refunds", desk.server.origin())));
    assert!(evidence.contains("grant:http"));
}

#[test]
fn an_answer_that_repeats_the_key_is_never_seen() {
    let desk = Desk::new([Act::Full(201, Vec::new(), format!("you said Bearer {KEY}"))]);
    let document = desk.run().exits(1).omits(KEY).json();
    let evidence = desk.evidence(&document);
    assert!(evidence.contains("secret_echo"));
}

//! The vetted tools of `tools/`: the cases beside them, and what they make in the hands of programs and
//! services that nobody here wrote.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::harness::{Done, Home, built_component, built_tools, repository};
use crate::interop;

const VETTED: [&str; 10] = [
    "csv-table",
    "fetch-page",
    "json-query",
    "read-folder",
    "render-text",
    "stripe-payments",
    "text-digest",
    "validate-json",
    "write-folder",
    "write-pdf",
];

#[test]
fn the_cases_of_every_tool_hold() {
    let home = Home::new();
    let tools = built_tools();
    let with_cases = fs::read_dir(&tools).expect("the tools").filter_map(|entry| {
        let path = entry.expect("an entry").path();
        path.join("tests").is_dir().then_some(path)
    });
    let mut names = Vec::new();
    for path in with_cases {
        let done = home.nanohost(["tool".as_ref(), "test".as_ref(), path.as_os_str(), "--json".as_ref()]);
        let document = done.exits(0).json();
        assert!(document["cases"].as_array().is_some_and(|cases| !cases.is_empty()), "{document:#}");
        // Nothing about it is careless, but that a page may lie at any path.
        let lint = home.nanohost(["tool".as_ref(), "lint".as_ref(), path.as_os_str(), "--strict".as_ref()]);
        let is_vetted = VETTED.iter().any(|name| path.ends_with(name));
        if path.ends_with("fetch-page") {
            let done = lint.exits(1).says("wildcard_path");
            assert!(
                !done.stderr.contains("doubtful_effect") && !done.stdout.contains("doubtful_effect"),
                "{done}"
            );
        } else if is_vetted {
            lint.exits(0);
        }
        names.push(path.file_name().expect("a name").to_string_lossy().into_owned());
    }
    // Each has cases, and is on the page about them.
    let page = fs::read_to_string(repository().join("tools/README.md")).expect("the page");
    for name in VETTED {
        assert!(names.iter().any(|with_cases| with_cases == name), "{name}");
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

/// A library that reads PDF finds the orders of the customer, and nobody else's.
#[test]
fn a_statement_is_a_pdf() {
    let home = Home::new();
    let examples = home.examples();
    let mut files = Vec::new();
    for _ in 0..2 {
        let document = examples.run_json("statement/program.toml", 0, &[]);
        assert_eq!(document["output"]["path"], "C-7.pdf", "{document:#}");
        files.push(fs::read(examples.path("statement/statements/C-7.pdf")).expect("it was written"));
    }
    assert_eq!(files[0], files[1], "the same document is the same file");
    let script = "import pypdf, sys\nread = pypdf.PdfReader(sys.argv[1], strict=True)\n\
                  print(len(read.pages), read.metadata.title)\nprint(read.pages[0].extract_text())";
    let output = Command::new(interop::python())
        .args(["-I", "-c", script])
        .arg(examples.path("statement/statements/C-7.pdf"))
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.starts_with("1 Statement for C-7\n"), "{text}");
    for there in ["Together: 58.65 EUR.", "A-1001", "Tea, 250 g", "8.75"] {
        assert!(text.contains(there), "{there}: {text}");
    }
    for elsewhere in ["A-1002", "A-1003", "Cup"] {
        assert!(!text.contains(elsewhere), "{elsewhere}: {text}");
    }
}

const KEY: &str = "sk_test_0123456789abcdef";

/// `localstripe`, a stand-in for Stripe that others maintain.
struct Stripe {
    child: Child,
    port: u16,
}

impl Stripe {
    fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("there is a free port").port();
        let mut child = Command::new(interop::python())
            .args(["-I", "-u", "-m", "localstripe", "--from-scratch", "--port", &port.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let mut lines =
            BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let ready = lines.any(|line| line.contains("Running on"));
        assert!(ready, "it listens");
        // It goes on saying what it is asked, and ends where nobody hears it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port }
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PROGRAM: &str = r#"
name = "checkout"
max_steps = 4
[inputs.order_id]
type = "string"
[tools.create_payment]
path = "tools/stripe-payments"
[tools.find_payment]
path = "tools/stripe-payments"
[tools.refund_payment]
path = "tools/stripe-payments"
[[steps]]
id = "create"
type = "tool"
tool = "create_payment"
args = { order_id = "$order_id", amount = 1250, currency = "eur" }
[[steps]]
id = "find"
type = "tool"
tool = "find_payment"
args = { payment_id = "$create.id" }
output_key = "payment"
[[steps]]
id = "refund"
type = "tool"
tool = "refund_payment"
args = { payment_id = "$create.id", amount = 1250 }
"#;

#[test]
fn payments_are_taken_by_a_service_of_others() {
    let stripe = Stripe::start();
    let home = Home::new();
    let origin = format!("http://127.0.0.1:{}", stripe.port);
    let (there, here) = (
        r#"scheme = "https", host = "api.stripe.com""#,
        format!(r#"scheme = "http", host = "127.0.0.1", port = {}"#, stripe.port),
    );
    let manifest =
        fs::read_to_string(repository().join("tools/stripe-payments/manifest.toml")).expect("it is there");
    assert!(manifest.contains(there));
    let manifest =
        manifest.replace(there, &here).replace(r#"host = "api.stripe.com""#, r#"host = "127.0.0.1""#);
    // Looking at it builds it, where nothing else has yet.
    let tool = built_tools().join("stripe-payments");
    home.nanohost(["tool".as_ref(), "inspect".as_ref(), tool.as_os_str()]).exits(0);
    home.write("tools/stripe-payments/manifest.toml", manifest);
    home.write(
        "tools/stripe-payments/component.wasm",
        fs::read(built_component("stripe_payments")).expect("it was built"),
    );
    home.write("program.toml", PROGRAM);
    let policy = format!(
        "[[permit]]\nid = \"shop\"\nreason = \"sells\"\nowner = \"shop\"\nprogram = \"checkout\"\ntool = \"stripe-payments\"\n\
         env = [\"STRIPE_API\"]\nhttp = [{{ {here}, methods = [\"GET\", \"POST\"], path = \"/v1/**\" }}]\n\
         secrets = [{{ name = \"stripe-key\", header = \"Authorization\", host = \"127.0.0.1\", methods = [\"GET\", \"POST\"], path = \"/v1/**\" }}]\n\
         [env.stripe-payments]\nSTRIPE_API = \"{origin}\"\n"
    );
    home.write("policy.toml", policy);
    let value = home.write("value", KEY);
    Done::fed(home.command(["secret", "set", "stripe-key"]), &value).exits(0);

    // Nobody has paid, so nothing can go back: the service says so, and the step fails.
    let document = home
        .nanohost(["run", "program.toml", "--policy", "policy.toml", "--input", "order_id=A-1", "--json"])
        .exits(1)
        .json();
    let run = document["run"].as_str().expect("an id");
    let trace = home.nanohost(["trace", run, "--json"]).exits(0).json();
    let payment: Vec<&Value> = trace["envelopes"]
        .as_array()
        .expect("envelopes")
        .iter()
        .filter_map(|envelope| envelope["values"].get("output"))
        .collect();
    assert_eq!(payment.len(), 2, "{trace:#}");
    assert_eq!(payment[0]["id"], payment[1]["id"]);
    assert!(payment[0]["id"].as_str().expect("an id").starts_with("pi_"), "{trace:#}");
    assert_eq!((&payment[1]["amount"], &payment[1]["currency"]), (&1250.into(), &"eur".into()));
    let file = home.path("run.jsonl");
    let file = file.to_str().expect("UTF-8");
    home.nanohost(["export", run, "--disclose", "all", "--output", file]).exits(0);
    assert!(!fs::read_to_string(file).expect("it is there").contains(KEY));
}

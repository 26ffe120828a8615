//! Secrets that the host puts where they are granted; guests that would have them elsewhere, and
//! servers that send them back.

use std::io::{self, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use nanohost_core::Class;
use nanohost_sandbox::{CallReport, Engine, FaultCode, Network, SecretValues, Tool};
use serde_json::{Value, json};

use crate::bench::{Asks, call, denied, engine, fault, guest, plan, success, tool_error, tool_in};
use crate::http_server::{Identity, Names, Seen, Server, ok};

const SECRET: &str = "s3cr3t/+value=0123456789";

/// A server behind TLS under a name, and what is granted about it.
struct Desk {
    server: Server,
    engine: Engine,
    asks: Asks,
}

impl Desk {
    fn new(answer: impl Fn(&Seen, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static) -> Self {
        let identity = Identity::of("api.test");
        let server = Server::secure(&identity, answer);
        let names = Names::new([("api.test", &[&["127.0.0.1"]]), ("other.test", &[&["127.0.0.1"]])]);
        let network = Network::system().with_resolver(names);
        let network = network.with_certificates(&[identity.certificate()]).expect("a certificate");
        let rule = |scheme: &str, host: &str, more: &str| {
            format!(
                "{{ scheme = \"{scheme}\", host = \"{host}\", port = {}, methods = [\"GET\", \"POST\"], path = \"/**\"{more} }}",
                server.port()
            )
        };
        let http = |more: &str| {
            let rules = [
                rule("https", "api.test", more),
                rule("https", "other.test", more),
                rule("http", "api.test", more),
            ];
            format!("http = [{}]", rules.join(", "))
        };
        let secrets = "secrets = [{ name = \"refund-key\", header = \"Authorization\", host = \"api.test\", methods = [\"POST\"], path = \"/v1/**\" }]";
        let asks = Asks {
            capabilities: format!("{}\n{secrets}", http("")),
            permits: Some(format!("{}\n{secrets}", http(", private = true"))),
            ..Asks::default()
        };
        Self { engine: engine().with_network(network), server, asks }
    }

    fn tool(&self, function: &str) -> Tool {
        tool_in(&self.engine, &guest("secrets"), function, &self.asks).with_secrets(values())
    }

    fn request(&self) -> Value {
        json!({
            "method": "POST", "scheme": "https", "authority": format!("api.test:{}", self.server.port()),
            "path": "/v1/refunds", "headers": [["authorization", "Bearer {}"]], "body": "",
        })
    }

    async fn send(&self, request: Value) -> CallReport {
        call(&self.tool("send"), json!({ "request": request, "name": "refund-key" })).await
    }

    /// Whether the secret reached the server in any place.
    fn was_told(&self) -> bool {
        self.server.seen().iter().any(|seen| format!("{seen:?}").contains(SECRET))
    }
}

fn values() -> SecretValues {
    SecretValues::default().with("refund-key", SECRET.to_owned().into()).expect("a secret")
}

fn with(mut request: Value, key: &str, value: Value) -> Value {
    request[key] = value;
    request
}

#[test]
fn undeclared_secrets_import() {
    let facts = guest("secrets").facts().clone();
    let desk = Desk::new(|_, out| ok(out, ""));
    assert!(plan(&facts, "send", &desk.asks).is_ok());
    let without = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let asks = Asks { capabilities: without(&desk.asks.capabilities), ..desk.asks.clone() };
    assert!(plan(&facts, "send", &asks).is_err(), "the manifest declares none");
    let permits = desk.asks.permits.as_deref().map(without);
    assert!(plan(&facts, "send", &Asks { permits, ..desk.asks }).is_err(), "the policy permits none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_goes_where_it_is_granted_and_nowhere_else() {
    let desk = Desk::new(|_, out| ok(out, "booked"));
    let report = desk.send(desk.request()).await;
    assert_eq!(success(&report)["body"], "booked");
    let [seen] = desk.server.seen().try_into().expect("one request");
    assert_eq!(seen.header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
    let used: Vec<&str> = report
        .used
        .iter()
        .filter(|used| used.class == Class::Secrets)
        .map(|used| used.scope.as_str())
        .collect();
    assert_eq!(used, ["refund-key in authorization of POST api.test/v1/**"]);
    assert!(!format!("{report:?}").contains(SECRET));

    // What stands for it tells nothing, and is as good as any other text without a grant.
    let placeholder = desk.tool("placeholder");
    let report = call(&placeholder, json!({ "name": "refund-key" })).await;
    let stand_in = success(&report).as_str().expect("a text").to_owned();
    assert!(stand_in.starts_with("nanohost-secret-") && stand_in.len() == 48, "{stand_in}");
    for name in ["other-key", ""] {
        let report = call(&placeholder, json!({ "name": name })).await;
        assert_eq!(tool_error(&report), "not-granted");
        assert_eq!(denied(&report), [format!("placeholder {name}")]);
    }
    // A tool whose secret is not kept has none.
    let bare = tool_in(&desk.engine, &guest("secrets"), "placeholder", &desk.asks);
    assert_eq!(tool_error(&call(&bare, json!({ "name": "refund-key" })).await), "not-granted");
}

pub(crate) async fn secret_misplaced() {
    let desk = Desk::new(|_, out| ok(out, "got it"));
    let (port, own) = (desk.server.port(), desk.request());
    for (request, place) in [
        (with(own.clone(), "method", json!("GET")), "header"),
        (with(own.clone(), "path", json!("/v2/refunds")), "header"),
        (with(own.clone(), "authority", json!(format!("other.test:{port}"))), "header"),
        (with(own.clone(), "scheme", json!("http")), "header"),
        (with(own.clone(), "headers", json!([["x-key", "{}"]])), "header"),
        (with(own.clone(), "headers", json!([["authorization", "{}"], ["x-key", "{}"]])), "header"),
        (with(own.clone(), "headers", json!([["{}", "x"]])), "header"),
        (with(own.clone(), "path", json!("/v1/{}")), "url"),
        (with(own.clone(), "path", json!("/v1/a?key={}")), "url"),
        (with(own.clone(), "authority", json!(format!("{{}}.api.test:{port}"))), "url"),
        (with(own.clone(), "body", json!("the key is {}")), "body"),
    ] {
        let report = desk.send(request.clone()).await;
        assert_eq!(fault(&report), FaultCode::SecretMisplaced, "{request}");
        assert!(denied(&report).contains(&format!("{place} refund-key")), "{request}: {:?}", report.denied);
        assert!(!format!("{report:?}").contains(SECRET), "{request}");
    }
    let pieces = desk.tool("pieces");
    for size in [1, 7, 47] {
        let request = with(own.clone(), "body", json!("the key is {} and no other"));
        let report = call(&pieces, json!({ "request": request, "name": "refund-key", "size": size })).await;
        assert_eq!(fault(&report), FaultCode::SecretMisplaced, "{size}");
    }
    for seen in desk.server.seen() {
        assert_eq!(seen.header("authorization"), Some(format!("Bearer {SECRET}").as_str()), "{seen:?}");
        assert!(!String::from_utf8_lossy(&seen.body).contains(SECRET));
    }
    // The control: the same requests without what stands for it are what is granted.
    let report = desk.send(with(own, "body", json!("the key is none"))).await;
    assert_eq!(success(&report)["body"], "got it");
    assert!(desk.was_told());
}

/// In the clear a secret goes to this very machine alone, by address.
#[tokio::test(flavor = "multi_thread")]
async fn a_loopback_address_that_is_granted_by_name() {
    let server = Server::new(|_, out| ok(out, "here"));
    let rules = |host: &str, more: &str| {
        format!(
            "http = [{{ scheme = \"http\", host = \"{host}\", port = {0}, methods = [\"GET\"], path = \"/**\"{more} }}]\n\
             secrets = [{{ name = \"refund-key\", header = \"x-key\", host = \"{host}\", methods = [\"GET\"], path = \"/**\" }}]",
            server.port()
        )
    };
    let names = Names::new([("here.test", &[&["127.0.0.1"]])]);
    let engine = engine().with_network(Network::system().with_resolver(names));
    for (host, expect) in [("127.0.0.1", true), ("here.test", false)] {
        let asks = Asks {
            capabilities: rules(host, ""),
            permits: Some(rules(host, ", private = true")),
            ..Asks::default()
        };
        let tool = tool_in(&engine, &guest("secrets"), "send", &asks).with_secrets(values());
        let request = json!({
            "method": "GET", "scheme": "http", "authority": format!("{host}:{}", server.port()), "path": "/",
            "headers": [["x-key", "{}"]], "body": "",
        });
        let report = call(&tool, json!({ "request": request, "name": "refund-key" })).await;
        match expect {
            true => assert_eq!(success(&report)["body"], "here"),
            false => assert_eq!(fault(&report), FaultCode::SecretMisplaced),
        }
    }
    let [seen] = server.seen().try_into().expect("one request");
    assert_eq!(seen.header("x-key"), Some(SECRET));
}

pub(crate) async fn secret_echo() {
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = SECRET.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let forms = [
        SECRET.to_owned(),
        format!("you said: Bearer {SECRET}."),
        json!({ "headers": { "authorization": SECRET } }).to_string(),
        STANDARD.encode(format!("x{SECRET}")),
        STANDARD.encode(format!("xy{SECRET}z")),
        URL_SAFE_NO_PAD.encode(SECRET),
        hex.clone(),
        hex.to_uppercase(),
        percent,
        "a=s3cr3t%2F%2Bvalue%3D0123456789".to_owned(),
    ];
    for form in &forms {
        let body = form.clone();
        let desk = Desk::new(move |_, out| ok(out, &body));
        let report = desk.send(desk.request()).await;
        assert_eq!(fault(&report), FaultCode::SecretEcho, "{form}");
        assert!(!report.answers.to_json().expect("JSON").contains(form));
        assert!(!format!("{report:?}").contains(SECRET), "{form}");
    }
    for place in ["X-Echo: a", "X-Echo-s3cr3t: "] {
        let line = format!("{place}{SECRET}");
        let desk =
            Desk::new(move |_, out| write!(out, "HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 2\r\n\r\nok"));
        let report = desk.send(desk.request()).await;
        assert_eq!(fault(&report), FaultCode::SecretEcho, "{place}");
        assert!(report.answers.http().all(|answer| answer.status().is_none()), "{:?}", report.answers);
    }
    // In chunks of every small size, long after the beginning.
    for size in [1, 2, 5, 11, 23] {
        let desk = Desk::new(move |_, out| {
            write!(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for chunk in format!("{}{SECRET} and more", "before ".repeat(20)).as_bytes().chunks(size) {
                write!(out, "{:x}\r\n", chunk.len())?;
                out.write_all(chunk)?;
                out.write_all(b"\r\n")?;
                out.flush()?;
            }
            out.write_all(b"0\r\n\r\n")
        });
        let report = desk.send(desk.request()).await;
        assert_eq!(fault(&report), FaultCode::SecretEcho, "{size}");
        let kept: Vec<u8> = report.answers.http().flat_map(|answer| answer.body().to_vec()).collect();
        assert!(!String::from_utf8_lossy(&kept).contains(&SECRET[..12]), "{size}");
    }
    // The control: what is no echo arrives whole, to the last byte.
    let whole: Arc<str> = "nothing of it, many times ".repeat(100).into();
    let body = Arc::clone(&whole);
    let desk = Desk::new(move |_, out| ok(out, &body));
    let report = desk.send(desk.request()).await;
    assert_eq!(success(&report)["body"].as_str(), Some(&*whole));
    assert_eq!(report.answers.http().next().expect("one").body(), whole.as_bytes());
    assert!(desk.was_told());
}

#[test]
fn what_can_be_a_secret() {
    for (value, expect) in [
        (SECRET.to_owned(), true),
        ("12345678".to_owned(), true),
        ("1234567".to_owned(), false),
        ("x".repeat(4096), true),
        ("x".repeat(4097), false),
        ("with a space".to_owned(), false),
        ("with\nlines".to_owned(), false),
        ("sëcret-value".to_owned(), false),
    ] {
        assert_eq!(SecretValues::default().with("a", value.clone().into()).is_ok(), expect, "{value}");
    }
    assert_eq!(format!("{:?}", values()), "{\"refund-key\"}");
}

//! Requests that are granted and others; servers and names that mean harm.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nanohost_core::Class;
use nanohost_sandbox::{CallReport, Cancellation, Engine, FaultCode, Network, Outcome, Tool};
use serde_json::{Value, json};

use crate::bench::{
    Asks, call, context, denied, engine, fault, guest, plan, success, tool, tool_error, tool_in,
};
use crate::http_server::{Identity, Names, Server, ok, redirect};

/// Rules as both sides write them; each is `scheme://host:port/path`, for GET and POST.
fn rules(urls: &[String], more: &str) -> String {
    let rules: Vec<String> = urls.iter().map(|url| rule(url, more)).collect();
    format!("http = [{}]", rules.join(", "))
}

fn rule(url: &str, more: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let at = rest.find('/').expect("a path");
    let (host, port) = rest[..at].rsplit_once(':').expect("a port");
    format!(
        "{{ scheme = \"{scheme}\", host = \"{host}\", port = {port}, methods = [\"GET\", \"POST\"], path = \"{}\"{more} }}",
        &rest[at..]
    )
}

fn asks(urls: &[String]) -> Asks {
    Asks { capabilities: rules(urls, ""), ..Asks::default() }
}

/// Names may lead to the loopback, since the policy says so.
fn private(urls: &[String]) -> Asks {
    Asks { permits: Some(rules(urls, ", private = true")), ..asks(urls) }
}

fn at(server: &Server, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", server.port())
}

/// A GET as the guest is told to make it, word by word.
fn get(url: &str) -> Value {
    let (scheme, rest) = url.split_once("://").expect("a scheme");
    let at = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    json!({
        "method": "GET", "scheme": scheme, "authority": &rest[..at], "path": &rest[at..],
        "headers": [], "body": "",
    })
}

fn with(mut request: Value, key: &str, value: Value) -> Value {
    request[key] = value;
    request
}

fn sending(asks: &Asks) -> Tool {
    tool(&guest("http"), "send", asks)
}

async fn send(tool: &Tool, request: Value) -> CallReport {
    call(tool, json!({ "request": request })).await
}

/// An engine whose names lead where `names` says.
fn naming(names: &Arc<Names>) -> Engine {
    engine().with_network(Network::system().with_resolver(names.clone()))
}

#[test]
fn undeclared_http_import() {
    // The linker's own refusal is `what_is_not_granted_does_not_exist`.
    let facts = guest("http").facts().clone();
    assert!(facts.imports.iter().any(|import| import.name.starts_with("wasi:http/outgoing-handler@")));
    assert!(plan(&facts, "send", &Asks::default()).is_err());
    let urls = ["https://api.example.com:443/**".to_owned()];
    assert!(plan(&facts, "send", &Asks { permits: Some(String::new()), ..asks(&urls) }).is_err());
    assert!(plan(&facts, "send", &asks(&urls)).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_granted_arrives_and_is_recorded() {
    let server = Server::new(|_, out| {
        write!(out, "HTTP/1.1 201 Created\r\nX-Kind: refund\r\nContent-Length: 6\r\n\r\nbooked")
    });
    let tool = sending(&asks(&[at(&server, "/v1/**")]));
    let mut request = get(&at(&server, "/v1/refunds?order=A%2F1"));
    request["method"] = json!("POST");
    request["body"] = json!("amount=5");
    request["headers"] = json!([["content-type", "text/plain"], ["x-trace", "7"]]);
    let report = send(&tool, request).await;
    assert_eq!(success(&report), &json!({ "status": 201, "location": null, "body": "booked" }));

    let [seen] = server.seen().try_into().expect("one request");
    assert_eq!(seen.line, "POST /v1/refunds?order=A%2F1 HTTP/1.1");
    assert_eq!(seen.header("host"), Some(format!("127.0.0.1:{}", server.port()).as_str()));
    assert_eq!(seen.header("x-trace"), Some("7"));
    assert!(String::from_utf8_lossy(&seen.body).contains("amount=5"));

    assert_eq!(denied(&report), [""; 0]);
    let [used] = report.used.iter().filter(|used| used.class == Class::Http).collect::<Vec<_>>()[..] else {
        panic!("one use: {:?}", report.used)
    };
    let scope = format!("GET,POST {}", at(&server, "/v1/**"));
    assert_eq!((used.scope.as_str(), used.operations, used.read, used.written), (scope.as_str(), 1, 6, 8));

    let answers: Vec<_> = report.answers.http().collect();
    let [answer] = answers[..] else { panic!("one answer: {answers:?}") };
    assert_eq!((answer.scope(), answer.status(), answer.is_whole()), (scope.as_str(), Some(201), true));
    assert_eq!(answer.body(), b"booked");
    assert!(answer.headers().any(|header| header == ("x-kind", b"refund".as_slice())));
    let line = format!("POST {}", at(&server, "/v1/refunds?order=A%2F1"));
    assert_eq!(answer.request(), line);
}

pub(crate) async fn another_host_port_method_or_path() {
    let (granted, other) = (Server::named("granted"), Server::named("other"));
    let tool = sending(&asks(&[at(&granted, "/v1/**")]));
    let report = send(&tool, get(&at(&granted, "/v1/a"))).await;
    assert_eq!(success(&report)["body"], "granted");

    let url = at(&granted, "/v1/a");
    for request in [
        get(&at(&other, "/v1/a")),
        get(&url.replace("127.0.0.1", "127.0.0.2")),
        get(&url.replace("127.0.0.1", "localhost")),
        get(&url.replace("127.0.0.1", "example.com")),
        get(&at(&granted, "/v2/a")),
        get(&at(&granted, "/v1")),
        get(&at(&granted, "")),
        get(&url.replace("http://", "https://")),
        with(get(&url), "method", json!("HEAD")),
    ] {
        let report = send(&tool, request.clone()).await;
        assert_eq!(tool_error(&report), "ErrorCode::HttpRequestDenied", "{request}");
        let [refusal] = &report.denied[..] else { panic!("one refusal: {:?}", report.denied) };
        assert_eq!((refusal.class, refusal.operation), (Class::Http, "request"), "{request}");
        assert_eq!(report.used, [], "{request}");
    }
    assert_eq!((granted.seen().len(), other.seen().len()), (1, 0));
}

/// What one reader takes for this and another for that never leaves.
pub(crate) async fn path_escape() {
    let server = Server::named("here");
    let tool = sending(&asks(&[at(&server, "/public/**")]));
    assert_eq!(success(&send(&tool, get(&at(&server, "/public/a"))).await)["body"], "here");
    for path in [
        "/public/../admin",
        "/public/..",
        "/public/./a",
        "/public/%2e%2e/admin",
        "/public/%2E%2E/admin",
        "/public/.%2e/admin",
        "/public/%2e%2e%2fadmin",
        "/public/..%2fadmin",
        "/public/%5c..%5cadmin",
        "/public/%252e%252e/admin",
        "/public//admin",
        "//public/admin",
        "/public/..;/admin",
        "/public/;a=b/admin",
        "/public/%3b/admin",
        "/public/a#b",
        "/public/a%00",
        "/public/a%0d%0aHost:%20x",
        "/public/%",
    ] {
        let report = send(&tool, get(&at(&server, path))).await;
        assert_eq!(tool_error(&report), "ErrorCode::HttpRequestDenied", "{path}");
        assert_eq!(report.denied[0].operation, "url", "{path}");
    }
    let port = server.port();
    for authority in [
        format!("user@127.0.0.1:{port}"),
        format!("127.0.0.1:{port}@example.com"),
        format!("127.1:{port}"),
        format!("2130706433:{port}"),
        format!("0x7f000001:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("127.0.0.1.:{port}"),
        format!("127.0.0.1:0{port}"),
    ] {
        let report = send(&tool, with(get(&at(&server, "/public/a")), "authority", json!(authority))).await;
        // Some of these the interface itself does not take.
        if tool_error(&report) != "authority" {
            assert_eq!(tool_error(&report), "ErrorCode::HttpRequestDenied", "{authority}");
            assert_eq!(report.denied[0].operation, "url", "{authority}");
        }
    }
    for method in ["CONNECT", "TRACE", "get", "BREW"] {
        let report = send(&tool, with(get(&at(&server, "/public/a")), "method", json!(method))).await;
        assert_eq!(tool_error(&report), "ErrorCode::HttpRequestDenied", "{method}");
    }
    assert_eq!(server.seen().len(), 1);
}

pub(crate) async fn host_header_smuggling() {
    let server = Server::named("here");
    let tool = sending(&asks(&[at(&server, "/**")]));
    let host = format!("127.0.0.1:{}", server.port());
    let asked = |headers: Value| with(get(&at(&server, "/")), "headers", headers);
    let report = send(&tool, asked(json!([["host", host], ["accept", "*/*"]]))).await;
    assert_eq!(success(&report)["body"], "here");
    for headers in [
        json!([["host", "internal.example.com"]]),
        json!([["Host", host], ["host", "internal.example.com"]]),
        json!([["connection", "x-forwarded-for"]]),
        json!([["transfer-encoding", "chunked"]]),
        json!([["te", "trailers"]]),
        json!([["trailer", "x"]]),
        json!([["upgrade", "websocket"]]),
        json!([["keep-alive", "1"]]),
        json!([["proxy-authorization", "x"]]),
        json!([["proxy-connection", "x"]]),
        json!([["expect", "100-continue"]]),
        json!([["http2-settings", "x"]]),
    ] {
        let report = send(&tool, asked(headers.clone())).await;
        assert_eq!(tool_error(&report), "ErrorCode::HttpRequestDenied", "{headers}");
        assert_eq!(report.denied[0].operation, "header", "{headers}");
    }
    for headers in
        [json!([["x", "a\r\nhost: b"]]), json!([["x\r\nhost", "b"]]), json!([["content-length", "+1"]])]
    {
        let report = send(&tool, asked(headers.clone())).await;
        assert!(tool_error(&report).as_str().is_some_and(|text| text.starts_with("header: ")), "{headers}");
    }
    let [seen] = server.seen().try_into().expect("one request");
    assert_eq!(seen.headers.iter().filter(|(name, _)| name == "host").count(), 1);
}

pub(crate) async fn name_of_private_address() {
    let server = Server::named("inside");
    let urls = [format!("http://api.test:{}/**", server.port())];
    for (addresses, with_row) in [
        (&["127.0.0.1"][..], Ok(())),
        (&["203.0.113.7", "127.0.0.1"], Err("203.0.113.7")),
        (&["10.0.0.1", "169.254.169.254"], Err("169.254.169.254")),
        (&["169.254.169.254"], Err("169.254.169.254")),
        (&["fd00:ec2::254"], Err("fd00:ec2::254")),
        (&["fe80::1"], Err("fe80::1")),
        (&["0.0.0.0"], Err("0.0.0.0")),
        (&["224.0.0.1"], Err("224.0.0.1")),
        (&["64:ff9b::7f00:1"], Err("64:ff9b::7f00:1")),
        (&["2002:7f00:1::"], Err("2002:7f00:1::")),
        (&["::ffff:169.254.169.254"], Err("::ffff:169.254.169.254")),
    ] {
        let names = Names::new([("api.test", &[addresses])]);
        let request = get(&format!("http://api.test:{}/", server.port()));
        let tool = tool_in(&naming(&names), &guest("http"), "send", &asks(&urls));
        let report = send(&tool, request.clone()).await;
        assert_eq!(tool_error(&report), "ErrorCode::DestinationIpProhibited", "{addresses:?}");
        assert_eq!(report.denied[0].operation, "address", "{addresses:?}");
        assert_eq!(report.used, [], "{addresses:?}");

        // Where the policy says that a name may lead to its own network, that is what it may.
        let tool = tool_in(&naming(&names), &guest("http"), "send", &private(&urls));
        let report = send(&tool, request).await;
        match with_row {
            Ok(()) => assert_eq!(success(&report)["body"], "inside", "{addresses:?}"),
            Err(address) => assert_eq!(denied(&report), [format!("address {address} of api.test")]),
        }
    }
    assert_eq!(server.seen().len(), 1);
}

/// The first lookup is judged and good for the whole call.
pub(crate) async fn rebinding_name() {
    let first = Server::named("first");
    let second = Server::at(Ipv4Addr::new(127, 0, 0, 2), first.port(), |_, out| ok(out, "second"));
    let names = Names::new([("api.test", &[&["127.0.0.1"], &["127.0.0.2"]])]);
    let urls = [format!("http://api.test:{}/**", first.port())];
    let tool = tool_in(&naming(&names), &guest("http"), "each", &private(&urls));
    let request = get(&format!("http://api.test:{}/", first.port()));
    let report = call(&tool, json!({ "requests": [request, request, request] })).await;
    let bodies: Vec<_> =
        success(&report).as_array().expect("three").iter().map(|one| one["ok"]["body"].clone()).collect();
    assert_eq!(bodies, ["first", "first", "first"]);
    assert_eq!(names.asked(), ["api.test"]);
    assert_eq!((first.seen().len(), second.seen().len()), (3, 0));
    assert_eq!(first.seen()[0].header("host"), Some(format!("api.test:{}", first.port()).as_str()));
    // The control: another call asks again, and is led elsewhere.
    let report = call(&tool, json!({ "requests": [request] })).await;
    assert_eq!(success(&report)[0]["ok"]["body"], "second");
}

/// The host follows nothing; a guest that does makes another request, which is judged.
pub(crate) async fn redirect_to_private_address() {
    let inside = Server::named("inside");
    let target = at(&inside, "/secret");
    let leading = Server::new(move |seen, out| match seen.line.as_str() {
        "GET /away HTTP/1.1" => redirect(out, &target),
        "GET /metadata HTTP/1.1" => redirect(out, "http://169.254.169.254/latest/meta-data/"),
        "GET /named HTTP/1.1" => redirect(out, "http://inside.test:80/"),
        "GET /near HTTP/1.1" => {
            let host = seen.header("host").unwrap_or_default();
            redirect(out, &format!("http://{host}/here"))
        }
        _ => ok(out, "here"),
    });
    let names = Names::new([("inside.test", &[&["10.0.0.1"]])]);
    let engine = naming(&names);
    let asks = asks(&[at(&leading, "/**"), "http://inside.test:80/**".into()]);
    let follow = tool_in(&engine, &guest("http"), "follow", &asks);
    let report = call(&follow, json!({ "request": get(&at(&leading, "/near")) })).await;
    assert_eq!(success(&report)["body"], "here");
    for (path, code, refusal) in [
        ("/away", "ErrorCode::HttpRequestDenied", format!("request GET {}", at(&inside, "/secret"))),
        (
            "/metadata",
            "ErrorCode::HttpRequestDenied",
            "request GET http://169.254.169.254/latest/meta-data/".into(),
        ),
        ("/named", "ErrorCode::DestinationIpProhibited", "address 10.0.0.1 of inside.test".into()),
    ] {
        let report = call(&follow, json!({ "request": get(&at(&leading, path)) })).await;
        assert_eq!(tool_error(&report), code, "{path}");
        assert_eq!(denied(&report), [refusal], "{path}");
    }
    assert_eq!(inside.seen().len(), 0);
    // The host itself: the answer is the redirect.
    let tool = tool_in(&engine, &guest("http"), "send", &asks);
    assert_eq!(success(&send(&tool, get(&at(&leading, "/away"))).await)["status"], 302);
}

pub(crate) async fn too_many_calls() {
    let server = Server::named("here");
    let each = |asks: &Asks| tool(&guest("http"), "each", asks);
    let request = get(&at(&server, "/"));
    let input = json!({ "requests": [request, request, request] });
    let own = asks(&[at(&server, "/**")]);
    for (limits, host, expect) in [
        ("http_calls = 3", "", None),
        ("http_calls = 2", "", Some(FaultCode::HttpLimit)),
        ("", "[limits]\nhttp_calls = 3", None),
        ("", "[limits]\nhttp_calls = 2", Some(FaultCode::HttpLimit)),
        ("http_calls = 3", "[limits]\nhttp_calls = 2", Some(FaultCode::HttpLimit)),
    ] {
        let before = server.seen().len();
        let asks = Asks { limits: limits.into(), host: host.into(), ..own.clone() };
        let report = call(&each(&asks), input.clone()).await;
        let sent = server.seen().len() - before;
        match expect {
            None => assert_eq!((success(&report).as_array().map(Vec::len), sent), (Some(3), 3)),
            Some(code) => assert_eq!((fault(&report), sent), (code, 2), "{limits} {host}"),
        }
    }
}

pub(crate) async fn response_bomb() {
    let server = Server::new(|seen, out| match seen.line.split(' ').nth(1) {
        Some("/said") => {
            write!(out, "HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")?;
            loop {
                out.write_all(&[b'x'; 8192])?;
            }
        }
        Some("/chunked") => {
            write!(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            loop {
                write!(out, "2000\r\n{}\r\n", "x".repeat(8192))?;
            }
        }
        Some("/close") => {
            write!(out, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                out.write_all(&[b'x'; 8192])?;
            }
        }
        Some("/headers") => {
            write!(out, "HTTP/1.1 200 OK\r\nX-Long: {}\r\n", "x".repeat(40_000))?;
            write!(out, "Content-Length: 0\r\nConnection: close\r\n\r\n")
        }
        Some("/head") => {
            write!(out, "HTTP/1.1 200 OK\r\n")?;
            for at in 0.. {
                write!(out, "X-{at}: {}\r\n", "x".repeat(1000))?;
            }
            Ok(())
        }
        _ => ok(out, &"x".repeat(60_000)),
    });
    let own = asks(&[at(&server, "/**")]);
    let limited = Asks { limits: "http_bytes = \"64KiB\"".into(), ..own.clone() };
    let report = send(&sending(&limited), get(&at(&server, "/fits"))).await;
    assert_eq!(success(&report)["body"].as_str().map(str::len), Some(60_000));
    for path in ["/said", "/chunked", "/close"] {
        let report = send(&sending(&limited), get(&at(&server, path))).await;
        assert_eq!(fault(&report), FaultCode::HttpLimit, "{path}");
        let kept: usize = report.answers.http().map(|answer| answer.body().len()).sum();
        assert!(kept <= 64 << 10, "{kept}");
        assert!(report.answers.http().all(|answer| !answer.is_whole()));
    }
    // What is kept of an answer's head counts as well.
    let tight = Asks { limits: "http_bytes = \"32KiB\"".into(), ..own.clone() };
    assert_eq!(fault(&send(&sending(&tight), get(&at(&server, "/headers"))).await), FaultCode::HttpLimit);
    assert_eq!(success(&send(&sending(&limited), get(&at(&server, "/headers"))).await)["status"], 200);
    let report = send(&sending(&limited), get(&at(&server, "/head"))).await;
    assert_eq!(tool_error(&report), "ErrorCode::HttpProtocolError");
    // A policy's ceiling is a limit as well, over all requests of a call together.
    let ceiling = Asks { host: "[limits]\nhttp_bytes = \"64KiB\"".into(), ..own };
    let request = get(&at(&server, "/fits"));
    let each = tool(&guest("http"), "each", &ceiling);
    assert!(matches!(call(&each, json!({ "requests": [request] })).await.outcome, Outcome::Success(_)));
    let report = call(&each, json!({ "requests": [request, request] })).await;
    assert_eq!(fault(&report), FaultCode::HttpLimit);
}

pub(crate) async fn request_bomb() {
    let server = Server::named("here");
    let asks = Asks { limits: "http_bytes = \"64KiB\"".into(), ..asks(&[at(&server, "/**")]) };
    let upload = tool(&guest("http"), "upload", &asks);
    let request = with(get(&at(&server, "/")), "method", json!("POST"));
    let report = call(&upload, json!({ "request": request, "bytes": 32 << 10 })).await;
    assert_eq!(success(&report)["body"], "here");
    let report = call(&upload, json!({ "request": request, "bytes": 1 << 30 })).await;
    assert_eq!(fault(&report), FaultCode::HttpLimit);
}

/// Writes a little, and then nothing until the client has gone.
fn stalls(first: &'static str) -> Server {
    Server::new(move |_, out| {
        out.write_all(first.as_bytes())?;
        out.flush()?;
        std::thread::park();
        Ok(())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_server() {
    for first in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"] {
        let server = stalls(first);
        let own = asks(&[at(&server, "/**")]);
        let limited = Asks { limits: "deadline = \"200ms\"".into(), ..own.clone() };
        let started = Instant::now();
        let report = send(&sending(&limited), get(&at(&server, "/"))).await;
        assert_eq!(fault(&report), FaultCode::Deadline, "{first:?}");
        assert!(started.elapsed() < Duration::from_secs(3), "{first:?}");

        // The control: a guest that waits for less lives to tell.
        let impatient = tool(&guest("http"), "impatient", &own);
        let report = call(&impatient, json!({ "request": get(&at(&server, "/")), "milliseconds": 50 })).await;
        let error = tool_error(&report).as_str().expect("a text");
        assert!(error.contains("ConnectionReadTimeout") || error.contains("timeout"), "{first:?}: {error}");

        let cancellation = Cancellation::default();
        let report = call_cancelled(&sending(&own), get(&at(&server, "/")), &cancellation, &server).await;
        assert_eq!(fault(&report), FaultCode::Cancelled, "{first:?}");
    }
}

/// Cancels as soon as the server has seen the request.
async fn call_cancelled(
    tool: &Tool,
    request: Value,
    cancellation: &Cancellation,
    server: &Server,
) -> CallReport {
    let before = server.seen().len();
    let mut context = context();
    context.cancellation = cancellation.clone();
    let cancel = async {
        while server.seen().len() == before {
            tokio::task::yield_now().await;
        }
        cancellation.cancel();
    };
    let input = json!({ "request": request });
    tokio::join!(tool.call(&input, context), cancel).0
}

#[tokio::test(flavor = "multi_thread")]
async fn only_believed_certificates() {
    let identity = Identity::of("api.test");
    let server = Server::secure(&identity, |_, out| ok(out, "safe"));
    let names = Names::new([("api.test", &[&["127.0.0.1"]]), ("other.test", &[&["127.0.0.1"]])]);
    let port = server.port();
    let urls = [format!("https://api.test:{port}/**"), format!("https://other.test:{port}/**")];
    let network = Network::system().with_resolver(names.clone());
    let believing = network.clone().with_certificates(&[identity.certificate()]).expect("a certificate");
    let stranger = Identity::of("api.test");
    let deceived = network.with_certificates(&[stranger.certificate()]).expect("a certificate");
    for (network, host, expect) in
        [(&believing, "api.test", true), (&believing, "other.test", false), (&deceived, "api.test", false)]
    {
        let engine = engine().with_network(network.clone());
        let tool = tool_in(&engine, &guest("http"), "send", &private(&urls));
        let report = send(&tool, get(&format!("https://{host}:{port}/"))).await;
        match expect {
            true => assert_eq!(success(&report)["body"], "safe"),
            false => assert_eq!(tool_error(&report), "ErrorCode::TlsProtocolError", "{host}"),
        }
    }
    assert_eq!(server.seen().len(), 1);
    assert!(Network::system().with_certificates(&[b"none"]).is_err());
    // What is granted over TLS is not granted in the clear, nor what is granted in the clear over TLS.
    let tool = tool_in(&naming(&names), &guest("http"), "send", &private(&urls));
    let report = send(&tool, get(&format!("http://api.test:{port}/"))).await;
    assert_eq!(report.denied[0].operation, "request");
}

#[tokio::test(flavor = "multi_thread")]
async fn literal_address_is_granted_by_name() {
    let server = Server::named("here");
    let port = server.port();
    // The suffix of a name never matches an address.
    let tool = sending(&asks(&[format!("http://*.0.test:{port}/**")]));
    let report = send(&tool, get(&at(&server, "/"))).await;
    assert_eq!(report.denied[0].operation, "request");
    let tool = sending(&asks(&[at(&server, "/**")]));
    assert_eq!(success(&send(&tool, get(&at(&server, "/"))).await)["body"], "here");
}

#[tokio::test(flavor = "multi_thread")]
async fn stubbed_http() {
    let asks = Asks { stub: Some("[\"wasi:http/*\"]"), ..Asks::default() };
    let decide = tool(&guest("http"), "decide", &asks);
    assert_eq!(success(&call(&decide, json!({ "n": 1 })).await), &json!(2));
    let report = send(&sending(&asks), get("https://api.example.com/")).await;
    assert_eq!(fault(&report), FaultCode::StubCalled);
}

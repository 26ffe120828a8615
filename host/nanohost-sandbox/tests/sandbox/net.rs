//! Connections to addresses that are granted and to others.

use std::io::Write as _;
use std::net::TcpListener;

use nanohost_core::Class;
use nanohost_sandbox::FaultCode;
use serde_json::{Value, json};

use crate::bench::{Asks, call, denied, fault, guest, plan, success, tool, tool_error};

/// A server on the loopback that greets whoever connects. It ends with the test process.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            // A client that went away is no failure of the server.
            let _ = stream.write_all(b"hello");
        }
    });
    port
}

fn asks(port: u16) -> Asks {
    Asks {
        capabilities: format!("sockets = [{{ address = \"127.0.0.1\", port = {port} }}]"),
        ..Asks::default()
    }
}

fn fetch(address: &str, port: u16) -> Value {
    json!({ "address": address, "port": port })
}

#[test]
fn undeclared_sockets_import() {
    // The linker's own refusal is `what_is_not_granted_does_not_exist`.
    assert!(plan(guest("net").facts(), "fetch", &Asks::default()).is_err());
    assert!(plan(guest("net").facts(), "fetch", &asks(80)).is_ok());
}

pub(crate) async fn another_port_or_address() {
    let (granted, other) = (server(), server());
    let tool = tool(&guest("net"), "fetch", &asks(granted));
    let report = call(&tool, fetch("127.0.0.1", granted)).await;
    assert_eq!(success(&report), "hello");
    assert_eq!(denied(&report), [""; 0]);
    let used: Vec<_> = report.used.iter().filter(|used| used.class == Class::Sockets).collect();
    assert_eq!(
        (used.len(), used[0].scope.as_str(), used[0].operations),
        (1, format!("127.0.0.1:{granted}").as_str(), 1)
    );

    for (address, port) in
        [("127.0.0.1", other), ("127.0.0.2", granted), ("::1", granted), ("169.254.169.254", 80)]
    {
        let report = call(&tool, fetch(address, port)).await;
        assert_eq!(tool_error(&report), "PermissionDenied", "{address}:{port}");
        let socket = std::net::SocketAddr::new(address.parse().expect("an address"), port);
        assert_eq!(denied(&report), [format!("connect {socket}")]);
    }
}

pub(crate) async fn listening_udp_and_names() {
    let port = server();
    for (function, input, operation) in [
        ("listen", json!({}), "bind 127.0.0.1:0"),
        ("udp", json!({}), "udp "),
        ("lookup", json!({ "name": "example.com" }), "lookup example.com"),
    ] {
        let report = call(&tool(&guest("net"), function, &asks(port)), input).await;
        tool_error(&report);
        assert_eq!(denied(&report)[0], operation, "{function}");
    }
}

pub(crate) async fn stub() {
    let asks = Asks { stub: Some("[\"wasi:sockets/*\"]"), ..Asks::default() };
    let decide = tool(&guest("net"), "decide", &asks);
    assert_eq!(success(&call(&decide, json!({ "n": 1 })).await), &json!(2));
    let fetch_tool = tool(&guest("net"), "fetch", &asks);
    let report = call(&fetch_tool, fetch("127.0.0.1", 80)).await;
    assert_eq!(fault(&report), FaultCode::StubCalled);
}

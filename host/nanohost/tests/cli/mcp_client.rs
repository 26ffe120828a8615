//! A client of the Model Context Protocol as these tests need one: raw lines on standard input and output
//! of a gateway, so that anything can be said to it. It trusts nothing that comes back.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::harness::Home;

/// A gateway of a test, and its one client.
pub(crate) struct Client {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    last: u64,
    /// What came and was no answer.
    pub(crate) told: Vec<Value>,
}

impl Client {
    /// Starts `nanohost mcp` with these arguments and does what clients of 2025-11-25 do first.
    pub(crate) fn start(home: &Home, args: &[&str]) -> Self {
        let mut client = Self::raw(home, args);
        let hello = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        });
        let answer = client.ask("initialize", hello);
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{answer:#}");
        client.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
        client
    }

    /// Starts `nanohost mcp` and says nothing.
    pub(crate) fn raw(home: &Home, args: &[&str]) -> Self {
        let mut command = home.command(["mcp"]);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("nanohost starts");
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, to, from, last: 0, told: Vec::new() }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let to = self.to.as_mut().expect("it is open");
        to.write_all(bytes).and_then(|()| to.flush()).expect("the gateway reads");
    }

    /// Sends a message.
    pub(crate) fn say(&mut self, message: &Value) {
        self.send(format!("{message}\n").as_bytes());
    }

    /// The next line, which is to be JSON-RPC: nothing else may stand on standard output.
    pub(crate) fn hear(&mut self) -> Value {
        let mut line = String::new();
        let read = self.from.read_line(&mut line).expect("lines of UTF-8");
        assert_ne!(read, 0, "the gateway closed its end");
        let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        message
    }

    /// Sends a request; its id.
    pub(crate) fn begin(&mut self, method: &str, params: Value) -> u64 {
        self.last += 1;
        self.say(&json!({ "jsonrpc": "2.0", "id": self.last, "method": method, "params": params }));
        self.last
    }

    /// The answer to a request.
    pub(crate) fn answer(&mut self, id: u64) -> Value {
        loop {
            let message = self.hear();
            if message["id"] == id && message.get("method").is_none() {
                return message;
            }
            self.told.push(message);
        }
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params);
        self.answer(id)
    }

    /// Calls a tool; its result, an error of it or not.
    #[track_caller]
    pub(crate) fn call(&mut self, name: &str, arguments: Value) -> Value {
        self.call_with(name, arguments, json!({}))
    }

    /// The same with metadata.
    #[track_caller]
    pub(crate) fn call_with(&mut self, name: &str, arguments: Value, meta: Value) -> Value {
        let answer = self.ask("tools/call", json!({ "name": name, "arguments": arguments, "_meta": meta }));
        assert!(answer.get("error").is_none(), "{name}: {answer:#}");
        answer["result"].clone()
    }

    /// Calls a tool that does what is asked; what it answers, as data.
    #[track_caller]
    pub(crate) fn gives(&mut self, name: &str, arguments: Value) -> Value {
        let result = self.call(name, arguments);
        assert_eq!(result["isError"], false, "{name}: {result:#}");
        result["structuredContent"].clone()
    }

    /// Calls a tool that refuses, with this code.
    #[track_caller]
    pub(crate) fn refuses(&mut self, name: &str, arguments: Value, code: &str) -> Value {
        let result = self.call(name, arguments);
        assert_eq!(result["isError"], true, "{name}: {result:#}");
        let said = &result["_meta"]["dev.nanohost/code"];
        let of_run = &result["structuredContent"]["error"]["code"];
        assert!(said == code || of_run == code, "{name}: {result:#}");
        result
    }

    /// A tool as it is listed.
    pub(crate) fn tool(&mut self, name: &str) -> Value {
        let listed = self.ask("tools/list", json!({}));
        let tools = listed["result"]["tools"].as_array().expect("a list").clone();
        tools.into_iter().find(|tool| tool["name"] == name).unwrap_or_else(|| panic!("no {name}: {listed:#}"))
    }

    /// The process.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it can be waited for");
    }

    /// Closes the client's end; everything else that the gateway said, and its exit code.
    pub(crate) fn close(mut self) -> (Vec<Value>, Option<i32>) {
        self.to = None;
        let mut rest = std::mem::take(&mut self.told);
        let mut line = String::new();
        while self.from.read_line(&mut line).expect("lines of UTF-8") > 0 {
            rest.push(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}")));
            line.clear();
        }
        (rest, self.child.wait().expect("it can be waited for").code())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

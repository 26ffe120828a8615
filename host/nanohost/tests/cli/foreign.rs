//! Components that nobody here wrote the makers of: Python by `componentize-py`, JavaScript by
//! `componentize-js`. They know nothing of nanohost, and run like any other tool.
//!
//! The makers are installed under the target directory, once, from what `host/interop/components`
//! pins. Where that cannot be done the tests fail: interop is not skipped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::harness::Home;
use crate::interop::{INTEROP, environment_of, run};

const LIMITS: &str = "[limits]\nmemory = \"128MiB\"\nfuel = 5_000_000_000\ndeadline = \"60s\"\n";

fn sources(language: &str) -> PathBuf {
    Path::new(INTEROP).join("components").join(language)
}

/// A folder for what is made, and the lock that keeps two test runs apart.
fn workshop(name: &str) -> (PathBuf, File) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let lock = File::create(target.join(format!("{name}.lock"))).expect("the target directory is writable");
    lock.lock().expect("the lock file can be locked");
    let folder = target.join(name);
    fs::create_dir_all(&folder).expect("the target directory is writable");
    (folder, lock)
}

/// The virtual environment that has `componentize-py`.
pub(crate) fn python_environment() -> PathBuf {
    let requirements = sources("python").join("requirements.txt");
    let python = environment_of(Path::new(env!("CARGO_TARGET_TMPDIR")), "componentize-py", &requirements);
    python.ancestors().nth(2).expect("it lies in its environment").to_owned()
}

/// The folder of packages that has `componentize-js`.
pub(crate) fn javascript_modules() -> PathBuf {
    installed_javascript().0.join("node_modules")
}

/// The same component twice: one that imports nothing, and one that imports all of WASI.
fn python() -> [PathBuf; 2] {
    static MADE: OnceLock<[PathBuf; 2]> = OnceLock::new();
    MADE.get_or_init(|| {
        let maker = python_environment().join("bin/componentize-py");
        let (folder, _lock) = workshop("python-components");
        // Made of a copy: Python leaves what it compiled beside its sources.
        for name in ["app.py", "words.wit"] {
            fs::copy(sources("python").join(name), folder.join(name)).expect("it is part of the repository");
        }
        let made = ["stubbed.wasm", "wasi.wasm"].map(|name| folder.join(name));
        for (component, more) in made.iter().zip([&["--stub-wasi"][..], &[]]) {
            let mut command = Command::new(&maker);
            command.args(["-d", "words.wit", "-w", "words-tool", "componentize"]);
            command.args(more).args(["app", "-o"]).arg(component).current_dir(&folder);
            run(&mut command, "make a component of Python");
        }
        made
    })
    .clone()
}

/// The workshop of JavaScript with all that its `package.json` names, and its lock.
fn installed_javascript() -> (PathBuf, File) {
    let sources = sources("javascript");
    let (folder, lock) = npm_installed("javascript-components", &sources);
    for name in ["build.mjs", "prices.js", "prices.wit"] {
        fs::copy(sources.join(name), folder.join(name)).expect("the target directory is writable");
    }
    (folder, lock)
}

/// The workshop `name` with all that the `package.json` of a folder names, and its lock.
pub(crate) fn npm_installed(name: &str, sources: &Path) -> (PathBuf, File) {
    let (folder, lock) = workshop(name);
    let pinned = fs::read(sources.join("package.json")).expect("it is part of the repository");
    // Written last, so that what was left half made is made again.
    let stamp = folder.join("installed.stamp");
    if fs::read(&stamp).ok().as_ref() != Some(&pinned) {
        fs::write(folder.join("package.json"), &pinned).expect("the target directory is writable");
        let purpose = format!(
            "install what {} names from the npm registry: Node.js 20 or later with npm is needed, and a network, once",
            sources.display()
        );
        // Without a lock file: one refuses to install where a registry lacks a package for some
        // other platform.
        let install = ["install", "--no-audit", "--no-fund", "--no-package-lock"];
        run(Command::new("npm").args(install).current_dir(&folder), &purpose);
        fs::write(&stamp, &pinned).expect("the target directory is writable");
    }
    (folder, lock)
}

fn javascript() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let (folder, _lock) = installed_javascript();
        let component = folder.join("prices.wasm");
        run(
            Command::new("node").arg("build.mjs").arg(&component).current_dir(&folder),
            "make a component of JavaScript",
        );
        component
    })
    .clone()
}

/// A program whose steps call `function` of the component, one with each of `args`; the document of
/// its run. One program, since compiling such a component takes many seconds.
#[track_caller]
fn call(home: &Home, component: &Path, function: &str, stub: &str, args: &[Value], exit: i32) -> Value {
    home.write("tools/foreign/component.wasm", fs::read(component).expect("it was made"));
    let manifest = format!(
        "name = \"foreign\"\nversion = \"1.0.0\"\ndescription = \"Not from here.\"\n{stub}\n[functions.{function}]\n\
         effect = \"pure\"\n\n{LIMITS}"
    );
    home.write("tools/foreign/manifest.toml", manifest);
    let step = |(at, args)| {
        let id = format!("call_{at}");
        json!({ "id": id, "type": "tool", "tool": "foreign", "args": args, "on_error": "skip", "outcome": "called" })
    };
    let program = json!({
        "name": "foreign",
        "inputs": {},
        "tools": { "foreign": { "path": "tools/foreign", "function": function } },
        "steps": args.iter().enumerate().map(step).collect::<Value>(),
    });
    home.write("program.json", program.to_string());
    let policy = format!(
        "[[permit]]\nid = \"stubs\"\nreason = \"dragged in\"\nowner = \"tests\"\ntool = \"foreign\"\n{stub}\n"
    );
    home.write("policy.toml", policy);
    home.nanohost(["run", "program.json", "--policy", "policy.toml", "--json"]).exits(exit).json()
}

/// Output, or code and message of the error, of each step.
fn told(document: &Value) -> Vec<Value> {
    let steps = document["steps"].as_array().unwrap_or_else(|| panic!("no steps: {document:#}"));
    let told = steps.iter().map(|step| match &step["error"] {
        Value::Null => step["output"].clone(),
        error => json!([error["code"], error["message"]]),
    });
    told.collect()
}

#[test]
fn a_component_of_python_runs() {
    let home = Home::new();
    let [stubbed, wasi] = python();
    let args = [
        json!({ "text": "the cat and The hat and the mat", "top": 2 }),
        json!({ "text": " ", "top": null }),
        json!({ "text": "x".repeat(1001) }),
    ];
    let document = call(&home, &stubbed, "count-words", "", &args, 0);
    let expect = [
        json!([{ "word": "the", "times": 3 }, { "word": "and", "times": 2 }]),
        // Its own typed failures are the step's errors.
        json!(["tool_error", "empty"]),
        json!(["tool_error", { "too_long": 1001 }]),
    ];
    assert_eq!(told(&document), expect, "{document:#}");
    let run = document["run"].as_str().expect("an id");
    home.nanohost(["verify", run]).exits(0).says("VERIFIED");

    // With all of WASI it asks for authority that nobody declared, and is refused before it runs.
    let text = [json!({ "text": "one two one" })];
    let refused = call(&home, &wasi, "count-words", "", &text, 3);
    assert!(refused.to_string().contains("import_not_declared"), "{refused:#}");
    // Declared as never used, it is linked with traps, and with clocks and dice that reach nothing.
    let stub = "stub = [\"wasi:filesystem/*\", \"wasi:sockets/*\"]";
    let document = call(&home, &wasi, "count-words", stub, &text, 0);
    let expect = [json!([{ "word": "one", "times": 2 }, { "word": "two", "times": 1 }])];
    assert_eq!(told(&document), expect, "{document:#}");
}

#[test]
fn a_component_of_javascript_runs() {
    let home = Home::new();
    let line = |cents: i64, options: Value| json!({ "name": "a", "cents": cents, "options": options });
    // Beyond what a float holds exactly, and back.
    let cents = (1_i64 << 53) + 1;
    let args = [
        json!({
            "lines": [line(cents, json!([])), line(-1, json!(["gift", "express"]))],
            "currency": "usd",
            "shipping": { "by_weight": [1.25, "parcel"] },
        }),
        json!({ "lines": [line(5, json!([]))], "currency": "eur", "shipping": "none" }),
        json!({ "lines": [], "currency": "eur", "shipping": { "flat": 4 } }),
    ];
    let document = call(&home, &javascript(), "quote", "", &args, 0);
    let expect = [
        json!({ "cents": cents - 1 + 500 + 125, "currency": "usd", "by": "parcel" }),
        json!({ "cents": 5, "currency": "eur", "by": null }),
        json!(["tool_error", "nothing to quote"]),
    ];
    assert_eq!(told(&document), expect, "{document:#}");

    // What the types do not allow reaches no guest.
    let misfits = [
        ("currency", json!("gbp")),
        ("shipping", json!({ "flat": -1 })),
        ("shipping", json!({ "by_weight": [1.25] })),
        ("lines", json!([line(1, json!(["gift", "gift"]))])),
        ("lines", json!([{ "name": "a", "cents": 9_223_372_036_854_775_808_u64, "options": [] }])),
    ];
    let args = misfits.map(|(key, value)| {
        let mut args = args[1].clone();
        args[key] = value;
        args
    });
    let refused = call(&home, &javascript(), "quote", "", &args, 2);
    for at in 0..args.len() {
        let named = format!("no run of `call_{at}` fits");
        assert!(refused.to_string().contains(&named), "{named}\n{refused:#}");
    }
}

//! Secrets, as users keep them: set from standard input, listed by name, shown nowhere; and programs
//! whose tools need one.

use std::fs;

use crate::harness::{Done, Home};

const SECRET: &str = "s3cr3t-0123456789";

/// Asks for what stands for a secret: 0 where the host has it.
const WAT: &str = r#"(component
    (import "nanohost:tool/secrets@0.1.0" (instance $secrets
        (type $names (enum "not-granted"))
        (export "error" (type $error (eq $names)))
        (export "placeholder" (func (param "name" string) (result (result string (error $error)))))))
    (core module $memory
        (memory (export "memory") 1)
        (data (i32.const 16) "refund-key")
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024)))
    (core instance $memory (instantiate $memory))
    (alias core export $memory "memory" (core memory $bytes))
    (alias core export $memory "realloc" (core func $realloc))
    (core func $placeholder (canon lower (func $secrets "placeholder") (memory $bytes) (realloc $realloc)))
    (core module $code
        (import "host" "memory" (memory 1))
        (import "host" "placeholder" (func $placeholder (param i32 i32 i32)))
        (func (export "ask") (result i32)
            (call $placeholder (i32.const 16) (i32.const 10) (i32.const 64))
            (i32.load8_u (i32.const 64))))
    (core instance $code (instantiate $code
        (with "host" (instance (export "memory" (memory $bytes)) (export "placeholder" (func $placeholder))))))
    (func (export "ask") (result u32) (canon lift (core func $code "ask")))
)"#;

/// What manifest and policy say of the secret.
const RULE: &str = "secrets = [{ name = \"refund-key\", header = \"Authorization\", host = \"api.example.com\", methods = [\"POST\"], path = \"/v1/**\" }]";

fn set(home: &Home, name: &str, value: &str) -> Done {
    let input = home.write("value", value);
    Done::fed(home.command(["secret", "set", name]), &input)
}

fn project(home: &Home) {
    home.write("own/tools/desk/component.wasm", wat::parse_str(WAT).expect("the text is a component"));
    let manifest = format!(
        "name = \"desk\"\nversion = \"1.0.0\"\n[functions.ask]\neffect = \"pure\"\n[capabilities]\n{RULE}\n"
    );
    home.write("own/tools/desk/manifest.toml", manifest);
    home.write("own/policy.toml", format!("[[permit]]\nid = \"desk\"\ntool = \"desk\"\n{RULE}\n"));
    home.write(
        "own/program.toml",
        "name = \"asking\"\n[tools.desk]\npath = \"tools/desk\"\nfunction = \"ask\"\n\
         [[steps]]\nid = \"ask\"\ntype = \"tool\"\ntool = \"desk\"\n",
    );
}

#[test]
fn kept_listed_and_forgotten() {
    let home = Home::new();
    home.nanohost(["secret", "list"]).exits(0).says("there are no secrets");
    set(&home, "refund-key", &format!("{SECRET}\n")).exits(0).says("kept `refund-key`").omits(SECRET);
    set(&home, "refund-key", SECRET).exits(0).says("replaced `refund-key`");
    set(&home, "api.key", SECRET).exits(0);
    let listed = home.nanohost(["secret", "list"]).exits(0);
    assert_eq!(listed.stdout, "api.key\nrefund-key\n");
    let document = home.nanohost(["secret", "list", "--json"]).exits(0).omits(SECRET).json();
    assert_eq!(document["secrets"], serde_json::json!(["api.key", "refund-key"]));
    for file in ["secrets.sealed", "secrets.key"] {
        let text = fs::read_to_string(home.path("config/secrets").join(file)).expect("a file");
        assert!(!text.contains(SECRET), "{file}");
    }
    home.nanohost(["secret", "rm", "api.key"]).exits(0);
    home.nanohost(["secret", "rm", "api.key"]).exits(2).says("secret_missing");
    assert_eq!(home.nanohost(["secret", "list"]).exits(0).stdout, "refund-key\n");
}

#[test]
fn what_is_no_secret_is_refused() {
    let home = Home::new();
    for value in ["", "\n", "short", "two words of it", "two\nlines-of-it", "sëcret-value", &"x".repeat(5000)]
    {
        set(&home, "refund-key", value).exits(2).says("secret_invalid");
    }
    for name in ["Refund", "a b", "../a", ""] {
        set(&home, name, SECRET).exits(2).says("secret_invalid").omits(SECRET);
    }
    // On the command line others would see it.
    home.nanohost(["secret", "set", "refund-key", SECRET]).exits(2);
    home.nanohost(["secret", "list"]).exits(0).says("there are no secrets");
}

#[test]
fn a_program_without_its_secret_does_not_begin() {
    let home = Home::new();
    project(&home);
    let command = |name: &str| home.nanohost([name, "own/program.toml", "--policy", "own/policy.toml"]);
    for name in ["plan", "run"] {
        command(name).exits(2).says("secret_missing").says("nanohost secret set refund-key");
    }
    assert_eq!(home.runs().len(), 0);

    set(&home, "refund-key", SECRET).exits(0);
    command("plan").exits(0).says("secrets refund-key in authorization of POST api.example.com/v1/**");
    let done = home.nanohost(["run", "own/program.toml", "--policy", "own/policy.toml", "--json"]);
    let document = done.exits(0).omits(SECRET).json();
    assert_eq!(document["output"], 0, "the host has it");
    let run = document["run"].as_str().expect("an id");
    home.nanohost(["verify", run]).exits(0).says("VERIFIED");
    home.nanohost(["trace", run, "--json", "--reveal"]).exits(0).omits(SECRET);
    let file = home.path("run.jsonl");
    let file = file.to_str().expect("UTF-8");
    home.nanohost(["export", run, "--disclose", "all", "--output", file]).exits(0);
    assert!(!fs::read_to_string(file).expect("a file").contains(SECRET));
}

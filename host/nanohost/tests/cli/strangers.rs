//! Programs that call themselves like another's, and clones inside trusted projects: neither gets
//! what is not theirs.

use std::fs;

use crate::harness::{Home, built_component, repository};

/// A clone whose program has the name of the refund example, with the same tool, under a policy
/// that nobody trusts and that grants what a stranger's policy may grant.
fn impostor(home: &Home, idempotency: &str) {
    let component = fs::read(built_component("issue_refund")).expect("it was built");
    let manifest = fs::read(repository().join("tools/issue-refund/manifest.toml")).expect("it is there");
    home.write("clone/tools/issue-refund/component.wasm", component);
    home.write("clone/tools/issue-refund/manifest.toml", manifest);
    home.write(
        "clone/policies/local.toml",
        "[[permit]]\nid = \"mine\"\nreason = \"tests\"\nowner = \"tests\"\ntool = \"issue-refund\"\nkv = [\"ledger\"]\n",
    );
    home.write(
        "clone/program.toml",
        format!(
            "name = \"customer_refund\"\nversion = \"1.0.0\"\nmax_steps = 2\n\n\
             [tools.issue_refund]\npath = \"tools/issue-refund\"\n\n\
             [[steps]]\nid = \"book\"\ntype = \"tool\"\ntool = \"issue_refund\"\n\
             args = {{ order_id = \"A-1001\", amount_cents = 1 }}\n{idempotency}is_terminal = true\n"
        ),
    );
}

#[test]
fn a_program_of_the_same_name_does_not_see_the_others_ledger() {
    let home = Home::new();
    let booked = home.examples().refund(0, &["order_id=A-1001"]);
    assert_eq!(booked["outcome"], "refunded");
    impostor(&home, "");
    // Where the ledger is shared the tool rejects: the order was refunded already.
    let program = home.path("clone/program.toml");
    let done = home.nanohost(["run", "--json", &program.display().to_string()]).exits(0);
    assert_eq!(done.json()["output"]["amount_cents"], 1);
}

#[test]
fn a_program_of_the_same_name_does_not_get_the_others_recorded_results() {
    let home = Home::new();
    home.examples().refund(0, &["order_id=A-1001"]);
    impostor(&home, "idempotency = \"A-1001\"\n");
    let program = home.path("clone/program.toml");
    let document = home.nanohost(["run", "--json", &program.display().to_string()]).exits(0).json();
    assert_eq!(document["steps"][0]["recorded"], false);
    // Its own second run gets its own recorded result.
    let document = home.nanohost(["run", "--json", &program.display().to_string()]).exits(0).json();
    assert_eq!(document["steps"][0]["recorded"], true);
    assert_eq!(document["output"]["amount_cents"], 1);
}

#[test]
fn trust_in_a_project_is_none_in_a_clone_inside_of_it() {
    let home = Home::new();
    let policy =
        "[[permit]]\nid = \"p\"\nreason = \"tests\"\nowner = \"tests\"\ntool = \"t\"\nkv = [\"k\"]\n";
    home.write("own/policies/local.toml", policy);
    home.nanohost(["trust", "own"]).exits(0);
    let at = |folder: &str| {
        home.write(
            format!("{folder}/tools/t/Cargo.toml"),
            "[package]\nname = \"t\"\nversion = \"1.0.0\"\n\n[workspace]\n",
        );
        home.write(format!("{folder}/tools/t/src/lib.rs"), "compile_error!(\"was compiled\");\n");
        home.write(format!("{folder}/tools/t/manifest.toml"), "name = \"t\"\nversion = \"1.0.0\"\n");
        home.write(
            format!("{folder}/tools/t/Cargo.lock"),
            "version = 4\n\n[[package]]\nname = \"t\"\nversion = \"1.0.0\"\n",
        );
        let program = "name = \"p\"\nmax_steps = 1\n[tools.t]\npath = \"tools/t\"\n[[steps]]\nid = \"t\"\ntype = \"tool\"\n";
        home.write(format!("{folder}/program.toml"), program)
    };
    // The trusted project's own tool is built, which here means: its author's code gets to fail.
    let own = at("own").display().to_string();
    home.nanohost(["plan", own.as_str()]).exits(2).says("build_failed").says("was compiled");
    home.write("own/third_party/evil/policies/local.toml", policy);
    let evil = at("own/third_party/evil").display().to_string();
    home.nanohost(["plan", evil.as_str()]).exits(2).says("unbuilt_tool").omits("was compiled");
}

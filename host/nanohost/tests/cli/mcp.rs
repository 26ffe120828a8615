//! The gateway on standard input and output: what clients get, what they do not, and that every call of
//! theirs is in the evidence under their name.

use std::fs;

use serde_json::{Value, json};

use crate::database;
use crate::harness::{Done, Home, eventually};
use crate::mcp_client::Client;
use crate::tool::Project;

/// A gateway for the small tool that books, with programs published and its tools offered to clients.
fn bookkeeping(project: &Project<'_>, programs: &[&str], more: &[&str]) -> Client {
    let text = |path: std::path::PathBuf| path.into_os_string().into_string().expect("UTF-8");
    let (policy, tools) = (text(project.path("policies/local.toml")), text(project.path("tools")));
    let programs: Vec<String> = programs.iter().map(|name| text(project.path(name))).collect();
    let mut args: Vec<&str> = programs.iter().map(String::as_str).collect();
    args.extend(["--policy", &policy, "--tools", &tools]);
    args.extend(more);
    Client::start(project.home, &args)
}

/// A program of a client that books under the name that the policy's row is for, or another one.
fn saved_source(name: &str) -> String {
    format!(
        "name = \"{name}\"\nmax_steps = 2\n[inputs]\n[tools.ledger]\npath = \"ledger\"\nfunction = \"book\"\n\
         [[steps]]\nid = \"call\"\ntype = \"tool\"\ntool = \"ledger\"\nis_terminal = true\n"
    )
}

fn fits(schema: &Value, value: &Value, what: &str) {
    let validator = jsonschema::draft202012::new(schema).expect("a schema");
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{what}: {errors:?}\n{value:#}");
}

/// A run of this client is there, signed with its name, and verifies.
#[track_caller]
fn is_proven(home: &Home, run: &str, principal: &str) {
    home.nanohost(["verify", run]).exits(0).says("VERIFIED");
    let envelopes = home.envelopes(run);
    assert_eq!(envelopes[0]["predicate"]["principal"], principal, "{envelopes:#?}");
}

#[test]
fn a_published_program_is_a_tool_with_its_inputs_and_an_answer_that_fits() {
    let home = Home::new();
    let examples = home.examples();
    let (program, policy) = (examples.path("refund/program.toml"), examples.policy());
    let args = [program.to_str().expect("UTF-8"), "--policy", policy.to_str().expect("UTF-8")];
    let mut client = Client::start(&home, &args);
    let tool = client.tool("customer_refund");
    assert_eq!(tool["inputSchema"]["properties"]["order_id"]["type"], "string", "{tool:#}");
    assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{tool:#}");
    // It writes a letter and books, so it is no program that only reads; it reaches no other host.
    assert_eq!(
        tool["annotations"],
        json!({ "readOnlyHint": false, "destructiveHint": true, "idempotentHint": false, "openWorldHint": false })
    );
    let result = client.call_with(
        "customer_refund",
        json!({ "order_id": "A-1001" }),
        json!({ "progressToken": "steps" }),
    );
    let answer = &result["structuredContent"];
    fits(&tool["outputSchema"], answer, "the answer");
    assert_eq!(
        (&answer["status"], &answer["outcome"]),
        (&json!("success"), &json!("refunded")),
        "{answer:#}"
    );
    assert_eq!(answer["output"]["refund_id"], "R-A-1001", "{answer:#}");
    // As text it is the same document.
    let text: Value =
        serde_json::from_str(result["content"][0]["text"].as_str().expect("text")).expect("JSON");
    assert_eq!(text, *answer);
    let steps: Vec<&str> = client.told.iter().filter_map(|told| told["params"]["message"].as_str()).collect();
    assert_eq!(steps.first(), Some(&"running find_order"), "{:#?}", client.told);
    let run = answer["run"].as_str().expect("an id").to_owned();
    let envelopes = home.envelopes(&run);
    let last = envelopes.last().expect("there are some");
    assert_eq!(result["_meta"]["dev.nanohost/envelopes"]["last"], last["digest"]);
    assert_eq!(result["_meta"]["dev.nanohost/envelopes"]["count"], envelopes.len());
    is_proven(&home, &run, "agent");
    // What does not fit is told, and nothing runs for it.
    client.refuses("customer_refund", json!({ "order": "A-1001" }), "unknown_input");
    client.refuses("customer_refund", json!({ "order_id": 7 }), "invalid_input");
    assert_eq!(home.runs().len(), 1);
}

#[test]
fn the_gateways_own_tools_answer_as_their_schemas_say() {
    let home = Home::new();
    let project = Project::new(&home);
    let mut client = bookkeeping(&project, &["book.toml"], &[]);
    let run = client.gives("bookkeeping", json!({}))["run"].as_str().expect("an id").to_owned();
    let asked = [
        ("check_program", json!({ "source": saved_source("mine") })),
        ("check_program", json!({ "source": "steps = 7" })),
        ("save_program", json!({ "source": saved_source("mine") })),
        ("list_programs", json!({})),
        ("get_program", json!({ "name": "bookkeeping" })),
        ("get_program", json!({ "name": "mine" })),
        ("list_runs", json!({})),
        ("get_trace", json!({ "run": run })),
        ("get_receipt", json!({ "run": run })),
        ("verify_run", json!({ "run": run })),
        ("run_program", json!({ "program": "bookkeeping" })),
        ("delete_program", json!({ "name": "mine" })),
    ];
    for (name, arguments) in asked {
        let tool = client.tool(name);
        fits(&tool["inputSchema"], &arguments, name);
        let answer = client.gives(name, arguments);
        fits(&tool["outputSchema"], &answer, name);
    }
    let receipt = client.gives("get_receipt", json!({ "run": run }));
    let own = home.nanohost(["receipt", &run, "--json"]).exits(0).json();
    assert_eq!(receipt, own, "the receipt is the same function of the same evidence");
    client.refuses("delete_program", json!({ "name": "mine" }), "unknown_program");
    client.refuses("get_trace", json!({ "run": "0".repeat(32) }), "unknown_run");
    client.refuses("get_trace", json!({ "run": &run[..12] }), "invalid_argument");
    client.refuses("get_trace", json!({}), "invalid_argument");
    client.refuses("get_trace", json!({ "run": run, "reveal": true }), "invalid_argument");
    client.refuses("run_program", json!({ "program": "bookkeeping", "source": "x" }), "invalid_argument");
}

#[test]
fn lists_are_paged_and_resources_are_the_same_documents() {
    let home = Home::new();
    let project = Project::new(&home);
    let mut client = bookkeeping(&project, &["book.toml"], &[]);
    let run = client.gives("bookkeeping", json!({}))["run"].as_str().expect("an id").to_owned();
    let mut uris = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let params = if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) };
        let page = client.ask("resources/list", params)["result"].clone();
        uris.extend(page["resources"].as_array().expect("a list").iter().map(|one| one["uri"].clone()));
        cursor = page["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    let wanted = [
        "nanohost://programs/bookkeeping".to_owned(),
        "nanohost://programs/bookkeeping/tools/ledger/manifest".to_owned(),
        format!("nanohost://runs/{run}/receipt"),
        format!("nanohost://runs/{run}/trace"),
    ];
    assert_eq!(uris, wanted);
    let read = client.ask("resources/read", json!({ "uri": wanted[2] }));
    let text = read["result"]["contents"][0]["text"].as_str().unwrap_or_else(|| panic!("{read:#}"));
    let receipt: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(receipt, client.gives("get_receipt", json!({ "run": run })));
    for nowhere in ["nanohost://runs/../trace", "file:///etc/passwd", "nanohost://programs/../../keys"] {
        let refused = client.ask("resources/read", json!({ "uri": nowhere }));
        assert!(refused["error"]["code"].is_i64(), "{refused:#}");
    }
    let wrong = client.ask("resources/list", json!({ "cursor": "made up" }));
    assert_eq!(wrong["error"]["code"], -32602, "{wrong:#}");
}

#[test]
fn a_key_starts_a_run_once_also_after_the_gateway_was_killed() {
    let home = Home::new();
    let project = Project::new(&home);
    let mut client = bookkeeping(&project, &["book.toml", "book-and-spin.toml"][..1], &[]);
    let key = json!({ "dev.nanohost/idempotencyKey": "order-7" });
    let first = client.call_with("bookkeeping", json!({}), key.clone())["structuredContent"].clone();
    assert_eq!(first["repeated"], false, "{first:#}");
    let again = client.call_with("bookkeeping", json!({}), key.clone())["structuredContent"].clone();
    assert_eq!((&again["run"], &again["repeated"]), (&first["run"], &json!(true)), "{again:#}");
    let named = client.gives("run_program", json!({ "program": "bookkeeping", "idempotencyKey": "order-7" }));
    assert_eq!(named["run"], first["run"], "it is one key however it is given");
    client.kill();
    let mut client = bookkeeping(&project, &["book.toml"], &[]);
    let after = client.call_with("bookkeeping", json!({}), key)["structuredContent"].clone();
    assert_eq!(after["run"], first["run"], "{after:#}");
    assert_eq!(home.runs().len(), 1);
    let wrong = client.call_with("bookkeeping", json!({}), json!({ "dev.nanohost/idempotencyKey": 7 }));
    assert_eq!(wrong["_meta"]["dev.nanohost/code"], "invalid_argument", "{wrong:#}");
    // Another principal's key is another key.
    drop(client);
    let mut other = bookkeeping(&project, &["book.toml"], &["--as", "other"]);
    let theirs = other.gives("run_program", json!({ "program": "bookkeeping", "idempotencyKey": "order-7" }));
    assert_ne!(theirs["run"], first["run"]);
    assert_eq!(theirs["repeated"], false, "{theirs:#}");
}

#[test]
fn a_cancelled_call_stops_the_guest_and_its_end_is_signed() {
    let home = Home::new();
    let project = Project::new(&home);
    let mut client = bookkeeping(&project, &["book-and-spin.toml"], &[]);
    let id = client.begin("tools/call", json!({ "name": "bookkeeping", "arguments": {} }));
    let run = eventually("the intent", || {
        let runs = home.runs();
        let run = runs.iter().find(|run| run["state"] == "running" && run["envelopes"] == 3)?;
        Some(run["run"].as_str()?.to_owned())
    });
    client.say(&json!({
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": { "requestId": id, "reason": "enough" },
    }));
    eventually("the end", || (home.state(&run) == "cancelled").then_some(()));
    assert_eq!(database::kv(&home), [], "nothing of the stopped call was kept");
    is_proven(&home, &run, "agent");
    // The gateway goes on.
    let trace = client.gives("get_trace", json!({ "run": run }));
    assert_eq!(trace["state"], "closed", "{trace:#}");
}

#[test]
fn a_run_whose_gateway_is_killed_recovers_and_its_key_does_not_run_twice() {
    let home = Home::new();
    let project = Project::new(&home);
    let mut client = bookkeeping(&project, &["book-and-spin.toml"], &[]);
    let call = json!({
        "name": "bookkeeping",
        "arguments": {},
        "_meta": { "dev.nanohost/idempotencyKey": "once" },
    });
    client.begin("tools/call", call.clone());
    let run = eventually("the intent", || {
        let runs = home.runs();
        let run = runs.iter().find(|run| run["state"] == "running" && run["envelopes"] == 3)?;
        Some(run["run"].as_str()?.to_owned())
    });
    client.kill();
    assert_eq!(home.state(&run), "interrupted");
    // The gateway that comes after it answers from the store, and the same key takes the same run up.
    let mut client = bookkeeping(&project, &["book-and-spin.toml"], &[]);
    let trace = client.gives("get_trace", json!({ "run": run }));
    assert_eq!(trace["envelopes"].as_array().map(Vec::len), Some(3), "{trace:#}");
    let id = client.begin("tools/call", call);
    eventually("the run goes on", || (home.state(&run) == "running").then_some(()));
    assert_eq!(home.runs().len(), 1, "no second run was begun");
    client.say(&json!({
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": { "requestId": id },
    }));
    eventually("the end", || (home.state(&run) == "cancelled").then_some(()));
    is_proven(&home, &run, "agent");
}

#[test]
fn a_client_that_goes_leaves_runs_that_are_over() {
    let home = Home::new();
    let project = Project::new(&home);
    let mut client = bookkeeping(&project, &["book-and-spin.toml"], &[]);
    client.begin("tools/call", json!({ "name": "bookkeeping", "arguments": {} }));
    let run = eventually("the intent", || {
        let runs = home.runs();
        let run = runs.iter().find(|run| run["state"] == "running" && run["envelopes"] == 3)?;
        Some(run["run"].as_str()?.to_owned())
    });
    let (_, code) = client.close();
    assert_eq!(code, Some(0));
    assert_eq!(home.state(&run), "cancelled");
    is_proven(&home, &run, "agent");
}

#[test]
fn a_saved_program_gets_only_what_is_written_for_saved_programs() {
    let home = Home::new();
    let project = Project::new(&home);
    let policy = project.path("policies/local.toml");
    let plain = fs::read_to_string(&policy).expect("it is there");
    // By the name that the operator's program has, too.
    fs::write(&policy, plain.replace("tool = \"ledger\"", "tool = \"ledger\"\nprogram = \"bookkeeping\""))
        .expect("it is writable");
    let mut client = bookkeeping(&project, &[], &[]);
    client.gives("save_program", json!({ "source": saved_source("bookkeeping") }));
    let refused = client.refuses("run_program", json!({ "program": "bookkeeping" }), "not_granted");
    assert_eq!(refused["structuredContent"]["status"], "not_admitted", "{refused:#}");
    let run = refused["structuredContent"]["run"].as_str().expect("an id").to_owned();
    home.nanohost(["verify", &run]).exits(0);
    assert_eq!(database::kv(&home), [], "nothing was booked");
    drop(client);
    // The same with a row that is written for saved programs: the denial meant something.
    fs::write(&policy, plain.replace("tool = \"ledger\"", "tool = \"ledger\"\nclass = \"saved\""))
        .expect("it is writable");
    let mut client = bookkeeping(&project, &[], &[]);
    let ran = client.gives("run_program", json!({ "program": "bookkeeping" }));
    assert_eq!(ran["status"], "success", "{ran:#}");
    assert_eq!(database::kv(&home).len(), 1);
    is_proven(&home, ran["run"].as_str().expect("an id"), "agent");
    let unsaved = client.gives("run_program", json!({ "source": saved_source("another") }));
    assert_eq!(unsaved["status"], "success", "{unsaved:#}");
    drop(client);
    // The operator's own program of that name gets nothing of the row.
    let own = project.run("book.toml").exits(3).json();
    assert_eq!(own["denied"][0]["code"], "not_granted", "{own:#}");
    // And a policy can say that nothing runs that was not saved.
    let text = fs::read_to_string(&policy).expect("it is there");
    fs::write(&policy, format!("unsaved = \"refuse\"\n{text}")).expect("it is writable");
    let mut client = bookkeeping(&project, &[], &[]);
    client.refuses("run_program", json!({ "source": saved_source("another") }), "unsaved_program");
    client.gives("run_program", json!({ "program": "bookkeeping" }));
}

#[test]
fn a_clients_program_names_no_place_of_this_machine() {
    let home = Home::new();
    let project = Project::new(&home);
    let mut client = bookkeeping(&project, &["book.toml"], &[]);
    let tools = project.path("tools/ledger");
    let own = |row: &str| saved_source("mine").replace("path = \"ledger\"", row);
    for row in [
        format!("path = {:?}", tools.to_str().expect("UTF-8")),
        "path = \"../../tools/ledger\"".to_owned(),
        "path = \"../ledger\"".to_owned(),
        format!("package = \"oci://registry.example/ledger:1.0.0@sha256:{}\"", "0".repeat(64)),
    ] {
        client.refuses("save_program", json!({ "source": own(&row) }), "saved_origin");
        client.refuses("run_program", json!({ "source": own(&row) }), "saved_origin");
    }
    let scripted = "name = \"mine\"\n[inputs]\n[models]\nscripted = \"/etc/passwd\"\n[[steps]]\nid = \"a\"\n\
                    type = \"llm\"\nprompt = \"x\"\nis_terminal = true\n";
    client.refuses("run_program", json!({ "source": scripted }), "saved_origin");
    client.refuses("save_program", json!({ "source": saved_source("../../x") }), "unnamed_program");
    client.refuses("save_program", json!({ "source": saved_source("bookkeeping") }), "ambiguous_program");
    let unnamed = saved_source("mine").replace("name = \"mine\"\n", "");
    client.refuses("save_program", json!({ "source": unnamed }), "unnamed_program");
    for name in ["../names", "..", "mine/../../x", "names/mine"] {
        client.refuses("get_program", json!({ "name": name }), "unknown_program");
        client.refuses("run_program", json!({ "program": name }), "unknown_program");
        client.refuses("delete_program", json!({ "name": name }), "unknown_program");
    }
    assert!(tools.join("component.wasm").exists());
    // Another client's names are not there for this one.
    client.gives("save_program", json!({ "source": saved_source("mine") }));
    drop(client);
    let mut other = bookkeeping(&project, &["book.toml"], &["--as", "other"]);
    other.refuses("run_program", json!({ "program": "mine" }), "unknown_program");
    other.refuses("get_program", json!({ "name": "mine" }), "unknown_program");
}

#[test]
fn without_tools_for_clients_none_of_their_programs_run() {
    let home = Home::new();
    let project = Project::new(&home);
    let (program, policy) = (project.path("book.toml"), project.path("policies/local.toml"));
    let args = [program.to_str().expect("UTF-8"), "--policy", policy.to_str().expect("UTF-8")];
    let mut client = Client::start(&home, &args);
    client.gives("run_program", json!({ "program": "bookkeeping" }));
    client.refuses("run_program", json!({ "source": saved_source("mine") }), "saved_programs_off");
}

#[test]
fn no_request_grants_loads_trusts_or_changes_a_policy_or_a_key() {
    let home = Home::new();
    let project = Project::new(&home);
    let mut client = bookkeeping(&project, &["book.toml"], &[]);
    let files = || {
        let mut all = Vec::new();
        for folder in [home.path("config"), project.path("policies"), project.path("tools")] {
            let mut open = vec![folder];
            while let Some(folder) = open.pop() {
                for entry in fs::read_dir(folder).expect("it is there") {
                    let path = entry.expect("it can be read").path();
                    if path.is_dir() {
                        open.push(path);
                    } else {
                        let bytes = fs::read(&path).expect("it can be read");
                        all.push((path, bytes));
                    }
                }
            }
        }
        all.sort();
        all
    };
    client.gives("bookkeeping", json!({}));
    let before = files();
    for name in [
        "trust",
        "grant",
        "policy_set",
        "set_policy",
        "load_tool",
        "load_component",
        "install",
        "key_new",
        "rotate_key",
        "secret_set",
        "reload",
        "erase",
        "hold",
        "store_restore",
        "token_new",
        "settle",
        "token",
    ] {
        let answer = client.ask("tools/call", json!({ "name": name, "arguments": {} }));
        assert_eq!(answer["error"]["code"], -32602, "{name}: {answer:#}");
    }
    for method in
        ["admin/grant", "policy/reload", "tools/register", "resources/subscribe", "logging/setLevel"]
    {
        let answer =
            client.ask(method, json!({ "uri": "nanohost://programs/bookkeeping", "level": "debug" }));
        assert!(answer["error"]["code"].is_i64(), "{method}: {answer:#}");
    }
    for (name, arguments) in [
        ("run_program", json!({ "program": "bookkeeping", "policy": "own.toml" })),
        ("run_program", json!({ "program": "bookkeeping", "class": "vetted" })),
        ("run_program", json!({ "program": "bookkeeping", "as": "local" })),
        ("run_program", json!({ "source": "class = \"vetted\"\n", "tools": "/" })),
        ("save_program", json!({ "source": saved_source("mine"), "grant": ["kv"] })),
    ] {
        client.refuses(name, arguments, "invalid_argument");
    }
    let classed = format!("class = \"vetted\"\n{}", saved_source("mine"));
    client.refuses("save_program", json!({ "source": classed }), "unknown_field");
    let policy = "[[permit]]\nid = \"me\"\nkv = [\"ledger\"]\n";
    client.refuses(
        "save_program",
        json!({ "source": format!("{}{policy}", saved_source("mine")) }),
        "unknown_field",
    );
    assert_eq!(files(), before, "nothing that decides was touched");
}

#[test]
fn whoever_started_a_run_that_waits_gets_no_token_and_cannot_answer() {
    let home = Home::new();
    let examples = home.examples();
    let (program, policy) = (examples.path("approval/program.toml"), examples.policy());
    let args = [program.to_str().expect("UTF-8"), "--policy", policy.to_str().expect("UTF-8")];
    let mut client = Client::start(&home, &args);
    let asked = client.gives("purchase", json!({}));
    assert_eq!(asked["status"], "suspended", "{asked:#}");
    assert_eq!(asked["waits"]["by"], json!(["role:approver"]), "{asked:#}");
    let run = asked["run"].as_str().expect("an id").to_owned();
    let event = json!({ "approved": true, "approved_by": "me" });
    let refused = client.refuses("resume_run", json!({ "run": run, "event": event }), "resume_refused");
    client.refuses("resume_run", json!({ "run": run }), "resume_refused");
    assert!(!refused.to_string().contains("token\":\""), "{refused:#}");
    assert_eq!(home.state(&run), "suspended");
    drop(client);
    // Somebody who has no part in it does not learn that the run is there.
    let with = |name: &'static str| -> Vec<&str> { [&args[..], &["--as", name]].concat() };
    let mut stranger = Client::start(&home, &with("stranger"));
    stranger.refuses("resume_run", json!({ "run": run }), "unknown_run");
    stranger.refuses("get_trace", json!({ "run": run }), "unknown_run");
    drop(stranger);
    let envelopes = home.envelopes(&run).len();
    // Who has the role is asked, gets the token once, and answers.
    let mut boss = Client::start(&home, &with("dana"));
    let question = boss.gives("resume_run", json!({ "run": run }));
    let tool = boss.tool("resume_run");
    fits(&tool["outputSchema"], &question, "the question");
    assert_eq!(question["asks"]["schema"]["required"], json!(["approved", "approved_by"]), "{question:#}");
    let token = question["asks"]["token"].as_str().expect("a token").to_owned();
    let again = boss.gives("resume_run", json!({ "run": run }));
    assert_eq!(again["asks"]["token"], Value::Null, "it is handed out once");
    assert_eq!(home.envelopes(&run).len(), envelopes, "asking changes nothing");
    let event = json!({ "approved": true, "approved_by": "dana" });
    boss.refuses("resume_run", json!({ "run": run, "event": event }), "resume_refused");
    boss.refuses(
        "resume_run",
        json!({ "run": run, "event": { "approved": "yes" }, "token": token }),
        "resume_refused",
    );
    let resumed = boss.gives("resume_run", json!({ "run": run, "event": event, "token": token }));
    fits(&tool["outputSchema"], &resumed, "the answer");
    assert_eq!(resumed["answer"]["outcome"], "ordered", "{resumed:#}");
    is_proven(&home, &run, "agent");
    // It was the starter's run, and stays theirs to look at.
    boss.refuses("get_trace", json!({ "run": run }), "unknown_run");
}

#[test]
fn a_client_that_knows_tasks_gets_a_handle_for_a_run_that_waits() {
    let home = Home::new();
    let examples = home.examples();
    let (program, policy) = (examples.path("approval/program.toml"), examples.policy());
    let args = [program.to_str().expect("UTF-8"), "--policy", policy.to_str().expect("UTF-8")];
    let mut client = Client::raw(&home, &args);
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": { "extensions": { "io.modelcontextprotocol/tasks": {} } },
    });
    let answer = client.ask("tools/call", json!({ "name": "purchase", "arguments": {}, "_meta": meta }));
    let task = answer["result"].clone();
    assert_eq!(task["resultType"], "task", "{answer:#}");
    let run = task["taskId"].as_str().expect("an id").to_owned();
    assert_eq!(home.state(&run), "suspended");
    let standing = client.ask("tasks/get", json!({ "taskId": run, "_meta": meta }));
    assert_eq!(standing["result"]["status"], "working", "{standing:#}");
    let token = home.nanohost(["token", &run, "--as", "dana", "--json"]).exits(0).json();
    let event = home.write("yes.json", r#"{"approved": true, "approved_by": "dana"}"#);
    home.nanohost([
        "resume",
        &run,
        "--as",
        "dana",
        "--token",
        token["token"].as_str().expect("a token"),
        "--event",
        event.to_str().expect("UTF-8"),
    ])
    .exits(0);
    let done = client.ask("tasks/get", json!({ "taskId": run, "_meta": meta }));
    assert_eq!(done["result"]["status"], "completed", "{done:#}");
    assert_eq!(done["result"]["result"]["structuredContent"]["outcome"], "ordered", "{done:#}");
    let wrong = client.ask("tasks/get", json!({ "taskId": "0".repeat(32), "_meta": meta }));
    assert!(wrong["error"]["code"].is_i64(), "{wrong:#}");
}

#[test]
fn a_client_sees_its_own_runs_alone() {
    let home = Home::new();
    let project = Project::new(&home);
    let own = project.run("book.toml").exits(0).json();
    let run = own["run"].as_str().expect("an id").to_owned();
    let mut client = bookkeeping(&project, &["book.toml"], &[]);
    for name in ["get_trace", "get_receipt", "verify_run"] {
        client.refuses(name, json!({ "run": run }), "unknown_run");
    }
    assert_eq!(client.gives("list_runs", json!({}))["runs"], json!([]));
    let read = client.ask("resources/read", json!({ "uri": format!("nanohost://runs/{run}/trace") }));
    assert!(read["error"]["code"].is_i64(), "{read:#}");
    client.gives("bookkeeping", json!({}));
    assert_eq!(client.gives("list_runs", json!({}))["runs"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_is_no_request_is_answered_and_disturbs_nobody() {
    let home = Home::new();
    let project = Project::new(&home);
    let mut client = bookkeeping(&project, &["book.toml"], &[]);
    for line in [
        &b"{\n"[..],
        b"\xff\xfe{}\n",
        b"[]\n",
        b"null\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":900,\"method\":7}\n",
        b"{\"jsonrpc\":\"1.0\",\"id\":901,\"method\":\"ping\"}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":902,\"method\":\"tools/call\",\"params\":[]}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":903,\"method\":\"tools/call\",\"params\":{\"name\":\"get_trace\",\"arguments\":7}}\n",
        b"{\"jsonrpc\":\"2.0\",\"id\":904,\"result\":{}}\n",
    ] {
        client.send(line);
    }
    client.send(
        &[b"{\"jsonrpc\":\"2.0\",\"id\":905,\"method\":\"", &vec![b'x'; 5 << 20][..], b"\"}\n"].concat(),
    );
    let deep = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":906,\"method\":\"ping\",\"params\":{}{}}}\n",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    client.send(deep.as_bytes());
    // It still answers, in the order that it is asked.
    let run = client.gives("bookkeeping", json!({}))["run"].as_str().expect("an id").to_owned();
    is_proven(&home, &run, "agent");
    let (told, code) = client.close();
    assert_eq!(code, Some(0));
    assert!(told.iter().all(|message| message.get("result").is_none()), "{told:#?}");
}

#[test]
fn a_single_tool_is_served_under_a_policy_that_is_named() {
    let home = Home::new();
    let project = Project::new(&home);
    let tool = format!("{}:add", project.path("tools/ledger").display());
    let refused = home.nanohost(["mcp", "--tool", &tool]);
    refused.exits(2).says("policy_needed");
    let policy = project.path("policies/local.toml");
    let args = ["--tool", &tool, "--policy", policy.to_str().expect("UTF-8")];
    let mut client = Client::start(&home, &args);
    let listed = client.tool("ledger_add");
    assert_eq!(listed["inputSchema"]["required"], json!(["a", "b"]), "{listed:#}");
    let answer = client.gives("ledger_add", json!({ "a": 40, "b": 2 }));
    fits(&listed["outputSchema"], &answer, "the answer");
    assert_eq!(answer["output"], 42, "{answer:#}");
    client.refuses("ledger_add", json!({ "a": 40 }), "missing_input");
    is_proven(&home, answer["run"].as_str().expect("an id"), "agent");
}

#[test]
fn two_programs_of_one_name_are_not_served() {
    let home = Home::new();
    let project = Project::new(&home);
    let (one, two) = (project.path("book.toml"), project.path("add.toml"));
    home.nanohost(["mcp".as_ref(), one.as_os_str(), two.as_os_str()]).exits(2).says("ambiguous_program");
}

#[test]
fn the_configuration_of_every_client_starts_this_gateway() {
    let home = Home::new();
    let project = Project::new(&home);
    let (program, policy) = (project.path("book.toml"), project.path("policies/local.toml"));
    for (client, key) in [
        ("claude-desktop", "mcpServers"),
        ("claude-code", "mcpServers"),
        ("vscode", "servers"),
        ("cursor", "mcpServers"),
    ] {
        let args = ["mcp", "config", client, program.to_str().expect("UTF-8"), "--policy"];
        let mut command = home.command(args);
        command.arg(&policy);
        let document = Done::of(command).exits(0).json();
        let server = &document[key]["nanohost"];
        let command = server["command"].as_str().unwrap_or_else(|| panic!("{document:#}"));
        assert_eq!(command, env!("CARGO_BIN_EXE_nanohost"));
        let args: Vec<&str> =
            server["args"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        assert_eq!(args[0], "mcp");
        let mut started = Client::start(&home, &args[1..]);
        started.gives("bookkeeping", json!({}));
    }
}

#[test]
fn a_number_that_lost_digits_on_its_way_is_refused() {
    let home = Home::new();
    let project = Project::new(&home);
    let add = fs::read_to_string(project.path("add.toml")).expect("it is there");
    let counting = add.replace("[inputs]", "[inputs.count]\ntype = \"number\"");
    fs::write(project.path("add.toml"), counting).expect("it is writable");
    let mut client = bookkeeping(&project, &["add.toml"], &[]);
    for good in ["1", "1.5", "9007199254740993", "18446744073709551615", "-9223372036854775808", "1e-30"] {
        client.send(
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":77,\"method\":\"tools/call\",\"params\":{{\"name\":\"bookkeeping\",\"arguments\":{{\"count\":{good}}}}}}}\n"
            )
            .as_bytes(),
        );
        let answer = client.answer(77);
        assert_eq!(answer["result"]["isError"], false, "{good}: {answer:#}");
    }
    for bad in ["18446744073709551617", "123456789012345678901234567890", "-99999999999999999999999"] {
        client.send(
            format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":78,\"method\":\"tools/call\",\"params\":{{\"name\":\"bookkeeping\",\"arguments\":{{\"count\":{bad}}}}}}}\n"
            )
            .as_bytes(),
        );
        let answer = client.answer(78);
        assert_eq!(answer["result"]["_meta"]["dev.nanohost/code"], "invalid_input", "{bad}: {answer:#}");
    }
}

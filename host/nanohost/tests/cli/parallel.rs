//! Blocks whose calls are really under way at the same time, and steps that run out of time.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Done, Home, built_component, repository};

/// Tools of a project, whose fetch-rates may reach `port` on loopback alone.
pub(crate) fn project(home: &Home, port: u16) {
    let manifest = std::fs::read_to_string(repository().join("tools/fetch-rates/manifest.toml"));
    let manifest = manifest.expect("a file of the repository").replace("8377", &port.to_string());
    let component = std::fs::read(built_component("fetch_rates")).expect("it was built");
    home.write("tools/fetch-rates/manifest.toml", manifest);
    home.write("tools/fetch-rates/component.wasm", component);
    home.write(
        "policy.toml",
        format!(
            "[[permit]]\nid = \"rates\"\ntool = \"fetch-rates\"\nsockets = [{{ address = \"127.0.0.1\", port = {port} }}]\n"
        ),
    );
}

pub(crate) fn fetch(id: &str, port: u16) -> serde_json::Value {
    json!({ "id": id, "type": "tool", "tool": "fetch-rates", "args": { "address": "127.0.0.1", "port": port } })
}

#[test]
fn the_calls_of_a_block_are_under_way_together() {
    let server = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let port = server.local_addr().expect("it is bound").port();
    // Nobody is answered before all have asked: one call after another would never end.
    let serving = std::thread::spawn(move || -> std::io::Result<()> {
        let mut asking = Vec::new();
        for _ in 0..4 {
            let (mut stream, _) = server.accept()?;
            stream.read_exact(&mut [0; 28])?;
            asking.push(stream);
        }
        asking.iter_mut().try_for_each(|stream| stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n1"))
    });
    let home = Home::new();
    project(&home, port);
    let subs: Vec<_> = ["a", "b", "c", "d"].map(|id| fetch(id, port)).into();
    let program =
        json!({ "inputs": {}, "steps": [{ "id": "all", "type": "parallel", "parallel_steps": subs }] });
    home.write("program.json", program.to_string());
    let done = home.nanohost(["run", "program.json", "--policy", "policy.toml", "--json"]).exits(0);
    serving.join().expect("the server did not panic").expect("four came together");
    let document = done.json();
    assert_eq!(document["output"], json!({ "a": "1", "b": "1", "c": "1", "d": "1" }));
    // In the trace they stand as declared, then the block, in whatever order they ended.
    let ids: Vec<&str> =
        document["steps"].as_array().into_iter().flatten().filter_map(|step| step["id"].as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "d", "all"]);
    home.nanohost(["verify", document["run"].as_str().expect("an id")]).exits(0);
}

#[test]
fn a_call_out_of_time_is_stopped() {
    // It takes the connection and never answers: only stopping the guest ends the call.
    let server = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let port = server.local_addr().expect("it is bound").port();
    let serving = std::thread::spawn(move || -> std::io::Result<usize> {
        let (mut stream, _) = server.accept()?;
        stream.read_exact(&mut [0; 28])?;
        // The end of the connection is the guest's end.
        stream.read(&mut [0; 1])
    });
    let home = Home::new();
    project(&home, port);
    let mut step = fetch("a", port);
    step["timeout_seconds"] = json!(0.3);
    home.write("program.json", json!({ "inputs": {}, "steps": [step] }).to_string());
    let done = home.nanohost(["run", "program.json", "--policy", "policy.toml", "--json"]).exits(4);
    assert_eq!(serving.join().expect("the server did not panic").expect("the guest was there"), 0);
    // What it sent may have had an effect: that is in doubt, and nothing repeats it.
    let document = done.json();
    assert_eq!(document["suspended"]["inDoubt"], true, "{document:#}");
    assert_eq!(document["steps"][0]["error"]["code"], "step_timeout");
    home.nanohost(["verify", document["run"].as_str().expect("an id")]).exits(0);
}

/// One call after another, where the policies of the machine and the project leave room for no more:
/// whoever comes waits, and none is refused.
#[test]
fn the_calls_of_a_block_wait_for_the_room_that_policies_leave() {
    use std::os::unix::fs::PermissionsExt as _;

    let server = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let port = server.local_addr().expect("it is bound").port();
    let serving = std::thread::spawn(move || -> std::io::Result<usize> {
        let mut meanwhile = 0;
        for _ in 0..4 {
            let (mut stream, _) = server.accept()?;
            stream.read_exact(&mut [0; 28])?;
            // The others would come while this one waits for its answer, were there room for them.
            server.set_nonblocking(true)?;
            // So long and no longer: a busy machine takes its time over each turn, and calls have deadlines.
            let until = Instant::now() + Duration::from_millis(30);
            while Instant::now() < until {
                meanwhile += usize::from(server.accept().is_ok());
                std::thread::yield_now();
            }
            server.set_nonblocking(false)?;
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n1")?;
        }
        Ok(meanwhile)
    });
    let home = Home::new();
    project(&home, port);
    let policy = std::fs::read_to_string(home.path("policy.toml")).expect("it was written");
    let machine =
        home.write("machine/policy.toml", "otherwise = \"abstain\"\n[limits.together]\ncalls = 2\n");
    for (path, mode) in [(home.path("machine"), 0o700), (machine.clone(), 0o600)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
    }
    let subs: Vec<_> = ["a", "b", "c", "d"].map(|id| fetch(id, port)).into();
    let program =
        json!({ "inputs": {}, "steps": [{ "id": "all", "type": "parallel", "parallel_steps": subs }] });
    home.write("program.json", program.to_string());
    let nanohost = |command: &str, calls: &str| {
        home.write(
            "policy.toml",
            format!("{policy}\n[limits]\nmemory = \"16MiB\"\n[limits.together]\n{calls}\n"),
        );
        let mut command = home.command([command, "program.json", "--policy", "policy.toml", "--json"]);
        command.env("NANOHOST_MACHINE_POLICY", &machine);
        Done::of(command)
    };
    // One that would never fit is refused before it is waited for.
    nanohost("plan", "memory = \"15MiB\"").finds(3, "never_fits");
    let plan = nanohost("plan", "memory = \"31MiB\"").exits(0).json();
    let together = &plan["tools"]["rows"][0]["together"];
    assert_eq!(together, &json!({ "calls": 2, "memory": 31 << 20 }), "of each bound the smaller one");
    let document = nanohost("run", "memory = \"31MiB\"").exits(0).json();
    assert_eq!(serving.join().expect("the server did not panic").expect("all came"), 0, "one at a time");
    assert_eq!(document["output"], json!({ "a": "1", "b": "1", "c": "1", "d": "1" }));
    home.nanohost(["verify", document["run"].as_str().expect("an id")]).exits(0);
}

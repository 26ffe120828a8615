//! Pairs of tools that can pass things to each other.

use super::*;

/// What the tools `one` and `two` share; each with its manifest, and both with these lines of a policy.
fn shared(manifests: [&str; 2], imports: &[&'static str], rows: &str) -> Vec<String> {
    importing(manifests, [imports, imports], rows)
}

/// The same, where each imports what only it does.
fn importing(manifests: [&str; 2], imports: [&[&'static str]; 2], rows: &str) -> Vec<String> {
    let tools = "[tools.one]\npath = \"one\"\n[tools.two]\npath = \"two\"";
    let source = Source::new("policy.toml", permit(rows));
    let [one, two] = manifests;
    let admission = Admission {
        program: program(&[call("one"), call("two"), tools.to_owned()].join("\n")),
        offers: vec![offer("one", one, imports[0]), offer("two", two, imports[1])],
        policies: vec![Policy::parse(source, "/srv", Trust::Trusted).expect("a policy")],
        today: "2026-11-23T00:00:00.000Z".parse().expect("a moment"),
    };
    let plan = admit(admission).expect("admitted");
    let all = plan.shared().into_iter().map(|own| {
        assert_eq!((own.one.as_str(), own.other.as_str()), ("one", "two"));
        let writes = match own.what {
            SharedThing::Folder { one_writes, other_writes, .. } => format!(" {one_writes} {other_writes}"),
            SharedThing::Kv(_) | SharedThing::Host(_) => String::new(),
        };
        format!("{} {}{writes}", own.what.kind(), own.what.value())
    });
    all.collect()
}

#[test]
fn folders_that_lie_in_each_other() {
    let policy = |one: &str, two: &str| {
        format!(
            "filesystem = [{{ guest = \"/data\", access = \"write\" }}]\n[folders.one]\n\"/data\" = {one:?}\n\
             [folders.two]\n\"/data\" = {two:?}\n"
        )
    };
    let share = |one: &str, two: &str| shared([WRITE, READ], &[FILES], &policy(one, two));
    assert_eq!(share("/out/a", "/out/a"), ["folder /out/a true false"]);
    assert_eq!(share("/out", "/out/a"), ["folder /out/a true false"]);
    assert_eq!(share("/out/a", "/out"), ["folder /out/a true false"]);
    assert_eq!(share("/out/a", "/out/ab"), [""; 0]);
    assert_eq!(shared([READ, READ], &[FILES], &policy("/out", "/out")), ["folder /out false false"]);
}

#[test]
fn hosts_by_any_way() {
    let api = |host: &str| {
        format!("[capabilities]\nhttp = [{{ host = {host:?}, methods = [\"GET\"], path = \"/\" }}]")
    };
    let all = "http = [{ host = \"*.x.test\", methods = [\"GET\"], path = \"/**\" }]";
    let share = |one: &str, two: &str| shared([&api(one), &api(two)], &[HTTP], all);
    assert_eq!(share("a.x.test", "a.x.test"), ["host a.x.test:443"]);
    assert_eq!(share("a.x.test", "*.x.test"), ["host a.x.test:443"]);
    assert_eq!(share("a.x.test", "b.x.test"), [""; 0]);
    let socket = "[capabilities]\nsockets = [{ address = \"127.0.0.1\", port = 7 }]";
    let other = "[capabilities]\nsockets = [{ address = \"127.0.0.1\", port = 8 }]";
    let rows = "sockets = [{ address = \"127.0.0.1\", port = 7 }, { address = \"127.0.0.1\", port = 8 }]";
    assert_eq!(shared([socket, socket], &[TCP], rows), ["host 127.0.0.1:7"]);
    assert_eq!(shared([socket, other], &[TCP], rows), [""; 0]);
    let loopback = "[capabilities]\nhttp = [{ scheme = \"http\", host = \"127.0.0.1\", port = 7, methods = [\"GET\"], path = \"/\" }]";
    let both = format!(
        "{rows}\nhttp = [{{ scheme = \"http\", host = \"127.0.0.1\", port = 7, methods = [\"GET\"], path = \"/**\" }}]"
    );
    assert_eq!(importing([socket, loopback], [&[TCP], &[HTTP]], &both), ["host 127.0.0.1:7"]);
}

#[test]
fn namespaces_only_of_one_tool_under_two_names() {
    let kv = "kv = [\"ledger\"]";
    // Two tools have namespaces of their own, whatever they call them.
    assert_eq!(shared([LEDGER, LEDGER], &[KV], kv), [""; 0]);
    let tools = "[tools.a]\npath = \"t\"\n[tools.b]\npath = \"t\"";
    let mut offers = vec![offer("t", LEDGER, &[KV]), offer("t", LEDGER, &[KV])];
    (offers[0].local, offers[1].local) = (name("a"), name("b"));
    let source = Source::new("policy.toml", permit(kv));
    let plan = admit(Admission {
        program: program(&[call("a"), call("b"), tools.to_owned()].join("\n")),
        offers,
        policies: vec![Policy::parse(source, "/srv", Trust::Trusted).expect("a policy")],
        today: "2026-11-23T00:00:00.000Z".parse().expect("a moment"),
    })
    .expect("admitted");
    let own = plan.shared();
    assert_eq!(own.len(), 1);
    assert_eq!((own[0].one.as_str(), own[0].other.as_str()), ("a", "b"));
    assert_eq!(own[0].what, SharedThing::Kv("ledger".into()));
}

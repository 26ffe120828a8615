use super::*;
use crate::review::Change;

fn digest(letter: char) -> String {
    format!("sha256:{}", letter.to_string().repeat(64))
}

/// A lock with one tool; `more` are further lines of it.
fn text(more: &str) -> String {
    format!(
        "format = 1\n\n[tools.refund]\npath = \"../refund\"\ntool = \"refund-api\"\nversion = \"1.0.0\"\nmanifest = \"{}\"\n\
         function = \"refund\"\ninput = \"{}\"\noutput = \"{}\"\n{more}",
        digest('a'),
        digest('b'),
        digest('c')
    )
}

/// A line that names a package.
fn package(more: &str) -> String {
    format!("package = \"oci://registry/refund:1.0.0@{}\"{more}", digest('e'))
}

/// The same tool, from a package.
fn of_package(more: &str) -> String {
    text(more).replace("path = \"../refund\"", &package(""))
}

fn lock(text: &str) -> Result<Lock, Diagnostics> {
    Lock::parse(Source::new("program.lock", text))
}

fn sound(text: &str) -> Lock {
    lock(text).unwrap_or_else(|found| panic!("{found}"))
}

/// The codes of all findings with their lines, or `ok`.
fn verdict(text: &str) -> String {
    let Err(found) = lock(text) else { return "ok".to_owned() };
    let line = |finding: &Diagnostic| {
        let (source, span) = (finding.source.as_ref()?, finding.span.as_ref()?);
        Some(source.line_column(span.start).0)
    };
    let all: Vec<String> =
        found.iter().map(|one| format!("{}@{}", one.code, line(one).unwrap_or(0))).collect();
    all.join(" ")
}

#[test]
fn one_line_a_case() {
    for (text, expect) in [
        (text(""), "ok"),
        (text("asks = [\"kv ledger\"]"), "ok"),
        ("format = 1".to_owned(), "ok"),
        (String::new(), "invalid_field@1"),
        ("format = 2".to_owned(), "invalid_field@1"),
        ("format = \"1\"".to_owned(), "invalid_field@1"),
        ("format = 1\nformat = 1".to_owned(), "duplicate_key@2"),
        ("format = 1\nversion = 1".to_owned(), "unknown_field@2"),
        ("format = 1\n[tool.refund]".to_owned(), "unknown_field@2"),
        (text("pinned = true"), "unknown_field@11"),
        (text("asks = \"kv ledger\""), "invalid_field@11"),
        (text("asks = [1]"), "invalid_field@11"),
        (text("claims = [\"limits.memory 1GiB\"]"), "ok"),
        (text("claims = \"pii of f: input.a\""), "invalid_field@11"),
        // Read and not compared, it would protect nothing.
        (text(&format!("component = \"{}\"", digest('d'))), "invalid_field@11"),
        (text(&format!("publisher = \"{}\"", "a".repeat(64))), "invalid_field@11"),
        (of_package(&signed(&"a".repeat(64))), "ok"),
        (of_package(&signed("ed25519:x")), "invalid_field@12"),
        (text(&package(&format!("\ncomponent = \"{}\"", digest('d')))), "invalid_field@11"),
        (of_package(&format!("component = \"{}\"", digest('d'))), "ok"),
        (of_package(""), "invalid_field@3"),
        (
            of_package(&format!("component = \"{}\"", digest('d'))).replace("@sha256:e", "@sha256:E"),
            "invalid_field@4",
        ),
        (
            of_package(&format!("component = \"{}\"", digest('d'))).replace(&format!("@{}", digest('e')), ""),
            "invalid_field@4",
        ),
        (text("").replace("manifest = \"sha256:", "manifest = \"sha1:"), "invalid_field@7"),
        (text("").replace(&format!("input = \"{}\"", digest('b')), ""), "invalid_field@3"),
        (text("").replace("[tools.refund]", "[tools.\"a b\"]"), "invalid_field@3"),
        ("format = 1\n[tools]\nrefund = 1".to_owned(), "invalid_field@3"),
        ("format = [".to_owned(), "not_toml@1"),
    ] {
        assert_eq!(verdict(&text), expect, "{text}");
    }
}

#[test]
fn what_is_written_is_read_back_and_written_the_same() {
    let odd = "../a \"folder\" with\n'all' \\ \u{1b}[31m\u{202e} of it";
    let mut pins = sound(&text("asks = [\"kv ledger\", \"http POST https://a/**\"]")).pins().clone();
    pins.0.values_mut().for_each(|pin| pin.path = Some(odd.to_owned()));
    let written = pins.to_text();
    let again = sound(&written);
    assert_eq!(again.pins(), &pins);
    assert_eq!(again.pins().to_text(), written);
    assert!(written.contains("\n[tools.refund]\n"), "{written}");
    assert!(
        written.ends_with("asks = [\n    \"http POST https://a/**\",\n    \"kv ledger\",\n]\nclaims = []\n"),
        "{written}"
    );
}

#[test]
fn the_same_is_no_difference_and_each_difference_has_its_place() {
    let lock = sound(&text("asks = [\"kv ledger\"]"));
    assert!(lock.check(lock.pins(), "nanohost update").is_empty());
    for (from, to, line, says) in [
        (digest('a'), digest('d'), 7, "the manifest of `refund` is sha256:dddd"),
        (digest('b'), digest('d'), 9, "the schema of the arguments of `refund` is sha256:dddd"),
        (digest('c'), digest('d'), 10, "the schema of the result of `refund` is sha256:dddd"),
        (
            "../refund".into(),
            "../other".into(),
            4,
            "the folder of `refund` is ../other; its lock says ../refund",
        ),
        ("path = \"../refund\"".into(), String::new(), 4, "the folder of `refund` is found by its name"),
        ("refund-api".into(), "other-api".into(), 5, "the own name of `refund` is other-api"),
        ("1.0.0".into(), "1.1.0".into(), 6, "the version of `refund` is 1.1.0"),
        ("function = \"refund\"".into(), "function = \"pay\"".into(), 8, "the function of `refund` is pay"),
        ("kv ledger".into(), "kv other".into(), 11, "asks for kv other, which the lock does not have"),
        ("[tools.refund]".into(), "[tools.pay]".into(), 1, "a tool `pay`, which its lock does not pin"),
    ] {
        let now = sound(&lock.source.text.replace(&from, &to));
        let found = lock.check(now.pins(), "nanohost update program.toml");
        let first = found.iter().next().unwrap_or_else(|| panic!("nothing was found for {to}"));
        assert_eq!(first.code, "lock_mismatch");
        assert!(found.iter().any(|own| own.message.contains(says)), "{says:?}: {found}");
        let place = |own: &&Diagnostic| own.message.contains(says);
        let own = found.iter().find(place).expect("it was just found");
        assert_eq!(own.place(), Some(format!("program.lock:{line}:{}", column(own))), "{own}");
        assert!(own.help.as_ref().is_some_and(|help| help.contains("nanohost update program.toml")));
    }
}

#[test]
fn a_package_that_is_another_one_is_told_with_what_it_was() {
    let component = |letter| format!("component = \"{}\"", digest(letter));
    let folder = sound(&text(""));
    let lock = sound(&of_package(&component('d')));
    assert!(lock.check(lock.pins(), "").is_empty());
    let whats =
        |now: &Lock| moves(lock.pins(), now.pins()).into_iter().map(|own| own.what).collect::<Vec<_>>();
    assert_eq!(whats(&sound(&of_package(&component('f')))), ["component"]);
    assert_eq!(whats(&sound(&of_package(&component('d')).replace(":1.0.0@", ":2.0.0@"))), ["package"]);
    let [moved] = &moves(folder.pins(), lock.pins())[..] else {
        panic!("where it comes from, and nothing else")
    };
    assert_eq!((moved.what, moved.before.as_deref()), ("package", Some("../refund")));
    assert_eq!(whats(&folder), ["package"]);
}

fn column(own: &Diagnostic) -> usize {
    let (source, span) = (own.source.as_ref().expect("a source"), own.span.as_ref().expect("a place"));
    source.line_column(span.start).1
}

#[test]
fn a_mismatch_shows_both_digests_whole() {
    let lock = sound(&text(""));
    let now = sound(&text("").replace(&digest('a'), &digest('e')));
    let found = lock.check(now.pins(), "").to_string();
    assert!(found.contains(&digest('a')) && found.contains(&digest('e')), "{found}");
}

#[test]
fn moves_say_what_widens_and_what_narrows() {
    let (before, after) = (
        sound(&text("asks = [\"kv ledger\", \"clock real\"]")),
        sound(
            &text("asks = [\"kv ledger\", \"http POST https://a/**\"]").replace(&digest('a'), &digest('d')),
        ),
    );
    let all = moves(before.pins(), after.pins());
    let said: Vec<(Change, String)> = all.iter().map(|own| (own.change, own.sentence())).collect();
    assert_eq!(said[0].0, Change::Changed);
    assert!(said[0].1.starts_with("its manifest is another one"));
    assert_eq!(said[1], (Change::Widened, "widened: its manifest asks for http POST https://a/**".into()));
    assert_eq!(said[2], (Change::Narrowed, "narrowed: its manifest asks no longer for clock real".into()));
    assert_eq!(said.len(), 3);
    // What else decides about a run is told as what it is.
    let claims = |of: &str| sound(&text(&format!("claims = [{of}]")));
    let (claimed, claims_now) = (
        claims("\"effect of pay: external\", \"limits.memory 128MiB\""),
        claims("\"effect of pay: pure\", \"limits.memory 128MiB\""),
    );
    let said: Vec<String> = moves(claimed.pins(), claims_now.pins()).iter().map(Move::sentence).collect();
    assert_eq!(
        said,
        ["its manifest no longer says effect of pay: external", "its manifest says effect of pay: pure",]
    );
    // A tool that is new widens by all it asks for.
    let all = moves(&Pins::default(), before.pins());
    let changes: Vec<Change> = all.iter().map(|own| own.change).collect();
    assert_eq!(changes, [Change::Added, Change::Widened, Change::Widened]);
}

#[test]
fn one_tool_moves_and_the_others_stay() {
    let name = |name: &str| ToolName::new(name).expect("a name");
    let two = format!("{}{}", text(""), text("").replace("format = 1", "").replace(".refund]", ".pay]"));
    let before = sound(&two).pins().clone();
    let after = sound(&two.replace(&digest('a'), &digest('d'))).pins().clone();
    let moved = before.clone().with(&after, &[name("pay")]);
    let tools: Vec<String> = moves(&before, &moved).iter().map(|own| own.tool.to_string()).collect();
    assert_eq!(tools, ["pay"]);
    // One that the program has no longer goes.
    assert_eq!(before.with(&Pins::default(), &[name("pay")]).iter().count(), 1);
}

/// A package's component, and the key that it is signed with.
fn signed(key: &str) -> String {
    format!("component = \"{}\"\npublisher = \"{key}\"", digest('d'))
}

#[test]
fn a_publisher_that_is_pinned_stays() {
    let lock = |more: &str| Lock::parse(Source::new("program.lock", of_package(more))).expect("a lock");
    let (one, other) = (lock(&signed(&"a".repeat(64))), lock(&signed(&"b".repeat(64))));
    let older = lock(&format!("component = \"{}\"", digest('d')));
    let found = |lock: &Lock, now: &Lock| lock.check(now.pins(), "update").iter().count();
    assert_eq!(found(&one, &one), 0);
    assert_eq!(found(&one, &other), 1);
    assert_eq!(found(&one, &older), 1, "nobody signs it any more");
    assert_eq!(found(&older, &one), 0, "the lock is older than the signature");
    let said = one.check(other.pins(), "update").to_string();
    assert!(said.contains("the publisher of `refund` is bbbb"), "{said}");
    // What is written is read.
    let again = Lock::parse(Source::new("program.lock", one.pins().to_text())).expect("a lock");
    assert_eq!(again.pins(), one.pins());
}

use super::*;

fn import(name: &str) -> Import {
    Import { name: name.into(), functions: vec!["f".into()] }
}

#[test]
fn classification() {
    use Classified::{Authority, Inert, InertByDefault, Unknown};
    for (name, expect) in [
        ("wasi:cli/stdout@0.2.6", Inert),
        ("wasi:cli/exit@0.2.0", Inert),
        ("wasi:cli/terminal-stdin@0.2.3", Inert),
        ("wasi:io/streams@0.2.12", Inert),
        ("wasi:cli/environment@0.2.6", InertByDefault(Class::Env)),
        ("wasi:clocks/wall-clock@0.2.6", InertByDefault(Class::Clock)),
        ("wasi:random/insecure-seed@0.2.6", InertByDefault(Class::Random)),
        ("wasi:filesystem/preopens@0.2.6", Authority(Class::Filesystem)),
        ("wasi:sockets/tcp@0.2.6", Authority(Class::Sockets)),
        ("wasi:http/outgoing-handler@0.2.6", Authority(Class::Http)),
        ("nanohost:tool/secrets@0.1.0", Authority(Class::Secrets)),
        ("wasi:http/types@0.2.4", Authority(Class::Http)),
        ("wasi:http/incoming-handler@0.2.6", Unknown),
        ("nanohost:tool/kv@0.1.0", Authority(Class::Kv)),
        ("nanohost:tool/kv@0.1.9", Authority(Class::Kv)),
        ("nanohost:tool/log@0.1.0", Inert),
        ("nanohost:tool/call-context@0.1.0", Inert),
        ("nanohost:tool/types@0.1.0", Inert),
        // Forged, foreign or merely similar names.
        ("wasi:cli/stdout@0.3.0", Unknown),
        ("wasi:cli/stdout@0.2.0-rc-1", Unknown),
        ("wasi:cli/stdout@0.2.6+x", Unknown),
        ("wasi:cli/stdout@0.2.06", Unknown),
        ("wasi:cli/stdout@0.2.", Unknown),
        ("wasi:cli/stdout@0.2", Unknown),
        ("wasi:cli/stdout@10.2.0", Unknown),
        ("wasi:cli/stdout@0.1.0", Unknown),
        ("wasi:cli/stdout", Unknown),
        ("wasi:cli/command@0.2.6", Unknown),
        ("wasi:clocks/timezone@0.2.6", Unknown),
        ("wasi:cli-x/stdout@0.2.6", Unknown),
        ("my:cli/stdout@0.2.6", Unknown),
        ("nanohost:tool/kv@0.2.0", Unknown),
        ("nanohost:tool/shell@0.1.0", Unknown),
        ("stdout", Unknown),
        ("", Unknown),
        ("/@..", Unknown),
    ] {
        assert_eq!(classify(&import(name)), expect, "{name}");
    }
}

#[test]
fn types_alone_are_no_clock() {
    let mut clock = import("wasi:clocks/wall-clock@0.2.6");
    assert_eq!(classify(&clock), Classified::InertByDefault(Class::Clock));
    clock.functions.clear();
    assert_eq!(classify(&clock), Classified::Inert);
    // A resource without functions is still a handle to something.
    let network = Import { name: "wasi:sockets/network@0.2.6".into(), functions: Vec::new() };
    assert_eq!(classify(&network), Classified::Authority(Class::Sockets));
}

#[test]
fn patterns() {
    for (pattern, name, expect) in [
        ("wasi:sockets/*", "wasi:sockets/udp@0.2.6", true),
        ("wasi:sockets/udp", "wasi:sockets/udp@0.2.1", true),
        ("wasi:sockets/udp", "wasi:sockets/tcp@0.2.6", false),
        ("wasi:sockets/*", "wasi:filesystem/types@0.2.6", false),
        ("wasi:sockets/*", "wasi:sockets/udp@0.3.0", false),
        ("nanohost:tool/*", "nanohost:tool/kv@0.1.0", true),
        ("nanohost:tool/*", "nanohost:tool/log@0.1.0", false),
    ] {
        let parsed = ImportPattern::parse(pattern).expect("a valid pattern");
        assert_eq!(parsed.matches(&import(name)), expect, "{pattern} matches {name}");
        assert_eq!(parsed.to_string(), pattern);
    }
    for text in [
        "*",
        "wasi:*",
        "wasi:cli/*",
        "wasi:clocks/wall-clock",
        "wasi:sockets/nope",
        "evil:x/*",
        "wasi:sockets/*@0.2.6",
        "",
    ] {
        assert_eq!(ImportPattern::parse(text), None, "{text}");
    }
}

use proptest::prelude::*;

use super::*;

fn rule(scheme: Scheme, host: &str, port: u16, methods: &[Method], path: &str) -> HttpRule {
    HttpRule {
        scheme,
        host: Host::parse(host).expect("a host"),
        port,
        methods: methods.iter().copied().collect(),
        path: PathPattern::parse(path).expect("a path"),
        private: false,
    }
}

/// `method url`, taken apart as a guest hands it over.
fn target(method: &str, scheme: &str, authority: &str, path: &str) -> Result<HttpTarget, BadTarget> {
    HttpTarget::parse(method, scheme, authority, path)
}

#[test]
fn hosts_have_one_spelling() {
    for (text, expect) in [
        ("api.example.com", true),
        ("localhost", true),
        ("xn--bcher-kva.example", true),
        ("127.0.0.1", true),
        ("[::1]", true),
        ("*.example.com", true),
        ("", false),
        ("*", false),
        ("*.com", false),
        ("*.", false),
        ("*.*.example.com", false),
        ("a*.example.com", false),
        ("*.10.0.0.1", false),
        ("API.example.com", false),
        ("api.example.com.", false),
        (".example.com", false),
        ("api..example.com", false),
        ("-api.example.com", false),
        ("bücher.example", false),
        ("api.example.com:443", false),
        ("user@api.example.com", false),
        ("http://api.example.com", false),
        ("2130706433", false),
        ("127.1", false),
        ("0177.0.0.1", false),
        ("0x7f.0.0.1", false),
        ("0x7f000001", false),
        ("::1", false),
        ("[0:0:0:0:0:0:0:1]", false),
        ("[::ffff:10.0.0.1]", false),
        ("[::1%25eth0]", false),
        ("0.0.0.0", false),
        ("[::]", false),
        ("224.0.0.1", false),
    ] {
        assert_eq!(Host::parse(text).is_some(), expect, "{text}");
    }
    assert!(Host::parse(&"a.".repeat(127)).is_none());
    assert!(Host::parse(&"a".repeat(64)).is_none());
}

#[test]
fn suffixes_match_whole_labels() {
    let suffix = Host::parse("*.example.com").expect("a host");
    for (host, expect) in [
        ("api.example.com", true),
        ("a.b.example.com", true),
        ("example.com", false),
        ("badexample.com", false),
        ("example.com.evil.test", false),
        ("example.org", false),
    ] {
        assert_eq!(suffix.matches(host), expect, "{host}");
    }
}

#[test]
fn paths_have_one_spelling() {
    for (text, expect) in [
        ("/", true),
        ("/**", true),
        ("/v1/refunds", true),
        ("/v1/refunds/", true),
        ("/v1/refunds/**", true),
        ("/caf%C3%A9", true),
        ("", false),
        ("v1", false),
        ("**", false),
        ("/v1**", false),
        ("/v1/*", false),
        ("/*/refunds", false),
        ("/**/refunds", false),
        ("/v1/../v2", false),
        ("/v1/./v2", false),
        ("/v1//v2", false),
        ("//v1", false),
        ("/v1;a=b", false),
        ("/v1\\v2", false),
        ("/v1?a=b", false),
        ("/v1#a", false),
        ("/caf%c3%a9", false),
        ("/café", false),
        ("/%2e%2e/", false),
        ("/%41", false),
    ] {
        assert_eq!(PathPattern::parse(text).is_some(), expect, "{text}");
    }
    assert!(PathPattern::parse(&format!("/{}", "a".repeat(256))).is_none());
}

#[test]
fn what_begins_with_it_and_nothing_else() {
    let below = PathPattern::parse("/v1/**").expect("a path");
    for (path, expect) in
        [("/v1/", true), ("/v1/a", true), ("/v1/a/b", true), ("/v1", false), ("/v12/a", false), ("/", false)]
    {
        assert_eq!(below.matches(path), expect, "{path}");
    }
}

#[test]
fn a_request_has_one_reading() {
    for (scheme, authority, path, expect) in [
        ("https", "api.example.com", "/v1/a?b=c", "https://api.example.com/v1/a?b=c"),
        ("https", "API.Example.com:443", "", "https://api.example.com/"),
        ("https", "api.example.com:8443", "/", "https://api.example.com:8443/"),
        ("http", "127.0.0.1:8080", "/a%c3%a9", "http://127.0.0.1:8080/a%C3%A9"),
        ("http", "[::1]:8080", "?a=%2e%2e", "http://[::1]:8080/?a=%2e%2e"),
        ("ftp", "api.example.com", "/", "the scheme is neither http nor https"),
        ("https", "u:p@api.example.com", "/", "the URL names a user"),
        ("https", "api.example.com@evil.test", "/", "the URL names a user"),
        ("https", "", "/", "the host is no name or address in its one spelling"),
        ("https", "bücher.example", "/", "the host is no name or address in its one spelling"),
        ("https", "api.example.com.", "/", "the host is no name or address in its one spelling"),
        ("https", "2130706433", "/", "the host is no name or address in its one spelling"),
        ("https", "[::ffff:127.0.0.1]", "/", "the host is no name or address in its one spelling"),
        ("https", "[::1", "/", "the address is not closed"),
        ("https", "api.example.com:", "/", "the port is not from 1 to 65535"),
        ("https", "api.example.com:0443", "/", "the port is not from 1 to 65535"),
        ("https", "api.example.com:+443", "/", "the port is not from 1 to 65535"),
        ("https", "api.example.com:65536", "/", "the port is not from 1 to 65535"),
        ("https", "[::1]443", "/", "the port is not from 1 to 65535"),
        ("https", "a.test", "*", "the path does not begin with `/`"),
        ("https", "a.test", "/#f", "a request has no fragment"),
        ("https", "a.test", "/v1/../v2", "the path holds `.` or `..`"),
        ("https", "a.test", "/v1/..", "the path holds `.` or `..`"),
        ("https", "a.test", "/v1//v2", "the path holds `//`"),
        ("https", "a.test", "//v1", "the path holds `//`"),
        ("https", "a.test", "/v1;/v2", "the path holds a character that does not belong there"),
        ("https", "a.test", "/v1\\v2", "the path holds a character that does not belong there"),
        ("https", "a.test", "/v1/\u{ff0e}./", "the path holds a character that does not belong there"),
        ("https", "a.test", "/%zz", "the path holds an escape that is none"),
        ("https", "a.test", "/%2", "the path holds an escape that is none"),
        ("https", "a.test", "/a?b c", "the query holds a character that has to be escaped"),
        ("https", "a.test", "/a?b\r\nHost: x", "the query holds a character that has to be escaped"),
    ] {
        let read = target("GET", scheme, authority, path).map(|target| {
            format!("{}://{}{}", target.scheme().as_str(), target.authority(), target.path_and_query())
        });
        assert_eq!(read.unwrap_or_else(|bad| bad.to_string()), expect, "{scheme} {authority} {path}");
    }
    for escape in
        ["2e", "2E", "2f", "2F", "5c", "5C", "3b", "00", "0d", "0a", "25", "252e", "3f", "23", "41", "7f"]
    {
        let read = target("GET", "https", "a.test", &format!("/v1/%{escape}/x"));
        assert_eq!(
            read,
            Err(BadTarget("the path escapes a character that readers take for another")),
            "%{escape}"
        );
    }
    for method in ["CONNECT", "TRACE", "get", "BREW", "GET ", ""] {
        assert!(target(method, "https", "a.test", "/").is_err(), "{method}");
    }
    assert!(target("GET", "https", "a.test", &format!("/{}", "a".repeat(MAX_URL))).is_err());
}

#[test]
fn every_part_of_a_rule_counts() {
    let own = rule(Scheme::Https, "api.example.com", 443, &[Method::Post], "/v1/refunds/**");
    let asked = |method, scheme, authority, path| {
        own.matches(&target(method, scheme, authority, path).expect("sound"))
    };
    assert!(asked("POST", "https", "api.example.com", "/v1/refunds/7?a=b"));
    assert!(asked("POST", "https", "API.example.com:443", "/v1/refunds/"));
    for (method, scheme, authority, path) in [
        ("GET", "https", "api.example.com", "/v1/refunds/7"),
        ("POST", "http", "api.example.com:443", "/v1/refunds/7"),
        ("POST", "https", "api.example.com:8443", "/v1/refunds/7"),
        ("POST", "https", "example.com", "/v1/refunds/7"),
        ("POST", "https", "api.example.com.evil.test", "/v1/refunds/7"),
        ("POST", "https", "api.example.com", "/v1/refunds"),
        ("POST", "https", "api.example.com", "/v1/refundsx/7"),
    ] {
        assert!(!asked(method, scheme, authority, path), "{method} {scheme}://{authority}{path}");
    }
}

#[test]
fn how_it_is_shown() {
    let mut own = rule(Scheme::Https, "*.example.com", 443, &[Method::Post, Method::Get], "/v1/**");
    assert_eq!(own.to_string(), "GET,POST https://*.example.com/v1/**");
    own.port = 8443;
    own.private = true;
    assert_eq!(own.to_string(), "GET,POST https://*.example.com:8443/v1/** (private addresses too)");
}

fn rules() -> impl Strategy<Value = HttpRule> {
    (
        prop::sample::select(vec![Scheme::Http, Scheme::Https]),
        prop::sample::select(vec!["a.test", "b.a.test", "c.b.a.test", "*.a.test", "*.b.a.test", "10.0.0.1"]),
        prop::sample::select(vec![80, 443]),
        prop::collection::btree_set(prop::sample::select(vec![Method::Get, Method::Post]), 1..3),
        prop::sample::select(vec!["/", "/**", "/v1", "/v1/", "/v1/**", "/v1/a", "/v1/a/**", "/v2/**"]),
        any::<bool>(),
    )
        .prop_map(|(scheme, host, port, methods, path, private)| HttpRule {
            private,
            methods,
            ..rule(scheme, host, port, &[], path)
        })
}

fn targets() -> impl Strategy<Value = HttpTarget> {
    (
        prop::sample::select(vec!["http", "https"]),
        prop::sample::select(vec!["a.test", "b.a.test", "c.b.a.test", "xa.test", "10.0.0.1"]),
        prop::sample::select(vec![80, 443]),
        prop::sample::select(vec!["GET", "POST"]),
        prop::sample::select(vec!["/", "/v1", "/v1/", "/v1/a", "/v1/a/b", "/v2/x", "/v12"]),
    )
        .prop_map(|(scheme, host, port, method, path)| {
            target(method, scheme, &format!("{host}:{port}"), path).expect("sound")
        })
}

proptest! {
    #[test]
    fn the_lattice_is_that_of_requests(a in rules(), b in rules(), c in rules(), request in targets()) {
        prop_assert!(a.covers(&a));
        prop_assert_eq!(a.meet(&b), b.meet(&a));
        let both = a.matches(&request) && b.matches(&request);
        match a.meet(&b) {
            Some(meet) => {
                prop_assert!(a.covers(&meet) && b.covers(&meet));
                prop_assert_eq!(meet.matches(&request), both);
                prop_assert!(!(a.covers(&c) && b.covers(&c)) || meet.covers(&c));
            }
            None => {
                prop_assert!(!both);
                prop_assert!(!(a.covers(&c) && b.covers(&c)));
            }
        }
        if a.covers(&b) {
            prop_assert!(!b.matches(&request) || a.matches(&request));
            prop_assert!(!b.covers(&c) || a.covers(&c));
        }
    }

    /// What was read once reads the same again: the spelling that is matched is the one sent.
    #[test]
    fn reading_settles(authority in "[a-zA-Z0-9.:\\[\\]@-]{0,20}", path in "[/a-c.%0-9A-Fa-f?;\\\\]{0,20}") {
        if let Ok(once) = target("GET", "https", &authority, &path) {
            let again = target("GET", "https", &once.authority(), &once.path_and_query());
            prop_assert_eq!(again.as_ref(), Ok(&once));
            prop_assert!(!once.path().contains("..") || !once.path().split('/').any(|part| part == ".."));
        }
    }

    /// Whoever names a rule sees it read back as the same one.
    #[test]
    fn parts_are_shown_as_they_are_written(own in rules()) {
        prop_assert_eq!(Host::parse(&own.host.to_string()), Some(own.host));
        prop_assert_eq!(PathPattern::parse(&own.path.to_string()), Some(own.path));
    }
}

use super::*;

#[test]
fn one_line_a_challenge() {
    let bearer = |realm: &str, service: Option<&str>| {
        Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
    };
    for (headers, expect) in [
        (vec!["Basic realm=\"x\""], Some(Challenge::Basic)),
        (vec!["Bearer realm=\"https://a/token\",service=\"a\""], bearer("https://a/token", Some("a"))),
        (vec!["Basic realm=\"x\"", "bearer realm=\"https://a/token\""], bearer("https://a/token", None)),
        (vec!["Bearer realm=\"https://a\",realm=\"https://b\""], None),
        (vec!["Bearer service=\"a\""], None),
        (vec!["Negotiate"], None),
        (vec!["Bearer realm="], None),
        (vec![], None),
    ] {
        assert_eq!(Challenge::of(headers.iter().copied()), expect, "{headers:?}");
    }
}

#[test]
fn passwords_go_to_no_stranger() {
    for (registry, realm, expect) in [
        ("https://ghcr.io", "https://ghcr.io/token", true),
        ("https://registry-1.docker.io", "https://auth.docker.io/token", true),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", true),
        ("https://registry.io", "https://auth.registry.io/token", true),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/token", true),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token", false),
        ("http://localhost:5000", "http://localhost:5000/token", true),
        ("https://ghcr.io", "http://ghcr.io/token", false),
        ("https://ghcr.io", "https://evil.example/token", false),
        ("https://ghcr.io", "https://evil.io/token", false),
        ("https://ghcr.io", "https://xghcr.io/token", false),
        ("https://a.b.example", "https://xb.example/token", false),
        ("https://ghcr.io", "https://user:word@ghcr.io/token", false),
        ("https://registry.internal", "https://evil.internal/token", false),
        ("https://registry.corp.internal", "https://auth.corp.internal/token", true),
        ("https://acme.co.uk", "https://acme.co.uk/token", true),
        ("https://acme.co.uk", "https://auth.acme.co.uk/token", true),
        ("https://registry.acme.co.uk", "https://auth.acme.co.uk/token", true),
        ("https://registry.acme.co.uk", "https://acme.co.uk/token", true),
        ("https://acme.co.uk", "https://evil.co.uk/token", false),
        ("https://acme.co.uk", "https://co.uk/token", false),
        ("https://acme.co.uk", "https://auth.evil.co.uk/token", false),
        ("https://acme.github.io", "https://evil.github.io/token", false),
        ("https://acme.github.io", "https://github.io/token", false),
        ("https://github.io", "https://evil.github.io/token", false),
        ("https://acme.city.kawasaki.jp", "https://auth.acme.city.kawasaki.jp/token", true),
        ("https://acme.xn--55qx5d.cn", "https://evil.xn--55qx5d.cn/token", false),
        ("https://acme.co.uk", "https://auth.evil.co.uk./token", false),
        ("https://acme.co.uk.", "https://evil.co.uk./token", false),
        ("https://10.0.0.1", "https://10.0.0.2/token", false),
    ] {
        let url = |text: &str| text.parse::<Url>().expect("a URL");
        assert_eq!(is_realm_of(&url(realm), &url(registry)), expect, "{registry} {realm}");
    }
}

use super::BaseUrl;

#[test]
fn one_line_a_case() {
    for (text, expect) in [
        ("https://api.example.com/v1", Ok("https://api.example.com:443/v1")),
        ("https://API.Example.com/v1/", Ok("https://api.example.com:443/v1")),
        ("https://api.example.com", Ok("https://api.example.com:443")),
        ("https://api.example.com/", Ok("https://api.example.com:443")),
        ("https://api.example.com:8443/a/b-c_d.e~f:g", Ok("https://api.example.com:8443/a/b-c_d.e~f:g")),
        ("http://localhost:11434/v1", Ok("http://localhost:11434/v1")),
        ("http://127.0.0.1:1", Ok("http://127.0.0.1:1")),
        ("http://[::1]:8080/v1", Ok("http://[::1]:8080/v1")),
        ("http://[0:0:0:0:0:0:0:1]", Ok("http://[::1]:80")),
        ("", Err("begins")),
        ("api.example.com", Err("begins")),
        ("ftp://api.example.com", Err("begins")),
        ("HTTPS://api.example.com", Err("begins")),
        ("https://", Err("host")),
        ("https:///v1", Err("host")),
        ("https://key@api.example.com", Err("user")),
        ("https://api.example.com/v1?key=1", Err("query")),
        ("https://api.example.com/v1#a", Err("query")),
        ("https://api.example.com:/v1", Err("port")),
        ("https://api.example.com:0/v1", Err("port")),
        ("https://api.example.com:080/v1", Err("port")),
        ("https://api.example.com:65536/v1", Err("port")),
        ("https://api.example.com:+80/v1", Err("port")),
        ("https://api..example.com", Err("host")),
        ("https://-a.example.com", Err("host")),
        ("https://a\\b.example.com", Err("host")),
        ("https://ex ample.com", Err("host")),
        ("https://exämple.com", Err("host")),
        ("https://a%2eb.com", Err("host")),
        ("http://127.1", Err("IPv4")),
        ("http://0x7f000001", Err("IPv4")),
        ("http://2130706433", Err("IPv4")),
        ("http://127.0.0.01", Err("IPv4")),
        ("http://[::1", Err("closed")),
        ("http://[::1]x", Err("no port")),
        ("http://[v1.a]", Err("IPv6")),
        ("https://api.example.com/v1/../v2", Err("path")),
        ("https://api.example.com//v1", Err("path")),
        ("https://api.example.com/v1;a", Err("path")),
        ("https://api.example.com/%2e%2e", Err("path")),
        ("https://api.example.com/a\\b", Err("path")),
        ("https://api.example.com/a\nb", Err("path")),
    ] {
        match (BaseUrl::parse(text), expect) {
            (Ok(url), Ok(expect)) => {
                assert_eq!(url.to_string(), expect);
                assert_eq!(BaseUrl::parse(expect).as_ref(), Ok(&url), "{text}");
            }
            (Err(why), Err(part)) => assert!(why.contains(part), "{text}: {why}"),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }
}

#[test]
fn what_stays_on_this_machine() {
    for (text, loopback) in [
        ("http://localhost", true),
        ("http://LOCALHOST", true),
        ("http://127.0.0.1", true),
        ("http://127.8.8.8", true),
        ("http://[::1]", true),
        ("http://localhost.example.com", false),
        ("http://10.0.0.1", false),
        ("http://[::ffff:127.0.0.1]", false),
        ("http://0.0.0.0", false),
    ] {
        assert_eq!(BaseUrl::parse(text).map(|url| url.is_loopback()), Ok(loopback), "{text}");
    }
}

#[test]
fn what_is_asked_for_lies_below() {
    let join = |text: &str| BaseUrl::parse(text).map(|url| url.join("chat/completions"));
    assert_eq!(join("https://a.example/v1/"), Ok("https://a.example:443/v1/chat/completions".into()));
    assert_eq!(join("http://[::1]:1"), Ok("http://[::1]:1/chat/completions".into()));
}

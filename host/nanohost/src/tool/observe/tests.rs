//! What a refusal says of what was wanted.

use super::*;

fn refusal(class: Class, operation: &'static str, value: &str) -> Refusal {
    Refusal { class, operation, value: value.to_owned(), count: 1 }
}

#[test]
fn a_refused_request_is_the_rule_for_itself() {
    for line in
        ["POST https://api.example.com/v1/refunds", "GET http://127.0.0.1:8379/", "PUT https://[::1]:8443/a"]
    {
        let rule = rule_of(&refusal(Class::Http, "request", line)).expect("a rule");
        assert_eq!(rule.to_string(), line);
    }
    for line in ["POST", "BREW https://a.example/", "GET https://a.example", "GET https://a.example/../b"] {
        assert_eq!(rule_of(&refusal(Class::Http, "request", line)), None, "{line}");
    }
    assert_eq!(rule_of(&refusal(Class::Http, "address", "GET https://a.example/")), None);
}

#[test]
fn a_way_out_of_a_folder_lies_in_none() {
    let mut round = Round::default();
    round.folders.insert("/data".to_owned(), Access::Read);
    round.folders.insert("/data/out".to_owned(), Access::Read);
    for (path, folder) in [
        ("/data/a", Some("/data")),
        ("/data/out/a", Some("/data/out")),
        ("/data/../a", None),
        ("/database", None),
    ] {
        assert_eq!(round.folder_of(path), folder, "{path}");
    }
}

use super::*;

#[test]
fn only_what_stays_on_this_machine_or_is_said_to_is_not_encrypted() {
    for (registry, plain) in [
        ("127.0.0.1:5000", true),
        ("127.8.9.1", true),
        ("localhost:5000", true),
        ("[::1]:5000", true),
        ("named.example:5000", true),
        ("named.example", false),
        ("localhost.example", false),
        ("127.0.0.1.example", false),
        ("10.0.0.1:5000", false),
        ("[::2]:5000", false),
    ] {
        assert_eq!(is_plain(registry, &["named.example:5000".to_owned()]), plain, "{registry}");
    }
}

use std::time::Duration;

use super::limit;

#[test]
fn the_limit_is_a_whole_number_of_seconds() {
    let of = |text: &str| limit(Some(text.into())).ok();
    assert_eq!(limit(None).ok(), Some(Duration::from_secs(120)));
    assert_eq!(of("1"), Some(Duration::from_secs(1)));
    assert_eq!(of("86400"), Some(Duration::from_secs(86_400)));
    for text in ["", "0", "86401", "-1", "1.5", "1s", "off", "99999999999999999999"] {
        assert_eq!(of(text), None, "{text}");
    }
}

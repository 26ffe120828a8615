//! The one reading of a request: what is read says itself again, and no rule's path takes it elsewhere.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nanohost_core::{HttpTarget, PathPattern};

fuzz_target!(|text: &str| {
    let mut parts = text.splitn(4, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (method, scheme, authority, rest) = (part(), part(), part(), part());
    if let Ok(target) = HttpTarget::parse(method, scheme, authority, rest) {
        let again = HttpTarget::parse(
            target.method().as_str(),
            target.scheme().as_str(),
            &target.authority(),
            &target.path_and_query(),
        );
        assert_eq!(again.as_ref(), Ok(&target), "the reading settles");
        let path = target.path();
        let odd = ["//", "/../", "/./", "\\", ";", "%2f", "%2F", "%2e", "%2E", "%5c", "%5C"];
        assert!(path.starts_with('/') && odd.iter().all(|odd| !path.contains(odd)), "{path}");
        assert!(!path.ends_with("/..") && !path.ends_with("/."), "{path}");
        assert!(path.is_ascii() && target.host().is_ascii());
    }
    if let Some(pattern) = PathPattern::parse(text) {
        assert_eq!(PathPattern::parse(&pattern.to_string()), Some(pattern));
    }
});

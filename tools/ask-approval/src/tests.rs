use nanohost_guest::{Failure, Suspension};

use crate::approval::ask;

fn check(subject: &str, amount_cents: u64, deadline: Option<u64>, reason: &str) {
    let suspension = Suspension { reason: reason.to_owned(), deadline };
    assert_eq!(ask(subject.to_owned(), amount_cents, deadline), Err(Failure::Suspended(suspension)));
}

#[test]
fn the_reason_says_what_is_asked() {
    check("a kettle", 4_990, None, "approve 49.90 for a kettle?");
    check("12 chairs", 120_005, Some(1_900_000_000), "approve 1200.05 for 12 chairs?");
    check("ä", 7, None, "approve 0.07 for ä?");
}

#[test]
fn what_nobody_can_decide_is_invalid() {
    for (subject, amount) in [("", 1), ("  ", 1), ("a\nb", 1), (&*"x".repeat(201), 1), ("a kettle", 0)] {
        let result = ask(subject.to_owned(), amount, None);
        assert!(matches!(result, Err(Failure::InvalidInput(_))), "{subject:?}");
    }
}

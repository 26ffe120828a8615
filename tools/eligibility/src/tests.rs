use nanohost_guest::Failure;

use crate::day::Day;
use crate::rules::{Customer, Order, Status, decide};

fn order(status: Status, delivered: Option<&str>, total_cents: u64) -> Order {
    let customer = Customer { name: "Mira Halvorsen".to_owned(), email: "mira@example.com".to_owned() };
    let (id, item) = ("A-1001".to_owned(), "kettle".to_owned());
    Order { id, customer, item, total_cents, delivered: delivered.map(str::to_owned), status }
}

fn check(order: Order, as_of: &str, amount_cents: u64, reason: &str) {
    let decision = decide(order, as_of.to_owned()).expect("a decision");
    assert_eq!(decision.amount_cents, amount_cents);
    assert_eq!(decision.eligible, amount_cents > 0);
    assert!(decision.reason.contains(reason), "{}", decision.reason);
}

#[test]
fn a_recent_delivery_is_refunded_whole() {
    check(
        order(Status::Delivered, Some("2026-11-02"), 4_990),
        "2026-11-23",
        4_990,
        "within the last 30 days",
    );
    check(order(Status::Delivered, Some("2026-10-24"), 4_990), "2026-11-23", 4_990, "within");
    check(order(Status::Delivered, Some("2026-11-23"), 50_000), "2026-11-23", 50_000, "within");
}

#[test]
fn everything_else_is_not() {
    let day = Some("2026-11-02");
    check(order(Status::Delivered, Some("2026-10-23"), 4_990), "2026-11-23", 0, "more than 30 days");
    check(order(Status::Delivered, day, 50_001), "2026-11-23", 0, "needs a person");
    check(order(Status::Delivered, day, 0), "2026-11-23", 0, "nothing was paid");
    check(order(Status::Refunded, day, 4_990), "2026-11-23", 0, "refunded already");
    check(order(Status::Cancelled, None, 4_990), "2026-11-23", 0, "cancelled");
    check(order(Status::InTransit, None, 4_990), "2026-11-23", 0, "not been delivered");
    check(order(Status::Placed, None, 4_990), "2026-11-23", 0, "not been delivered");
}

#[test]
fn bad_days_are_invalid_input() {
    let day = Some("2026-11-02");
    for (delivered, as_of) in [
        (day, "yesterday"),
        (day, "2026-11-31"),
        (day, "2026-11-01"),
        (None, "2026-11-23"),
        (Some("2026-2-1"), "2026-11-23"),
    ] {
        let result = decide(order(Status::Delivered, delivered, 1), as_of.to_owned());
        assert!(matches!(result, Err(Failure::InvalidInput(_))), "{delivered:?} as of {as_of}");
    }
}

#[test]
fn days_are_counted_over_months_and_leap_years() {
    let between = |from, to| Day::parse(to)?.since(Day::parse(from)?);
    assert_eq!(between("2026-12-31", "2027-01-01"), Some(1));
    assert_eq!(between("2028-02-28", "2028-03-01"), Some(2));
    assert_eq!(between("2100-02-28", "2100-03-01"), Some(1));
    assert_eq!(between("2000-01-01", "2400-01-01"), Some(146_097));
    assert_eq!(between("2026-11-23", "2026-11-22"), None);
    for text in ["2026-02-29", "2026-13-01", "0000-01-01", "2026-00-10", "+026-01-01", "2026-01-01 ", ""] {
        assert_eq!(Day::parse(text), None, "{text}");
    }
}

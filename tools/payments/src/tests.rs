use nanohost_guest::{Failure, Suspension, testing};

use crate::desk::{BOOKS, Outcome, Payment, Receipt, Status, await_confirmation, create, poll, refund};
use crate::entry::{Paid, Refunded};

fn created(ready_after: u32, becomes: Outcome) -> String {
    let payment = create("A-1001".to_owned(), 4_990, Some(ready_after), Some(becomes)).expect("a payment");
    assert_eq!(payment.status, Status::Pending);
    payment.payment_id
}

#[test]
fn a_payment_is_created_once_for_an_order() {
    let payment = Payment { payment_id: "P-A-1001".to_owned(), status: Status::Pending };
    for _ in 0..2 {
        assert_eq!(create("A-1001".to_owned(), 4_990, None, None).as_ref(), Ok(&payment));
    }
    assert!(matches!(create("A-1001".to_owned(), 4_991, None, None), Err(Failure::Rejected(_))));
    assert!(matches!(
        create("A-1001".to_owned(), 4_990, None, Some(Outcome::Failed)),
        Err(Failure::Rejected(_))
    ));
    assert_eq!(BOOKS.get("payment/P-A-1001"), Ok(Some(b"4990 0 paid".to_vec())));
}

#[test]
fn a_poll_is_answered_once_the_desk_is_ready() {
    let id = created(2, Outcome::Paid);
    for attempt in [1, 2] {
        testing::set_call("k1", attempt);
        assert!(matches!(poll(id.clone()), Err(Failure::Unavailable(_))), "attempt {attempt}");
    }
    for attempt in [3, 4] {
        testing::set_call("k1", attempt);
        assert_eq!(poll(id.clone()).expect("an answer").status, Status::Paid);
    }
}

#[test]
fn a_payment_becomes_what_was_said() {
    for (becomes, status) in [
        (Outcome::Pending, Status::Pending),
        (Outcome::Paid, Status::Paid),
        (Outcome::Failed, Status::Failed),
    ] {
        testing::reset();
        assert_eq!(poll(created(0, becomes)).expect("an answer").status, status);
    }
}

#[test]
fn a_confirmation_suspends() {
    let id = created(0, Outcome::Pending);
    let reason = "the payment P-A-1001 of 49.90 waits for its confirmation".to_owned();
    let suspension = Suspension { reason, deadline: Some(1_900_000_000) };
    assert_eq!(await_confirmation(id.clone(), Some(1_900_000_000)), Err(Failure::Suspended(suspension)));
    assert!(matches!(
        await_confirmation(id, None),
        Err(Failure::Suspended(Suspension { deadline: None, .. }))
    ));
}

#[test]
fn a_payment_is_refunded_once() {
    let id = created(0, Outcome::Paid);
    testing::set_call("k1", 1);
    let expected = Receipt { payment_id: id.clone(), status: Status::Refunded, amount_cents: 4_000 };
    for _ in 0..2 {
        assert_eq!(refund(id.clone(), 4_000).as_ref(), Ok(&expected));
    }
    // The same key for another amount, and another key for the same.
    assert!(matches!(refund(id.clone(), 4_990), Err(Failure::Rejected(_))));
    testing::set_call("k2", 1);
    assert!(matches!(refund(id.clone(), 4_000), Err(Failure::Rejected(_))));
    assert_eq!(poll(id.clone()).expect("an answer").status, Status::Refunded);
    assert!(matches!(await_confirmation(id, None), Err(Failure::Rejected(_))));
    assert_eq!(BOOKS.get("refund/P-A-1001"), Ok(Some(b"4000 k1".to_vec())));
}

#[test]
fn what_failed_or_is_too_much_is_not_refunded() {
    let id = created(0, Outcome::Failed);
    assert!(matches!(refund(id.clone(), 1), Err(Failure::Rejected(_))));
    for amount in [0, 4_991] {
        assert!(matches!(refund(id.clone(), amount), Err(Failure::InvalidInput(_))), "{amount}");
    }
    assert_eq!(BOOKS.list_keys("refund/", None, 10), Ok(Vec::new()));
}

#[test]
fn bad_arguments_book_nothing() {
    for (order, amount, ready_after) in [("A-1001", 0, None), ("payment/A", 1, None), ("A", 1, Some(101))] {
        let result = create(order.to_owned(), amount, ready_after, None);
        assert!(matches!(result, Err(Failure::InvalidInput(_))), "{order:?}");
    }
    for id in ["", "A-1001", "P-", "P-a b", "payment/P-A-1001"] {
        assert!(matches!(poll(id.to_owned()), Err(Failure::InvalidInput(_))), "{id:?}");
    }
    assert!(matches!(poll("P-A-1001".to_owned()), Err(Failure::Rejected(_))));
    assert_eq!(BOOKS.list_keys("", None, 10), Ok(Vec::new()));
}

#[test]
fn entries_read_as_they_were_written() {
    for becomes in [Outcome::Pending, Outcome::Paid, Outcome::Failed] {
        let paid = Paid { amount_cents: u64::MAX, ready_after: 7, becomes };
        assert_eq!(Paid::parse(paid.to_text().as_bytes()), Some(paid));
    }
    let refunded = Refunded { amount_cents: 1, key: "k1".to_owned() };
    assert_eq!(Refunded::parse(refunded.to_text().as_bytes()), Some(refunded));
    for entry in [&b""[..], b"1", b"1 0", b"1 0 lost", b"1 0 paid x", b"-1 0 paid", b"\xff"] {
        assert_eq!(Paid::parse(entry), None, "{entry:?}");
    }
    assert!(poll_of(b"nonsense").is_err());
}

fn poll_of(entry: &[u8]) -> Result<Payment, Failure> {
    testing::reset();
    BOOKS.set("payment/P-A-1001", entry)?;
    poll("P-A-1001".to_owned())
}

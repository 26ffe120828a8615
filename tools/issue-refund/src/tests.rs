use nanohost_guest::{Failure, testing};

use crate::refunds::{LEDGER, Receipt, issue_refund};

#[test]
fn an_order_is_refunded_once() {
    testing::set_call("k1", 1);
    let receipt = issue_refund("A-1001".to_owned(), 4_990).expect("a first refund");
    let expected =
        Receipt { refund_id: "R-A-1001".to_owned(), order_id: "A-1001".to_owned(), amount_cents: 4_990 };
    assert_eq!(receipt, expected);
    assert!(matches!(issue_refund("A-1001".to_owned(), 1), Err(Failure::Rejected(_))));
    assert_eq!(LEDGER.get("refund/A-1001"), Ok(Some(b"R-A-1001 4990 k1".to_vec())));
    assert!(issue_refund("A-1002".to_owned(), 1).is_ok());
}

#[test]
fn bad_arguments_book_nothing() {
    for (order, amount) in [("A-1001", 0), ("refund/A", 1), ("", 1)] {
        assert!(matches!(issue_refund(order.to_owned(), amount), Err(Failure::InvalidInput(_))), "{order:?}");
    }
    assert_eq!(LEDGER.list_keys("", None, 10), Ok(Vec::new()));
}

use nanohost_guest::{Failure, testing};

use crate::wires::{WIRES, wire_transfer};

#[test]
fn a_transfer_is_booked_once_for_one_key() {
    testing::set_call("k1", 1);
    let transfer = wire_transfer("GB33BUKB20201555555555".to_owned(), 480_000).expect("a first transfer");
    assert_eq!((transfer.transfer_id.as_str(), transfer.amount_cents), ("k1", 480_000));
    assert!(matches!(wire_transfer("GB33BUKB20201555555555".to_owned(), 1), Err(Failure::Rejected(_))));
    assert_eq!(WIRES.get("transfer/k1"), Ok(Some(b"GB33BUKB20201555555555 480000".to_vec())));
}

#[test]
fn bad_arguments_book_nothing() {
    for (account, amount) in [("", 1), ("gb33", 1), ("GB 33", 1), (&*"9".repeat(35), 1), ("GB33", 0)] {
        assert!(
            matches!(wire_transfer(account.to_owned(), amount), Err(Failure::InvalidInput(_))),
            "{account}"
        );
    }
    assert_eq!(WIRES.list_keys("", None, 10), Ok(Vec::new()));
}

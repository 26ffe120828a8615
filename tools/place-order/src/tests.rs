use nanohost_guest::{Failure, testing};

use crate::orders::{ORDERS, Order, place};

fn kettle() -> Result<Order, Failure> {
    place("a kettle".to_owned(), 4_990, "ann".to_owned())
}

#[test]
fn orders_are_numbered() {
    for (key, number) in [("k1", "O-00001"), ("k2", "O-00002"), ("k3", "O-00003")] {
        testing::set_call(key, 1);
        assert_eq!(kettle().expect("an order").order_number, number);
    }
    assert_eq!(ORDERS.get("order/O-00002"), Ok(Some(b"4990\nann\na kettle".to_vec())));
    assert_eq!(ORDERS.get("last"), Ok(Some(b"3".to_vec())));
}

#[test]
fn an_order_is_placed_once_for_one_key() {
    testing::set_call("k1", 1);
    let first = kettle().expect("an order");
    testing::set_call("k1", 2);
    assert_eq!(kettle().expect("the same order"), first);
    assert!(matches!(place("a kettle".to_owned(), 1, "ann".to_owned()), Err(Failure::Rejected(_))));
    assert_eq!(ORDERS.list_keys("order/", None, 10), Ok(vec!["order/O-00001".to_owned()]));
}

#[test]
fn bad_arguments_order_nothing() {
    let long = "x".repeat(201);
    for (item, amount, by) in [
        ("", 1, "ann"),
        ("a\nb", 1, "ann"),
        (&long, 1, "ann"),
        ("a", 0, "ann"),
        ("a", 1, " "),
        ("a", 1, "ann\n1"),
    ] {
        let result = place(item.to_owned(), amount, by.to_owned());
        assert!(matches!(result, Err(Failure::InvalidInput(_))), "{item:?} {by:?}");
    }
    assert_eq!(ORDERS.list_keys("", None, 10), Ok(Vec::new()));
}

#[test]
fn a_book_that_cannot_be_read_is_left_alone() {
    ORDERS.set("last", b"many").expect("it writes");
    assert!(matches!(kettle(), Err(Failure::Rejected(_))));
    assert_eq!(ORDERS.list_keys("order/", None, 10), Ok(Vec::new()));
}

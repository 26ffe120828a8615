use nanohost_guest::{Failure, testing};
use order_id::OrderId;

use crate::orders::{Order, Status, find, find_order};

const BOOK: &str = r#"{"orders": [
    {"id": "A-1", "customer": {"name": "Mira", "email": "mira@example.com"}, "item": "kettle",
     "total_cents": 4990, "delivered": "2026-11-02", "status": "delivered"},
    {"id": "A-2", "customer": {"name": "Noor", "email": "noor@example.com"}, "item": "lamp",
     "total_cents": 100, "delivered": null, "status": "in_transit"}
]}"#;

fn look(book: &str, id: &str) -> Result<Option<Order>, Failure> {
    find(book.as_bytes(), &OrderId::parse(id.to_owned())?)
}

#[test]
fn an_order_is_found_by_its_exact_id() {
    let order = look(BOOK, "A-2").expect("a sound book").expect("an order");
    assert_eq!((order.status, order.delivered, order.total_cents), (Status::InTransit, None, 100));
    assert_eq!(look(BOOK, "A-3"), Ok(None));
    assert_eq!(look(BOOK, "a-1"), Ok(None));
}

#[test]
fn a_book_that_is_not_sound_is_no_book() {
    let twice = BOOK.replace("A-2", "A-1");
    let negative = BOOK.replace("4990", "-1");
    let unknown = BOOK.replace("\"item\"", "\"article\"");
    for book in [&twice, &negative, &unknown, "", "[]", "{\"orders\": 1}"] {
        assert!(matches!(look(book, "A-1"), Err(Failure::Rejected(_))), "{book}");
    }
}

#[test]
fn the_example_s_book_is_read_from_the_granted_folder() {
    testing::mount("/data", concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/refund/data"));
    let order = find_order("A-1001".to_owned()).expect("a readable book").expect("an order");
    assert_eq!((order.id.as_str(), order.status), ("A-1001", Status::Delivered));
}

#[test]
fn what_is_no_id_or_not_there_is_said_so() {
    testing::mount("/data", "no-such-folder");
    assert!(matches!(find_order("../A-1001".to_owned()), Err(Failure::InvalidInput(_))));
    assert!(matches!(find_order("A-1001".to_owned()), Err(Failure::Unavailable(_))));
}

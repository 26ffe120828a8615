use nanohost_guest::http::Response;
use nanohost_guest::{Failure, testing};

use crate::refunds::book_refund;

// What stands behind the variable is the policy's affair; native tests have none.
#[test]
fn without_a_service_nothing_is_asked() {
    testing::keep_secret("refund-key", "stands for it");
    testing::serve(|_| Response::new(201, "booked"));
    assert!(matches!(book_refund("A-1".to_owned(), 5), Err(Failure::Rejected(_))));
    assert!(matches!(book_refund("../A".to_owned(), 5), Err(Failure::InvalidInput(_))));
}

use super::OrderId;

#[test]
fn plain_ids_pass_as_they_are() {
    for id in ["A-1001", "7", "a--b-", &"x".repeat(32)] {
        assert_eq!(OrderId::parse(id.to_owned()).map(OrderId::into_string).as_deref(), Ok(id));
    }
}

#[test]
fn anything_that_means_something_elsewhere_is_refused() {
    for id in ["", "-A", "../A", "A/1", "A\\1", "A.1", "A 1", "A\n", "A\0", "Ä-1", &"x".repeat(33)] {
        assert!(OrderId::parse(id.to_owned()).is_err(), "{id:?}");
    }
}

use super::{Error, Namespace, open};

const LEDGER: Namespace = open("ledger");

#[test]
fn namespaces_are_apart() -> Result<(), Error> {
    LEDGER.set("a", b"1")?;
    assert_eq!(open("other").get("a")?, None);
    assert_eq!(LEDGER.get("a")?, Some(b"1".to_vec()));
    Ok(())
}

#[test]
fn a_new_key_is_new_once() -> Result<(), Error> {
    LEDGER.set_new("a", b"1")?;
    assert_eq!(LEDGER.set_new("a", b"2"), Err(Error::AlreadyExists));
    assert!(LEDGER.delete("a")?);
    assert!(!LEDGER.delete("a")?);
    LEDGER.set_new("a", b"2")
}

#[test]
fn keys_come_in_order_and_in_pages() -> Result<(), Error> {
    for key in ["b/2", "b/1", "a", "b/3", "c"] {
        LEDGER.set(key, b"")?;
    }
    assert_eq!(LEDGER.list_keys("b/", None, 2)?, ["b/1", "b/2"]);
    assert_eq!(LEDGER.list_keys("b/", Some("b/2"), 2)?, ["b/3"]);
    Ok(())
}

#[test]
fn what_the_host_refuses_is_refused() {
    for key in ["", "a\nb", &"k".repeat(513)] {
        assert_eq!(LEDGER.set(key, b""), Err(Error::InvalidKey));
    }
    assert_eq!(LEDGER.set("a", &vec![0; (1 << 20) + 1]), Err(Error::TooLarge));
}

use nanohost_guest::Failure;

use crate::text::{Algorithm, digest, require};

/// FIPS 180-4's own examples.
const OF_ABC: [(Algorithm, &str); 3] = [
    (Algorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
        Algorithm::Sha384,
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
    ),
    (
        Algorithm::Sha512,
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
         2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
];

#[test]
fn digests_are_the_standards() {
    for (algorithm, expected) in OF_ABC {
        assert_eq!(digest("abc".to_owned(), algorithm), expected);
    }
}

#[test]
fn a_text_is_held_against_its_digest() {
    for (algorithm, expected) in OF_ABC {
        for expected in [expected.to_owned(), expected.to_uppercase()] {
            assert_eq!(require("abc".to_owned(), algorithm, expected.clone()).as_deref(), Ok("abc"));
            let other = require("abd".to_owned(), algorithm, expected);
            assert!(matches!(other, Err(Failure::Rejected(_))));
        }
        for none in ["", "ba78", &"g".repeat(expected.len())] {
            let refused = require("abc".to_owned(), algorithm, none.to_owned());
            assert!(matches!(refused, Err(Failure::InvalidInput(_))), "{none:?}");
        }
    }
}

use nanohost_guest::Failure;

use crate::decimal::Decimal;
use crate::table::{Condition, Is, Table, Total, select, sum};

const ORDERS: &str = "\u{feff}id,customer,total\nA-1,\"Ada, Countess\",10.10\nA-2,Bob,0.20\nA-3,Ada,100\n";

fn condition(column: &str, is: Is, value: &str) -> Vec<Condition> {
    vec![Condition { column: column.to_owned(), is, value: value.to_owned() }]
}

fn ids(conditions: Vec<Condition>) -> Result<Vec<String>, Failure> {
    let table = select(ORDERS.to_owned(), vec!["id".to_owned()], conditions, None)?;
    Ok(table.rows.into_iter().map(|row| row.concat()).collect())
}

#[test]
fn a_table_is_read() {
    let table = select("a;b\n1;\"x;y\"\n".to_owned(), Vec::new(), Vec::new(), Some(';'));
    let expected = Table {
        columns: vec!["a".to_owned(), "b".to_owned()],
        rows: vec![vec!["1".to_owned(), "x;y".to_owned()]],
    };
    assert_eq!(table, Ok(expected));
}

#[test]
fn rows_meet_their_conditions() {
    for (column, is, value, found) in [
        ("customer", Is::Equal, "Bob", vec!["A-2"]),
        ("customer", Is::NotEqual, "Bob", vec!["A-1", "A-3"]),
        ("customer", Is::StartingWith, "Ada", vec!["A-1", "A-3"]),
        ("customer", Is::Containing, "Count", vec!["A-1"]),
        ("total", Is::Less, "10.1", vec!["A-2"]),
        ("total", Is::AtMost, "10.1", vec!["A-1", "A-2"]),
        ("total", Is::Greater, "10.1", vec!["A-3"]),
        ("total", Is::AtLeast, "10.100", vec!["A-1", "A-3"]),
    ] {
        let found: Vec<String> = found.into_iter().map(str::to_owned).collect();
        assert_eq!(ids(condition(column, is, value)), Ok(found), "{column} {is:?} {value}");
    }
    let both = [condition("customer", Is::StartingWith, "Ada"), condition("total", Is::Less, "50")].concat();
    assert_eq!(ids(both), Ok(vec!["A-1".to_owned()]));
}

#[test]
fn sums_are_exact() {
    let total = sum(ORDERS.to_owned(), "total".to_owned(), Vec::new(), None);
    assert_eq!(total, Ok(Total { sum: "110.30".to_owned(), rows: 3 }));
    let tenths = "n\n".to_owned() + &"0.1\n".repeat(10);
    let total = sum(tenths, "n".to_owned(), Vec::new(), None);
    assert_eq!(total, Ok(Total { sum: "1.0".to_owned(), rows: 10 }));
}

#[test]
fn what_is_wrong_has_its_place() {
    let words = sum("n\n1\ntwo\n".to_owned(), "n".to_owned(), Vec::new(), None);
    let Err(Failure::Rejected(said)) = words else { panic!("{words:?}") };
    assert!(said.starts_with("line 3: `two`"), "{said}");
    for text in ["a,b\n1\n", "a,a\n1,2\n"] {
        let table = select(text.to_owned(), Vec::new(), Vec::new(), None);
        assert!(matches!(table, Err(Failure::InvalidInput(_))), "{text:?}: {table:?}");
    }
    assert!(matches!(ids(condition("price", Is::Equal, "1")), Err(Failure::InvalidInput(_))));
    assert!(matches!(ids(condition("total", Is::Less, "ten")), Err(Failure::InvalidInput(_))));
    let separator = select(ORDERS.to_owned(), Vec::new(), Vec::new(), Some('"'));
    assert!(matches!(separator, Err(Failure::InvalidInput(_))));
}

#[test]
fn decimals_are_read_and_written() {
    for (text, written) in [("0", "0"), ("-0.50", "-0.50"), ("+7", "7"), ("-12.05", "-12.05")] {
        assert_eq!(text.parse::<Decimal>().map(|number| number.to_string()).as_deref(), Ok(written));
    }
    for text in ["", "-", ".", "1.", ".5", "1e3", "1,000", "0x1", "١", "1.2.3", &"9".repeat(19)] {
        assert!(text.parse::<Decimal>().is_err(), "{text:?}");
    }
    let large: Decimal = format!("{0}.{0}", "9".repeat(18)).parse().expect("it is read");
    let mut sum = large;
    for _ in 0..200 {
        match sum.plus(&large) {
            Some(next) => sum = next,
            None => return,
        }
    }
    panic!("there is an end to digits: {sum}");
}

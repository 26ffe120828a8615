//! The list outside of the store: whole lines, each once, and a cut one is no end.

use std::fs;

use nanohost_core::{Role, RunId};

use super::*;

fn places(folder: &std::path::Path) -> Places {
    Places {
        store: folder.join("store"),
        config: folder.join("config"),
        cache: None,
        policy: None,
        machine_policy: None,
        log_policy: None,
    }
}

fn listed(number: u8) -> Listed {
    let run = RunId::from_random([number; 16]);
    Listed {
        act: Digest::of(&[number]),
        log: "nanohost-log/0".to_owned(),
        size: 5,
        basis: Basis::Request,
        key_values: true,
        refs: vec![ValueRef { run, seq: 0, role: Role::INPUT }],
    }
}

#[test]
fn a_list_reads_as_it_was_written() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let places = places(folder.path());
    assert_eq!(list(&places).expect("none is an empty one"), []);
    fs::create_dir_all(&places.config).expect("it is writable");
    let lines: Vec<String> =
        [1, 2].map(|number| serde_json::to_string(&listed(number)).expect("JSON")).to_vec();
    let write = |text: String| fs::write(list_path(&places), text).expect("it is writable");
    write(format!("{}\n{}\n", lines[0], lines[1]));
    assert_eq!(list(&places).expect("it reads"), [listed(1), listed(2)]);
    // Its process ended while it wrote the second.
    for cut in 1..lines[1].len() {
        write(format!("{}\n{}", lines[0], &lines[1][..cut]));
        assert_eq!(list(&places).expect("it reads"), [listed(1)], "cut after {cut}");
    }
    for bad in ["{}\n", "{\"act\":1}\n", "x\n", "\u{0}\n"] {
        write(bad.to_owned());
        assert!(list(&places).is_err(), "{bad:?}");
    }
}

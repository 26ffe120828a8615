//! The list outside of the stores: whole lines, each act once, and a cut one is no end.

use super::*;

fn places(folder: &std::path::Path) -> Places {
    Places {
        store: folder.join("store"),
        config: folder.join("config"),
        cache: None,
        policy: None,
        machine_policy: None,
        log_policy: None,
        offline: false,
    }
}

fn chain(number: u8) -> RunId {
    RunId::from_random([number; 16])
}

fn line(number: u8, seq: u64) -> Listed {
    Listed {
        chain: chain(number),
        seq,
        log: "nanohost-log/0".to_owned(),
        size: 5 + seq,
        act: vec![number, 1],
    }
}

fn text(listed: &Listed) -> String {
    serde_json::to_string(listed).expect("JSON")
}

#[test]
fn a_list_reads_as_it_was_written() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let places = places(folder.path());
    let of = |number, own| listed(&chain(number), || Ok(own), &places);
    let read = |number| of(number, 2);
    assert_eq!(read(1).expect("none is an empty one"), []);
    fs::create_dir_all(&places.config).expect("it is writable");
    let write = |text: String| fs::write(path(&places), text).expect("it is writable");
    let [first, other, second] = [line(1, 0), line(2, 0), line(1, 1)];
    write(format!("{}\n{}\n{}\n", text(&first), text(&other), text(&second)));
    assert_eq!(read(1).expect("it reads"), [first.clone(), second.clone()]);
    assert_eq!(read(2).expect("it reads"), [other]);
    assert_eq!(known_size(&chain(1), &places).expect("it reads"), 6);
    assert_eq!(known_size(&chain(3), &places).expect("it reads"), 0);
    // Its process ended while it wrote the second.
    let last = text(&second);
    for cut in 1..last.len() {
        write(format!("{}\n{}", text(&first), &last[..cut]));
        assert_eq!(read(1).expect("it reads"), std::slice::from_ref(&first), "cut after {cut}");
        // The store lacks the act itself.
        assert!(of(1, 1).is_err(), "cut after {cut}");
        assert_eq!(
            of(2, 0).is_ok(),
            cut >= 10 + chain(1).as_str().len(),
            "of another store, cut after {cut}"
        );
    }
    // It lacks its end, and nothing else.
    write(format!("{}\n{last}", text(&first)));
    assert_eq!(of(1, 0).expect("it reads"), [first.clone(), second.clone()]);
    write(format!("{}\nx", text(&first)));
    assert!(of(1, 1).is_err());
    let good = text(&first);
    for bad in [
        "{}\n".to_owned(),
        "x\n".to_owned(),
        "\u{0}\n".to_owned(),
        format!("{}\n", good.replace("AQE=", "AQE")),
        format!("{}\n", good.replace("\"size\"", "\"extent\"")),
        format!("{last}\n"),
        format!("{good}\n{good}\n"),
    ] {
        write(bad.clone());
        assert!(read(1).is_err(), "{bad:?}");
    }
}

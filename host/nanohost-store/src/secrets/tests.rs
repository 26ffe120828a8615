use super::*;

const VALUE: &str = "value-0123456789";

fn folder() -> (tempfile::TempDir, Secrets) {
    let dir = tempfile::tempdir().expect("a folder");
    let secrets = Secrets::at(dir.path().join("secrets"));
    (dir, secrets)
}

fn value(secrets: &Secrets, name: &str) -> Option<String> {
    secrets.value(name).expect("readable").map(|value| value.to_string())
}

#[test]
fn kept_replaced_and_forgotten() {
    let (_dir, secrets) = folder();
    assert_eq!(secrets.names().expect("readable"), [""; 0]);
    assert_eq!(value(&secrets, "a"), None);
    assert!(!secrets.remove("a").expect("nothing to do"));
    assert!(!secrets.set("b", VALUE).expect("kept"));
    assert!(!secrets.set("a", "another-0123").expect("kept"));
    assert_eq!(secrets.names().expect("readable"), ["a", "b"]);
    assert_eq!(value(&secrets, "b").as_deref(), Some(VALUE));
    assert!(secrets.set("b", "newer-01234567").expect("kept"));
    assert_eq!(value(&secrets, "b").as_deref(), Some("newer-01234567"));
    assert!(secrets.remove("b").expect("forgotten"));
    assert_eq!(value(&secrets, "b"), None);
    assert_eq!(value(&secrets, "a").as_deref(), Some("another-0123"));
}

#[test]
fn the_files_tell_nothing() {
    let (_dir, secrets) = folder();
    secrets.set("a", VALUE).expect("kept");
    for path in [secrets.path(), secrets.key_path()] {
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(!text.contains(VALUE) && !text.contains(&hex_of(VALUE.as_bytes())));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
            assert_eq!(mode, 0o600);
        }
    }
}

#[test]
fn what_was_changed_is_refused_and_never_replaced() {
    let (_dir, secrets) = folder();
    secrets.set("a", VALUE).expect("kept");
    secrets.set("b", "another-0123").expect("kept");
    let file = std::fs::read_to_string(secrets.path()).expect("a file");
    let key = std::fs::read_to_string(secrets.key_path()).expect("a file");
    let code = |secrets: &Secrets| secrets.value("a").map(|_| "ok").unwrap_or_else(|error| error.code());

    // A value under another's name.
    let swapped = file.replace("a ", "c ").replace("b ", "a ");
    std::fs::write(secrets.path(), swapped).expect("written");
    assert_eq!(code(&secrets), "vault_key_wrong");
    std::fs::write(secrets.path(), "a\n").expect("written");
    assert_eq!(code(&secrets), "key_unreadable");
    std::fs::write(secrets.path(), &file).expect("written");
    assert_eq!(code(&secrets), "ok");

    std::fs::remove_file(secrets.key_path()).expect("removed");
    assert_eq!(code(&secrets), "vault_key_missing");
    assert!(secrets.set("c", VALUE).is_err());
    let other = if key.starts_with('0') { key.replacen('0', "1", 1) } else { format!("0{}", &key[1..]) };
    private_file::write_whole(&secrets.key_path(), other.as_bytes()).expect("written");
    assert_eq!(code(&secrets), "vault_key_wrong");
    assert!(secrets.set("c", VALUE).is_err());
    assert_eq!(std::fs::read_to_string(secrets.path()).expect("a file"), file);
}

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

fn refused(dir: &Path, code: &str) -> StoreError {
    let error = development_key(dir).expect_err("it is refused");
    assert_eq!(error.code(), code, "{error}");
    error
}

#[test]
fn a_key_is_made_once_and_found_again() {
    let dir = folder();
    let dir = dir.path().join("keys");
    assert_eq!(development_public_key(&dir).expect("looking is fine"), None);
    assert!(!dir.exists());
    let first = development_key(&dir).expect("a key is made");
    assert!(first.created);
    let again = development_key(&dir).expect("the key is found");
    assert!(!again.created);
    assert_eq!(first.signer.public(), again.signer.public());
    assert_eq!(development_public_key(&dir).expect("it reads").as_ref(), Some(first.signer.public()));
    let pem = std::fs::read_to_string(&first.private).expect("it reads");
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{pem:.40}");
}

#[test]
fn many_at_once_get_one_key() {
    let dir = folder();
    let keys: Vec<DevelopmentKey> = std::thread::scope(|scope| {
        let start = || scope.spawn(|| development_key(dir.path()).expect("a key is there"));
        let threads: Vec<_> = (0..8).map(|_| start()).collect();
        threads.into_iter().map(|thread| thread.join().expect("it ends")).collect()
    });
    assert_eq!(keys.iter().filter(|key| key.created).count(), 1);
    assert!(keys.iter().all(|key| key.signer.public() == keys[0].signer.public()));
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let dir = folder();
    let key = development_key(dir.path()).expect("a key is made");
    assert_eq!(std::fs::metadata(&key.private).expect("it is there").mode() & 0o777, 0o600);
    for mode in [0o640, 0o604, 0o660, 0o602] {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&key.private, permissions).expect("the mode changes");
        let error = refused(dir.path(), "key_mode");
        assert_eq!(error.help(), format!("chmod 600 '{}'", key.private.display()));
    }
}

#[test]
fn a_broken_key_is_never_replaced() {
    let dir = folder();
    let key = development_key(dir.path()).expect("a key is made");
    let pem = std::fs::read(&key.private).expect("it reads");
    for broken in [&b""[..], b"\xff\xfe", &[b'x'; 20_000], &pem[..pem.len() / 2]] {
        std::fs::write(&key.private, broken).expect("it writes");
        refused(dir.path(), "key_unreadable");
        assert_eq!(std::fs::read(&key.private).expect("it reads"), broken);
    }
}

#[test]
fn a_public_key_stays_when_its_private_key_is_gone() {
    let dir = folder();
    let key = development_key(dir.path()).expect("a key is made");
    std::fs::remove_file(&key.private).expect("it goes");
    refused(dir.path(), "key_unreadable");
    assert!(!key.private.exists());
    assert_eq!(development_public_key(dir.path()).expect("it reads").as_ref(), Some(key.signer.public()));
}

#[test]
fn the_public_key_is_the_private_ones() {
    let (dir, other) = (folder(), folder());
    let key = development_key(dir.path()).expect("a key is made");
    std::fs::remove_file(&key.public).expect("it goes");
    development_key(dir.path()).expect("it is made again from the private key");
    let foreign = development_key(other.path()).expect("a key is made");
    std::fs::copy(foreign.public, &key.public).expect("it copies");
    refused(dir.path(), "key_unreadable");
}

use std::fs;

use super::*;

fn code(result: Result<Zeroizing<[u8; 32]>, StoreError>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

#[test]
fn a_key_is_made_once_for_its_owner_alone() {
    let dir = tempfile::tempdir().expect("the temporary folder is writable");
    let keys = dir.path().join("keys");
    let key = code_key(&keys).expect("a key is made");
    assert_eq!(code_key(&keys).expect("it is read"), key);
    let other = code_key(&dir.path().join("others")).expect("a key is made");
    assert_ne!(other, key);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
        assert_eq!((mode(&keys), mode(&keys.join("code.key"))), (0o700, 0o600));
        fs::set_permissions(keys.join("code.key"), fs::Permissions::from_mode(0o644)).expect("it is ours");
        assert_eq!(code(code_key(&keys)), "key_mode");
    }
}

#[test]
fn two_at_once_get_the_same_key() {
    let dir = tempfile::tempdir().expect("the temporary folder is writable");
    let keys = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| code_key(dir.path()))).collect();
        let keys = threads.into_iter().map(|thread| thread.join().expect("it does not panic"));
        keys.collect::<Result<Vec<_>, _>>().expect("a key")
    });
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn what_is_no_key_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().expect("the temporary folder is writable");
    code_key(dir.path()).expect("a key is made");
    let path = dir.path().join("code.key");
    for text in ["", "00", "not a key"] {
        fs::write(&path, text).expect("it is writable");
        assert_eq!(code(code_key(dir.path())), "key_unreadable", "{text:?}");
        assert_eq!(fs::read_to_string(&path).expect("it is there"), text);
    }
}

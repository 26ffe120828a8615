use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nanohost_core::Signer;

use super::*;

fn key(seed: u8) -> (PublicKey, Zeroizing<String>) {
    let signer = Signer::from_seed([seed; 32]);
    (signer.public().clone(), signer.to_pkcs8_pem().expect("it is written"))
}

#[test]
fn one_key_signs_and_the_others_are_kept() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let keys = MadeKeys::at(folder.path());
    assert_eq!((keys.current().expect("none"), keys.all().expect("none")), (None, Vec::new()));
    let ((first, pem), (second, other)) = (key(1), key(2));
    let made = keys.add(&first, &pem).expect("it is writable");
    assert_eq!(keys.current().expect("none signs yet"), None);
    keys.sign_with(&first.key_id()).expect("it is writable");
    assert_eq!(keys.current().expect("it reads"), Some(made.clone()));
    assert_eq!(*made.pem().expect("it reads"), *pem);
    keys.add(&second, &other).expect("it is writable");
    keys.sign_with(&second.key_id()).expect("it is writable");
    assert_eq!(keys.current().expect("it reads").map(|key| key.public), Some(second));
    assert_eq!(keys.all().expect("they read").len(), 2);
    let mode = fs::metadata(&made.private_file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn no_other_key_takes_the_place_of_one_that_is_gone() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let keys = MadeKeys::at(folder.path());
    let (public, pem) = key(1);
    let made = keys.add(&public, &pem).expect("it is writable");
    keys.sign_with(&public.key_id()).expect("it is writable");
    fs::set_permissions(&made.private_file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    assert!(matches!(made.pem(), Err(StoreError::KeyMode { .. })));
    fs::remove_file(&made.private_file).expect("it is ours");
    assert!(matches!(made.pem(), Err(StoreError::KeyUnreadable { .. })));
    let (other, _) = key(2);
    fs::write(&made.public_file, other.to_spki_pem().expect("it is written")).expect("it is ours");
    assert!(keys.current().is_err(), "another's key under its name");
    fs::remove_file(&made.public_file).expect("it is ours");
    assert!(keys.current().is_err(), "it is gone");
    fs::write(folder.path().join("signing/current"), "x\n").expect("it is ours");
    assert!(keys.current().is_err(), "no id");
}

#[test]
fn a_passphrase_is_read_from_a_file_of_ones_own() {
    let folder = tempfile::tempdir().expect("the temporary folder is writable");
    let path = folder.path().join("passphrase");
    fs::write(&path, "correct horse \r\n").expect("it is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("it is ours");
    assert!(matches!(read_passphrase(&path), Err(StoreError::KeyMode { .. })));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("it is ours");
    assert_eq!(read_passphrase(&path).expect("it reads").as_str(), "correct horse ");
    assert!(read_passphrase(&folder.path().join("absent")).is_err());
}

//! Heads as files: whole, for their owner alone, and none of what is none.

use super::*;

#[test]
fn a_head_reads_as_it_was_kept() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let heads = ActsHeads::at(&folder.path().join("keys"));
    let [one, other] = [1, 2].map(|number| RunId::from_random([number; 16]));
    assert_eq!(heads.get(&one).expect("none is none"), None);
    heads.keep(&one, |there| Ok(there.is_none().then(|| "first\n".to_owned()))).expect("it is kept");
    heads.keep(&one, |there| Ok(there.is_none().then(|| "second\n".to_owned()))).expect("nothing to keep");
    assert_eq!(heads.get(&one).expect("it reads").as_deref(), Some("first\n"));
    assert_eq!(heads.get(&other).expect("none is none"), None);
    for bad in [&b"\xff"[..], &[b'x'; 5000]] {
        std::fs::write(heads.path(&one), bad).expect("it is ours");
        assert_eq!(heads.get(&one).expect("it reads").as_deref(), Some(""));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(heads.path(&one)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}

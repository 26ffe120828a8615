use std::io::Cursor;

use super::super::image::{Descriptor, IMAGE};
use super::*;

fn draft() -> LayoutDraft {
    let mut draft = LayoutDraft::default();
    draft.blob(b"a blob");
    draft.image(Descriptor::of(IMAGE, b"an image"), b"an image");
    draft
}

fn archive(draft: &LayoutDraft) -> Vec<u8> {
    let mut bytes = Vec::new();
    draft.write_archive(&mut bytes).expect("memory");
    bytes
}

/// A sound layout with one more entry.
fn with(kind: EntryType, name: &[u8], bytes: &[u8]) -> Result<Layout<Cursor<Vec<u8>>>, LayoutError> {
    let mut out = tar::Builder::new(Vec::new());
    let mut add = |kind: EntryType, name: &[u8], bytes: &[u8]| {
        let mut header = Header::new_ustar();
        // Past what the crate would refuse to write.
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        out.append(&header, bytes).expect("memory");
    };
    for (name, bytes) in draft().files() {
        add(EntryType::Regular, name.as_bytes(), &bytes);
    }
    add(kind, name, bytes);
    Layout::of_archive(Cursor::new(out.into_inner().expect("memory")))
}

#[test]
fn what_is_written_is_read_and_is_always_the_same() {
    let bytes = archive(&draft());
    assert_eq!(archive(&draft()), bytes);
    let mut layout = Layout::of_archive(Cursor::new(bytes)).expect("it is one");
    assert_eq!(layout.index().manifests, [Descriptor::of(IMAGE, b"an image")]);
    assert_eq!(layout.blob(&Digest::of(b"a blob"), 6).expect("it is there"), b"a blob");
    assert!(matches!(layout.blob(&Digest::of(b"a blob"), 5), Err(LayoutError::Invalid(_))));
    assert!(matches!(layout.blob(&Digest::of(b"none"), 6), Err(LayoutError::Missing(_))));

    let folder = tempfile::tempdir().expect("a folder");
    draft().write_folder(folder.path()).expect("it is empty");
    let mut layout = Layout::open(folder.path()).expect("it is one");
    assert_eq!(layout.blob(&Digest::of(b"a blob"), 6).expect("it is there"), b"a blob");
    std::fs::write(folder.path().join(BLOBS).join(Digest::of(b"a blob").to_string()), "b blob")
        .expect("ours");
    assert!(matches!(layout.blob(&Digest::of(b"a blob"), 6), Err(LayoutError::Mismatch(_))));
}

#[test]
fn hostile_archives_are_refused() {
    let blob = format!("{BLOBS}{}", Digest::of(b"another"));
    assert!(with(EntryType::Regular, blob.as_bytes(), b"another").is_ok());
    assert!(with(EntryType::Directory, b"blobs/", b"").is_ok());
    let known = format!("{BLOBS}{}", Digest::of(b"a blob"));
    for (kind, name) in [
        (EntryType::Regular, "../outside"),
        (EntryType::Regular, "/etc/passwd"),
        (EntryType::Regular, "blobs/sha256/../../../outside"),
        (EntryType::Regular, "blobs/sha256/short"),
        (EntryType::Regular, "blobs/sha512/aa"),
        (EntryType::Regular, "README"),
        (EntryType::Regular, "index.json/x"),
        (EntryType::Directory, "elsewhere/"),
        (EntryType::Symlink, blob.as_str()),
        (EntryType::Link, blob.as_str()),
        (EntryType::Fifo, blob.as_str()),
        (EntryType::Char, blob.as_str()),
        (EntryType::GNUSparse, blob.as_str()),
        (EntryType::Regular, known.as_str()),
        (EntryType::Regular, "./oci-layout"),
    ] {
        let refused = with(kind, name.as_bytes(), br#"{"imageLayoutVersion":"1.0.0"}"#);
        assert!(matches!(refused, Err(LayoutError::Invalid(_))), "{kind:?} {name}: {refused:?}");
    }
    // Cut off, empty, no archive at all.
    let whole = archive(&draft());
    for bytes in [&whole[..700], b"", b"no archive"] {
        assert!(Layout::of_archive(Cursor::new(bytes.to_vec())).is_err(), "{}", bytes.len());
    }
}

#[test]
fn a_blob_under_anothers_name_is_no_blob() {
    let name = format!("{BLOBS}{}", Digest::of(b"another"));
    let mut layout = with(EntryType::Regular, name.as_bytes(), b"AnotheR").expect("only its names were read");
    assert!(matches!(layout.blob(&Digest::of(b"another"), 100), Err(LayoutError::Mismatch(_))));
}

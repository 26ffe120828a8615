//! What a registry or a bundle hands out: references, image manifests, indexes and archives of layouts. The
//! modules alone, without the network that is beside them.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use nanohost_core::{Digest, PackageRef};

// Formatted where they lie: from here their tests would be looked for elsewhere.
#[rustfmt::skip]
#[allow(dead_code)]
#[path = "../../nanohost/src/registry/image.rs"]
mod image;
#[rustfmt::skip]
#[allow(dead_code)]
#[path = "../../nanohost/src/registry/layout.rs"]
mod layout;

/// More of a blob than an input holds.
const BOUND: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(read) = text.parse::<PackageRef>()
    {
        assert_eq!(read.to_string(), text, "there is one spelling");
        let url = format!("{}/{}", read.repository.registry(), read.repository.name());
        assert!(!url.contains(['@', '?', '#', '%', '\\', ' ']) && !url.contains(".."), "{url}");
    }
    if let Ok(read) = image::ImageManifest::read(bytes) {
        let again = image::ImageManifest::read(&read.to_bytes());
        assert_eq!(again.as_ref(), Ok(&read), "what is written is read");
        if let Ok(found) = read.component() {
            assert_eq!(found.component, read.layers[0]);
        }
    }
    if let Ok(read) = image::ImageIndex::read(bytes) {
        assert_eq!(image::ImageIndex::read(&read.to_bytes()).as_ref(), Ok(&read));
        assert!(read.manifests.len() <= image::MAX_ENTRIES);
    }
    if let Ok(mut found) = layout::Layout::of_archive(Cursor::new(bytes)) {
        let digests: Vec<Digest> = found.index().manifests.iter().map(|entry| entry.digest).collect();
        for digest in digests {
            if let Ok(blob) = found.blob(&digest, BOUND) {
                assert_eq!(Digest::of(&blob), digest, "nothing else is given out under a digest");
            }
        }
    }
});

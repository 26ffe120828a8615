use std::cell::Cell;
use std::io::{Cursor, SeekFrom};
use std::rc::Rc;

use super::super::artifact::{Packed, Part, Referrer};
use super::super::image::{Annotations, IMAGE, REF_NAME, WASM, WASM_CONFIG};
use super::super::layout::LayoutDraft;
use super::*;

/// An archive that counts how often something in it is looked for.
struct Counting(Cursor<Vec<u8>>, Rc<Cell<usize>>);

impl Read for Counting {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(into)
    }
}

impl Seek for Counting {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.1.set(self.1.get() + 1);
        self.0.seek(to)
    }
}

fn packed(number: usize) -> Packed {
    let config = b"{}".to_vec();
    let component = format!("component {number}").into_bytes();
    let manifest = format!("manifest {number}").into_bytes();
    let annotations: Annotations =
        [(super::super::image::MANIFEST_DIGEST, format!("sha256:{}", Digest::of(&manifest)))]
            .into_iter()
            .collect();
    let image = ImageManifest::new(
        Descriptor::of(WASM_CONFIG, &config),
        vec![Descriptor::of(WASM, &component)],
        annotations,
    )
    .to_bytes();
    Packed { referrers: vec![Referrer::of(Part::Manifest, &manifest, &image)], image, config, component }
}

#[test]
fn what_refers_is_read_once_however_many_images_are_asked_for() {
    const IMAGES: usize = 40;
    let mut draft = LayoutDraft::default();
    for number in 0..IMAGES {
        let one = packed(number);
        one.lay("a name", &mut draft);
        // The same image under more names is still one.
        let mut again = Descriptor::of(IMAGE, &one.image);
        again.annotations = [(REF_NAME, "another".to_owned())].into_iter().collect();
        draft.image(again, &one.image);
    }
    let mut bytes = Vec::new();
    draft.write_archive(&mut bytes).expect("memory");
    let count = Rc::new(Cell::new(0));
    let layout = Layout::of_archive(Counting(Cursor::new(bytes), count.clone())).expect("it is one");
    let mut bundle = Bundle { layout, path: "x.tar".into(), referring: None };
    let images = bundle.images();
    assert_eq!(images.len(), IMAGES);
    count.set(0);
    for (digest, name) in images {
        assert_eq!(name.as_deref(), Some("a name, another"));
        let fetched = Fetched::from(&mut bundle, &digest).expect("it is whole");
        assert!(fetched.manifest.is_some());
    }
    // Of each package: image, config and component, its one referrer and that one's layer; and all that
    // refers once more, to know what it refers to.
    assert_eq!(count.get(), 5 * IMAGES + IMAGES);
}

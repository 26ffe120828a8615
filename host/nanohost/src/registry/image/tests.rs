use super::*;

fn component() -> ImageManifest {
    let config = Descriptor::of(WASM_CONFIG, b"config");
    let layer = Descriptor::of(WASM, b"component");
    let annotations = [
        (MANIFEST_DIGEST, format!("sha256:{}", Digest::of(b"manifest"))),
        (COMPONENT_DIGEST, format!("sha256:{}", layer.digest)),
    ];
    ImageManifest::new(config, vec![layer], annotations.into_iter().collect())
}

#[test]
fn what_is_written_is_read_and_is_always_the_same() {
    let image = component();
    let bytes = image.to_bytes();
    assert_eq!(ImageManifest::read(&bytes).as_ref(), Ok(&image));
    assert_eq!(component().to_bytes(), bytes);
    let found = image.component().expect("it is one");
    assert_eq!(
        (found.component.digest, found.manifest),
        (Digest::of(b"component"), Some(Digest::of(b"manifest")))
    );
    let index = ImageIndex::new(vec![Descriptor::of(IMAGE, &bytes)]);
    assert_eq!(ImageIndex::read(&index.to_bytes()), Ok(index));
}

#[test]
fn one_line_a_refusal() {
    let good = String::from_utf8(component().to_bytes()).expect("JSON");
    assert!(ImageManifest::read(good.as_bytes()).and_then(|image| image.component()).is_ok());
    let hex = Digest::of(b"component").to_string();
    for (from, to, why) in [
        ("\"schemaVersion\":2", "\"schemaVersion\":1", "schemaVersion"),
        (IMAGE, INDEX, "something else"),
        (WASM_CONFIG, "application/vnd.oci.image.config.v1+json", "its config"),
        ("\"application/wasm\"", "\"application/x-tar\"", "its layer"),
        (&format!("\"digest\":\"sha256:{hex}\""), "\"digest\":\"sha256:00\"", "digest"),
        (&format!("\"digest\":\"sha256:{hex}\""), &format!("\"digest\":\"sha512:{hex}\""), "sha256"),
        ("\"size\":9", "\"size\":-1", "u64"),
        ("\"size\":9", "\"size\":9.5", "u64"),
        ("\"config\":", "\"config\":{},\"config\":", ""),
        ("\"annotations\":{", "\"annotations\":{\"dev.nanohost.manifest\":\"x\",", "twice"),
        (
            &format!("\"{COMPONENT_DIGEST}\":\"sha256:{hex}\""),
            &format!("\"{COMPONENT_DIGEST}\":\"sha256:{}\"", "0".repeat(64)),
            "another component",
        ),
        (&format!("\"{MANIFEST_DIGEST}\":\"sha256:"), &format!("\"{MANIFEST_DIGEST}\":\"md5:"), "no SHA-256"),
        ("\"layers\":[", "\"layers\":[],\"x\":[", "0 layers"),
        ("{", "[", "not an image manifest"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        let refused = ImageManifest::read(text.as_bytes()).and_then(|image| image.component().map(|_| image));
        let error = refused.expect_err(&text).to_string();
        assert!(error.contains(why), "{why:?}: {error}");
    }
    let long = format!("{}{good}", " ".repeat(MAX_DOCUMENT as usize));
    assert!(ImageManifest::read(long.as_bytes()).is_err());
    let each = |count: usize| (0..count).map(|number| Descriptor::of(IMAGE, &number.to_le_bytes())).collect();
    let many = ImageIndex::new(each(MAX_ENTRIES + 1));
    assert!(ImageIndex::read(&many.to_bytes()).is_err());
    assert!(ImageIndex::read(&ImageIndex::new(each(MAX_ENTRIES)).to_bytes()).is_ok());
    let twice = ImageIndex::new(vec![Descriptor::of(IMAGE, b"x"); 2]);
    assert!(ImageIndex::read(&twice.to_bytes()).is_err_and(|error| error.to_string().contains("twice")));
    assert!(ImageIndex::read(good.as_bytes()).is_err(), "one is not the other");
}

//! Which tool is meant.

use super::*;

#[test]
fn what_is_no_tool_is_said_to_be_none() {
    for named in ["", "no/such/folder", "../none", "no such", "x.wasm"] {
        let error = find(Path::new(named)).expect_err("nothing is there");
        assert!(error.to_string().contains("unknown_tool"), "{named}: {error}");
    }
}

#[test]
fn a_file_is_taken_as_it_is() {
    let file = tempfile::NamedTempFile::new().expect("it can be made");
    assert!(matches!(find(file.path()), Ok(Named::File(_))));
}

#[test]
fn a_package_stays_for_as_long_as_it_is_looked_at() {
    const TEXT: &str = "name = \"echo\"\nversion = \"1.0.0\"\ndescription = \"Says it again.\"\n";
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let places = Places {
        store: at("store"),
        config: at("config"),
        cache: Some(at("cache")),
        policy: None,
        machine_policy: None,
        log_policy: None,
        offline: true,
    };
    let component = wat::parse_str("(component)").expect("a component");
    let facts = nanohost_core::ToolFacts {
        component: nanohost_core::Digest::of(&component),
        size: component.len() as u64,
        imports: Vec::new(),
        exports: Vec::new(),
    };
    let files = registry::Files { component, manifest: TEXT.into(), signature: None, bill: None };
    let manifest = Manifest::parse(nanohost_core::Source::new("manifest.toml", TEXT)).expect("a manifest");
    let packed = registry::Packed::of(&files, &manifest, &facts);
    let cache = registry::PackageCache::of(&places).expect("a folder");
    let fetched = registry::Fetched {
        digest: packed.digest(),
        image: packed.image.clone(),
        config: packed.config.clone(),
        component: files.component,
        manifest: Some(files.manifest),
        signature: None,
        bill: None,
    };
    cache.keep(&fetched).expect("it is written");
    let named = format!("oci://registry.example/echo:1.0.0@sha256:{}", fetched.digest);
    let engine = Engine::new().expect("an engine");
    let package =
        Package::read(Path::new(&named), &PackageArgs::default(), &places, &engine, &Progress::new(false))
            .expect("it is kept");
    assert!(!cache.remove(&fetched.digest).expect("nothing is wrong"), "it is held");
    drop(package);
    assert!(cache.remove(&fetched.digest).expect("nothing is wrong"), "nobody holds it");
}

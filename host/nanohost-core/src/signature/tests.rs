use serde_json::json;

use super::*;
use crate::{Source, ToolExport};

fn signer() -> Signer {
    Signer::from_seed([7; 32])
}

fn manifest(more: &str) -> Manifest {
    let text = format!("name = \"refund\"\nversion = \"1.2.0\"\n{more}");
    Manifest::parse(Source::new("manifest.toml", text)).expect("a manifest")
}

fn facts() -> ToolFacts {
    let export = |function: &str| ToolExport {
        function: function.into(),
        interface: Some("my:tool/api".into()),
        input: json!({ "type": "object" }),
        output: json!({ "type": "string" }),
    };
    let exports = vec![export("f"), export("g")];
    ToolFacts { component: Digest::of(b"component"), size: 9, imports: Vec::new(), exports }
}

fn statement(sbom: Option<&[u8]>) -> Statement {
    let source = Commit { repository: Some("https://a.test/r".into()), commit: "0".repeat(40), clean: true };
    let provenance = Provenance {
        source: Some(source),
        toolchain: vec!["rustc 1.95.0".into()],
        builder: "nanohost 0.1.0".into(),
        rebuild: Rebuild::Same,
    };
    Statement::of(&manifest(""), &facts(), sbom, provenance)
}

#[test]
fn what_is_signed_is_read_again_and_fits() {
    for sbom in [None, Some(&b"{}"[..])] {
        let statement = statement(sbom);
        let bytes = statement.sign(&signer()).expect("it has a form");
        let signed = Signed::parse(&bytes).expect("it is one");
        assert_eq!(*signed.statement(), statement);
        assert_eq!(signed.text().as_bytes(), bytes);
        signed.by(signer().public()).expect("it is the key's");
        signed.fits(&manifest(""), &facts()).expect("it is about these");
        signed.fits_sbom(sbom).expect("it is about these");
        assert_eq!(signed.fits_sbom(Some(b"other")), Err(PackageFault::OtherSbom));
        let missing = signed.fits_sbom(if sbom.is_some() { None } else { Some(b"{}") });
        assert_eq!(missing, Err(PackageFault::OtherSbom));
        // What an editor adds changes nothing; more does.
        let ended = [bytes.as_slice(), b"\n"].concat();
        assert_eq!(Signed::parse(&ended).expect("it is one").digest(), signed.digest());
        assert!(Signed::parse(&[ended.as_slice(), b"\n"].concat()).is_err());
    }
}

#[test]
fn no_byte_of_it_can_change() {
    let bytes = statement(Some(b"{}")).sign(&signer()).expect("it has a form");
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let good = Signed::parse(&changed).is_ok_and(|signed| signed.by(signer().public()).is_ok());
        assert!(!good, "byte {at}");
    }
    let other = Signer::from_seed([8; 32]);
    let signed = Signed::parse(&bytes).expect("it is one");
    assert_eq!(signed.by(other.public()), Err(PackageFault::Signature));
}

#[test]
fn it_is_about_one_manifest_and_one_component() {
    let bytes = statement(None).sign(&signer()).expect("it has a form");
    let signed = Signed::parse(&bytes).expect("it is one");
    let fits = |manifest: &Manifest, facts: &ToolFacts| signed.fits(manifest, facts).err();
    assert_eq!(fits(&manifest(""), &facts()), None);
    assert_eq!(fits(&manifest("license = \"MIT\"\n"), &facts()), Some(PackageFault::OtherManifest));
    let other = ToolFacts { component: Digest::of(b"other"), ..facts() };
    assert_eq!(fits(&manifest(""), &other), Some(PackageFault::OtherComponent));
    let fewer = ToolFacts { exports: facts().exports[..1].to_vec(), ..facts() };
    assert_eq!(fits(&manifest(""), &fewer), Some(PackageFault::OtherSchemas));
    let mut lying = statement(None);
    lying.predicate.version = "9.9.9".into();
    let lying = Signed::parse(&lying.sign(&signer()).expect("it has a form")).expect("it is one");
    assert_eq!(lying.fits(&manifest(""), &facts()).err(), Some(PackageFault::OtherTool));
}

#[test]
fn other_statements_are_none_about_a_package() {
    let payload = |change: &dyn Fn(&mut serde_json::Value)| {
        let bytes = statement(Some(b"{}")).sign(&signer()).expect("it has a form");
        let envelope = Unverified::parse(&bytes).expect("an envelope");
        let mut value = serde_json::from_slice(envelope.payload()).expect("JSON");
        change(&mut value);
        let payload = jcs::canonical(&value).expect("it has a form");
        Signed::parse(&dsse::seal(&payload, &signer())).map(|_| ()).map_err(|fault| fault.to_string())
    };
    payload(&|_| ()).expect("unchanged it is one");
    let changes: [&dyn Fn(&mut serde_json::Value); 9] = [
        &|value| value["predicateType"] = json!("https://nanohost.dev/receipt/v1"),
        &|value| value["_type"] = json!("https://in-toto.io/Statement/v0.1"),
        &|value| value["more"] = json!(1),
        &|value| value["predicate"]["more"] = json!(1),
        &|value| value["predicate"]["provenance"]["rebuild"] = json!("perhaps"),
        &|value| value["subject"][0]["name"] = json!("other.wasm"),
        &|value| value["subject"][0]["digest"]["sha512"] = json!("00"),
        &|value| {
            let first = value["subject"][0].clone();
            value["subject"].as_array_mut().expect("a list").push(first);
        },
        &|value| {
            value["subject"].as_array_mut().expect("a list").swap(0, 1);
        },
    ];
    for change in changes {
        assert_eq!(payload(change), Err(PackageFault::Statement.to_string()));
    }
    assert!(Signed::parse(&vec![b'a'; MAX_SIGNATURE + 1]).is_err());
}

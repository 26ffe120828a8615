//! Registries that are not what they should be, played by the tests: who hand out another's, lead elsewhere, ask
//! for what is none of theirs, and answer without end. And what newer registries do that Debian's does not.

use std::fs;

use serde_json::{Value, json};

use crate::registry::{User, text};
use crate::registry_server::{Answers, Strange};
use crate::tool::{MANIFEST, component};

/// A package as a layout that nanohost packed, for registries that a test plays: documents and blobs by the
/// end of the path that asks for them.
struct Laid {
    digest: String,
    documents: Vec<(String, Vec<u8>)>,
}

impl Laid {
    fn of(user: &User) -> Self {
        let packed = user.nanohost(&["tool", "pack", "ledger", "-o", "laid", "--json"]).exits(0).json();
        let blobs = fs::read_dir(user.home.path("laid/blobs/sha256")).expect("it was written");
        let documents = blobs.map(|entry| {
            let entry = entry.expect("an entry");
            let name = format!("sha256:{}", entry.file_name().to_string_lossy());
            (name, fs::read(entry.path()).expect("it is there"))
        });
        let mut documents: Vec<_> = documents.collect();
        let index = fs::read(user.home.path("laid/index.json")).expect("it was written");
        let mut index: Value = serde_json::from_slice(&index).expect("JSON");
        let referring = index["manifests"].as_array_mut().expect("a list");
        referring.retain(|entry| entry.get("artifactType").is_some());
        documents.push(("referrers".to_owned(), index.to_string().into_bytes()));
        Self { digest: text(&packed["digest"]), documents }
    }

    /// What a registry answers that keeps lists of referrers.
    fn answers(&self) -> Answers {
        let document = |(name, bytes): &(String, Vec<u8>)| {
            let path = |kind: &str| match name.as_str() {
                "referrers" => "GET /v2/x/referrers/".to_owned(),
                name => format!("GET /v2/x/{kind}/{name}"),
            };
            ["manifests", "blobs"].map(|kind| (path(kind), (200, String::new(), bytes.clone())))
        };
        self.documents.iter().flat_map(document).collect()
    }
}

fn is_desk(user: &User, registry: &str) {
    user.is(&json!({ "auths": { registry: { "auth": "ZGVzazpjb3JyZWN0IGhvcnNl" } } }));
}

#[test]
fn a_registry_that_lists_referrers_and_gives_tokens_is_understood() {
    let user = User::with_tool();
    let laid = Laid::of(&user);
    let (answers, digest) = (laid.answers(), laid.digest.clone());
    let registry = Strange::new(move |address, request| {
        if request.line.starts_with("GET /token?service=tests&scope=repository%3Ax%3Apull ") {
            let token = br#"{"token":"opaque"}"#.to_vec();
            return vec![(String::new(), (200, String::new(), token))];
        }
        if request.authorization.as_deref() != Some("Bearer opaque") {
            let asks =
                format!("www-authenticate: Bearer realm=\"http://{address}/token\",service=\"tests\"\r\n");
            return vec![(String::new(), (401, asks, Vec::new()))];
        }
        answers.clone()
    });
    let package = format!("oci://{}/x@{digest}", registry.address());
    is_desk(&user, &registry.address());
    user.nanohost(&["tool", "pull", &package, "--json"]).exits(0);
    assert_eq!(user.kept(), [digest]);
    let with_password: Vec<_> = registry
        .received()
        .into_iter()
        .filter(|own| own.authorization.as_deref() == Some("Basic ZGVzazpjb3JyZWN0IGhvcnNl"))
        .collect();
    assert_eq!(with_password.len(), 1, "for the token alone: {with_password:?}");
    assert!(with_password[0].line.starts_with("GET /token?"));
}

#[test]
fn a_password_goes_to_no_stranger_that_a_registry_names() {
    let user = User::with_tool();
    let laid = Laid::of(&user);
    let stranger =
        Strange::new(|_, _| vec![(String::new(), (200, String::new(), br#"{"token":"x"}"#.to_vec()))]);
    let realm = format!("http://{}/token", stranger.address());
    let registry = Strange::new(move |_, _| {
        let asks = format!("www-authenticate: Bearer realm=\"{realm}\",service=\"tests\"\r\n");
        vec![(String::new(), (401, asks, Vec::new()))]
    });
    let package = format!("oci://{}/x@{}", registry.address(), laid.digest);
    is_desk(&user, &registry.address());
    user.nanohost(&["tool", "pull", &package, "--json"]).finds(5, "registry_insecure");
    assert_eq!(stranger.received(), []);

    // One that asks for the password itself, and then sends elsewhere.
    let place = stranger.address();
    let registry = Strange::new(move |_, request| match &request.authorization {
        None => {
            vec![(String::new(), (401, "www-authenticate: Basic realm=\"x\"\r\n".to_owned(), Vec::new()))]
        }
        Some(_) => vec![
            ("HEAD".to_owned(), (404, String::new(), Vec::new())),
            ("GET /v2/x/manifests/1".to_owned(), (404, String::new(), Vec::new())),
            (String::new(), (202, format!("location: http://{place}/upload\r\n"), Vec::new())),
        ],
    });
    is_desk(&user, &registry.address());
    let to = format!("oci://{}/x:1", registry.address());
    user.nanohost(&["tool", "push", "ledger", &to, "--json"]).finds(5, "registry_insecure");
    assert_eq!(stranger.received(), []);
}

#[test]
fn blobs_are_redirected_without_who_one_is_and_never_where_nothing_is_encrypted() {
    let user = User::with_tool();
    let laid = Laid::of(&user);
    let stranger = Strange::new(|_, _| Vec::new());
    for (place, expect) in [
        (Some(format!("http://{}/blob", stranger.address())), "registry_insecure"),
        // To itself, round and round.
        (None, "registry_insecure"),
    ] {
        let answers = laid.answers();
        let registry = Strange::new(move |_, request| {
            let line = &request.line;
            if line.starts_with("GET /v2/x/blobs/") {
                let to = place.clone().unwrap_or_else(|| line.split(' ').nth(1).expect("a path").to_owned());
                return vec![(String::new(), (307, format!("location: {to}\r\n"), Vec::new()))];
            }
            answers.clone()
        });
        is_desk(&user, &registry.address());
        let package = format!("oci://{}/x@{}", registry.address(), laid.digest);
        user.nanohost(&["tool", "pull", &package, "--json"]).finds(5, expect);
        assert!(registry.received().len() < 12, "it ends: {:?}", registry.received());
    }
    assert_eq!((stranger.received(), user.files()), (Vec::new(), Vec::new()));

    // Within the registry a redirect is followed.
    let answers = laid.answers();
    let registry = Strange::new(move |_, request| match request.line.strip_prefix("GET /v2/x/blobs/") {
        Some(rest) => {
            let to = format!("location: /storage/{}\r\n", rest.split(' ').next().expect("a digest"));
            vec![(String::new(), (307, to, Vec::new()))]
        }
        None => {
            let stored = |(path, answer): &(String, _)| {
                (path.replace("/v2/x/blobs", "/storage"), Clone::clone(answer))
            };
            answers.iter().map(stored).collect()
        }
    });
    let package = format!("oci://{}/x@{}", registry.address(), laid.digest);
    user.nanohost(&["tool", "pull", &package, "--json"]).exits(0);
}

#[test]
fn a_referrer_of_another_package_and_answers_without_end_are_refused() {
    let user = User::with_tool();
    let laid = Laid::of(&user);
    user.home.write("other/component.wasm", component());
    user.home
        .write("other/manifest.toml", MANIFEST.replace("kv = [\"ledger\"]", "kv = [\"ledger\", \"more\"]"));
    user.nanohost(&["tool", "pack", "other", "-o", "other.laid"]).exits(0);
    let other = fs::read(user.home.path("other.laid/index.json")).expect("it was written");
    let other: Value = serde_json::from_slice(&other).expect("JSON");
    let manifest = other["manifests"][1].clone();
    assert_eq!(manifest["artifactType"], "application/vnd.nanohost.manifest.v1+toml");
    let image = |digest: &str| {
        fs::read(user.home.path("other.laid/blobs/sha256").join(digest.trim_start_matches("sha256:")))
            .expect("a blob")
    };
    let digest = text(&manifest["digest"]);
    // The other's manifest, as it is, and made to refer to this image.
    let mut refers: Value = serde_json::from_slice(&image(&digest)).expect("JSON");
    let layer = text(&refers["layers"][0]["digest"]);
    let own = laid.documents.iter().find(|(name, _)| *name == laid.digest).expect("the image");
    refers["subject"]["digest"] = laid.digest.as_str().into();
    refers["subject"]["size"] = own.1.len().into();
    for forged in [image(&digest), refers.to_string().into_bytes()] {
        let named = format!("sha256:{}", nanohost_core::Digest::of(&forged));
        let mut entry = manifest.clone();
        entry["digest"] = named.as_str().into();
        entry["size"] = forged.len().into();
        let list = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string().into_bytes();
        let mut answers = vec![
            ("GET /v2/x/referrers/".to_owned(), (200, String::new(), list)),
            (format!("GET /v2/x/manifests/{named}"), (200, String::new(), forged)),
            (format!("GET /v2/x/blobs/{layer}"), (200, String::new(), image(&layer))),
        ];
        answers.extend(laid.answers());
        let registry = Strange::new(move |_, _| answers.clone());
        let package = format!("oci://{}/x@{}", registry.address(), laid.digest);
        user.nanohost(&["tool", "pull", &package, "--json"]).finds(2, "package_mismatch");
    }
    // More than is read, and more than is looked at.
    let listed = |number: usize| {
        let mut entry = manifest.clone();
        entry["digest"] = format!("sha256:{number:064x}").into();
        entry
    };
    let many: Vec<Value> = (0..65).map(listed).collect();
    let many = json!({ "schemaVersion": 2, "manifests": many }).to_string().into_bytes();
    for (path, bytes, code) in [
        ("GET /v2/x/manifests/", vec![b' '; 1 << 20], "package_mismatch"),
        ("GET /v2/x/referrers/", vec![b' '; 1 << 20], "package_mismatch"),
        ("GET /v2/x/referrers/", many, "invalid_package"),
        ("GET /v2/x/referrers/", b"no list".to_vec(), "invalid_package"),
    ] {
        let mut answers = vec![(path.to_owned(), (200, String::new(), bytes))];
        answers.extend(laid.answers());
        let registry = Strange::new(move |_, _| answers.clone());
        let package = format!("oci://{}/x@{}", registry.address(), laid.digest);
        user.nanohost(&["tool", "pull", &package, "--json"]).finds(2, code);
    }
    assert_eq!(user.files(), [""; 0]);
}

#[test]
fn another_signature_takes_the_place_of_the_former_where_lists_are_kept() {
    let user = User::with_tool();
    user.nanohost(&["tool", "sign", "ledger"]).exits(0);
    let kind = "application/vnd.dsse.envelope.v1+json";
    let former = format!("sha256:{}", "0".repeat(64));
    let other = format!("sha256:{}", "1".repeat(64));
    let entry = |digest: &str, kind: &str| {
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        json!({ "mediaType": media_type, "digest": digest, "size": 1, "artifactType": kind })
    };
    let list =
        json!({ "schemaVersion": 2, "manifests": [entry(&former, kind), entry(&other, "another/kind")] });
    for (status, exit) in [(202, 0), (405, 5)] {
        let list = list.to_string().into_bytes();
        let registry = Strange::new(move |_, _| {
            vec![
                ("HEAD /v2/x/blobs/".to_owned(), (200, String::new(), Vec::new())),
                ("GET /v2/x/referrers/".to_owned(), (200, String::new(), list.clone())),
                ("PUT /v2/x/manifests/".to_owned(), (201, "oci-subject: x\r\n".to_owned(), Vec::new())),
                ("DELETE ".to_owned(), (status, String::new(), Vec::new())),
            ]
        });
        let to = format!("oci://{}/x:1", registry.address());
        user.nanohost(&["tool", "push", "ledger", &to, "--json"]).exits(exit);
        let lines: Vec<String> = registry.received().into_iter().map(|own| own.line).collect();
        let removed: Vec<&String> = lines.iter().filter(|line| line.starts_with("DELETE ")).collect();
        assert_eq!(removed, [&format!("DELETE /v2/x/manifests/{former} HTTP/1.1")]);
        // The tag moves last, and not at all where that failed.
        assert_eq!(
            lines.iter().any(|line| line.starts_with("PUT /v2/x/manifests/1 ")),
            exit == 0,
            "{lines:?}"
        );
    }
}

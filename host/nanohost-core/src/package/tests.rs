use super::*;

fn reads(text: &str) -> bool {
    match text.parse::<PackageRef>() {
        Ok(read) => {
            assert_eq!(read.to_string(), text, "there is one spelling");
            true
        }
        Err(_) => false,
    }
}

#[test]
fn one_line_a_reference() {
    let digest = format!("@sha256:{}", "a".repeat(64));
    for good in [
        "oci://registry/refund",
        "oci://registry.example.com:5000/team/refund-api:1.2.0",
        "oci://127.0.0.1:5000/a/b__c/d---e.f:v1_x",
        "oci://[::1]:5000/refund",
        "oci://[::1]/refund:latest",
        &format!("oci://ghcr.io/acme/refund-api:1.2.0{digest}"),
        &format!("oci://ghcr.io/acme/refund-api{digest}"),
    ] {
        assert!(reads(good), "{good}");
    }
    for bad in [
        "",
        "refund",
        "registry/refund",
        "docker://registry/refund",
        "oci://registry",
        "oci:///refund",
        "oci://registry/",
        "oci://registry//refund",
        "oci://registry/refund/",
        "oci://registry/../refund",
        "oci://registry/Refund",
        "oci://registry/re fund",
        "oci://registry/refund?x=1",
        "oci://registry/refund#x",
        "oci://registry/re..fund",
        "oci://registry/refund-",
        "oci://Registry/refund",
        "oci://user:password@registry/refund",
        "oci://user@registry/refund",
        "oci://registry:0/refund",
        "oci://registry:/refund",
        "oci://registry:+80/refund",
        "oci://registry:65536/refund",
        "oci://[::1/refund",
        "oci://[::1]x/refund",
        "oci://[nonsense]/refund",
        "oci://.registry/refund",
        "oci://registry./refund",
        "oci://registry/refund:",
        "oci://registry/refund:-x",
        "oci://registry/refund:a/b",
        "oci://registry/refund:a:b",
        "oci://registry/refund@sha256:abc",
        "oci://registry/refund@sha512:aaaa",
        &format!("oci://registry/refund@sha256:{}", "A".repeat(64)),
        &format!("oci://registry/refund{digest}{digest}"),
        &format!("oci://registry/refund{digest}:tag"),
        &format!("oci://registry/refund:{}", "t".repeat(129)),
        &format!("oci://registry/{}", "r".repeat(300)),
    ] {
        assert!(!reads(bad), "{bad}");
    }
}

#[test]
fn only_a_digest_pins() {
    let tagged: PackageRef = "oci://registry/refund:1.0.0".parse().expect("a reference");
    assert_eq!(tagged.pinned(), None);
    let pinned = tagged.at(Digest::of(b"x"));
    let again: PackageRef = pinned.to_string().parse().expect("what is written is read");
    assert_eq!(again.pinned(), Some(pinned));
}

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpListener;

use super::*;

#[test]
fn only_what_stays_on_this_machine_or_is_said_to_is_not_encrypted() {
    for (registry, plain) in [
        ("127.0.0.1:5000", true),
        ("127.8.9.1", true),
        ("localhost:5000", true),
        ("[::1]:5000", true),
        ("named.example:5000", true),
        ("named.example", false),
        ("localhost.example", false),
        ("127.0.0.1.example", false),
        ("10.0.0.1:5000", false),
        ("[::2]:5000", false),
    ] {
        assert_eq!(is_plain(registry, &["named.example:5000".to_owned()]), plain, "{registry}");
    }
}

#[test]
fn a_request_may_take_longer_the_more_it_carries() {
    let patience = Patience { least: Duration::from_secs(10), rate: 1000 };
    for (bytes, seconds) in [(0, 10), (1, 11), (1000, 11), (1001, 12), (60_000, 70)] {
        assert_eq!(patience.of(bytes), Duration::from_secs(seconds), "{bytes}");
    }
    // The largest component, over the slowest line.
    assert_eq!(PATIENCE.of(32 << 20), Duration::from_secs(120 + 1024));
}

/// Answers one request, and then drips for as long as somebody listens. `head`: what it says at once.
fn dripping(head: &'static str) -> (Repository, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("bound");
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).expect("a request") > 0);
        stream.set_read_timeout(Some(Duration::from_millis(1))).expect("more than none");
        let mut next = head.as_bytes().to_vec();
        loop {
            if stream.write_all(&next).is_err() {
                return;
            }
            next = b"x".to_vec();
            match stream.read(&mut request) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                _ => return,
            }
        }
    });
    let package: nanohost_core::PackageRef = format!("oci://{at}/team/tool").parse().expect("a reference");
    (package.repository, server)
}

#[test]
fn a_registry_that_drips_is_left() {
    for (head, code) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 400000\r\n\r\n", "registry_interrupted"),
        // Its answer never begins.
        ("HTTP/1.1 200 OK\r\nx-much: ", "registry_unreachable"),
    ] {
        let (repository, server) = dripping(head);
        let progress = Progress::new(false);
        let mut remote = Remote::open(&repository, Use::Pull, &[], &progress).expect("this machine");
        remote.patience = Patience { least: Duration::from_millis(50), rate: u64::MAX };
        let error = remote.tagged("1.0.0").expect_err("it is left");
        drop(remote);
        server.join().expect("it saw that");
        let failure = error.downcast::<Failure>().expect("a finding");
        assert_eq!(failure.findings.iter().next().map(|finding| finding.code), Some(code));
    }
}

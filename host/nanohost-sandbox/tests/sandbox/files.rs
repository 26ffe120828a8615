//! Attempts at files outside the granted folder, and at writing through a read grant.

use std::fs;
use std::path::Path;

use nanohost_core::Class;
use nanohost_sandbox::{CallReport, FaultCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bench::{Asks, call, denied, fault, guest, plan, success, tool, tool_error};

/// `granted/` with a file, and a secret beside it.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        let disk = TempDir::new().expect("a temporary folder");
        fs::create_dir(disk.path().join("granted")).expect("a folder");
        fs::create_dir(disk.path().join("granted/inner")).expect("a folder");
        fs::write(disk.path().join("granted/order.txt"), "order").expect("a file");
        fs::write(disk.path().join("granted/inner/note.txt"), "note").expect("a file");
        fs::write(disk.path().join("secret.txt"), "secret").expect("a file");
        Self(disk)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn asks(&self, folder: &str, access: &str) -> Asks {
        let host = self.path().join(folder);
        Asks {
            capabilities: format!("filesystem = [{{ guest = \"/data\", access = \"{access}\" }}]"),
            host: format!("[folders.guest]\n\"/data\" = {:?}\n", host.to_str().expect("a UTF-8 path")),
            ..Asks::default()
        }
    }

    async fn call(&self, function: &str, access: &str, input: Value) -> CallReport {
        call(&tool(&guest("files"), function, &self.asks("granted", access)), input).await
    }

    async fn read(&self, path: &str) -> CallReport {
        self.call("read", "read", json!({ "path": path })).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn granted_folder() {
    let disk = Disk::new();
    let report = disk.read("/data/order.txt").await;
    assert_eq!(success(&report), "order");
    assert_eq!(denied(&report), [""; 0]);
    let used = &report.used[0];
    assert_eq!(
        (used.class, used.scope.as_str(), used.read, used.written),
        (Class::Filesystem, "/data", 5, 0)
    );
    assert!(used.operations >= 2, "{used:?}");
    assert_eq!(success(&disk.read("/data/inner/../order.txt").await), "order");
    assert_eq!(tool_error(&disk.read("/data/none.txt").await), "NotFound");
}

pub(crate) async fn dot_dot_escape() {
    let disk = Disk::new();
    for path in
        ["/data/../secret.txt", "/data/inner/../../secret.txt", "/data/inner/../../granted/../secret.txt"]
    {
        let report = disk.read(path).await;
        assert_eq!(tool_error(&report), "PermissionDenied", "{path}");
        assert_eq!(denied(&report).last().map(String::as_str), Some(format!("open {path}").as_str()));
        assert!(report.used.iter().all(|used| used.read == 0));
    }
    // The same path, where the folder above is what is granted.
    let wide = tool(&guest("files"), "read", &disk.asks("", "read"));
    assert_eq!(success(&call(&wide, json!({ "path": "/data/granted/../secret.txt" })).await), "secret");
}

pub(crate) async fn absolute_path_escape() {
    let disk = Disk::new();
    let secret = disk.path().join("secret.txt");
    for path in [secret.to_str().expect("a UTF-8 path"), "/etc/passwd"] {
        let report = disk.read(path).await;
        // Without a preopen that it lies in, the guest's own libc refuses it.
        assert!(
            matches!(tool_error(&report).as_str(), Some("NotFound" | "PermissionDenied" | "Uncategorized")),
            "{path}: {report:?}"
        );
    }
}

pub(crate) async fn symlink_escape() {
    let disk = Disk::new();
    let granted = disk.path().join("granted");
    std::os::unix::fs::symlink("../secret.txt", granted.join("relative")).expect("a link");
    std::os::unix::fs::symlink(disk.path().join("secret.txt"), granted.join("absolute")).expect("a link");
    std::os::unix::fs::symlink("..", granted.join("up")).expect("a link");
    std::os::unix::fs::symlink("inner/note.txt", granted.join("inside")).expect("a link");
    for path in ["/data/relative", "/data/absolute", "/data/up/secret.txt"] {
        let report = disk.read(path).await;
        assert_eq!(tool_error(&report), "PermissionDenied", "{path}");
        assert_eq!(denied(&report).last().map(String::as_str), Some(format!("open {path}").as_str()));
    }
    assert_eq!(success(&disk.read("/data/inside").await), "note");
}

pub(crate) async fn write_through_read_grant() {
    let disk = Disk::new();
    let order = disk.path().join("granted/order.txt");
    let new = disk.path().join("granted/new.txt");
    for (function, input, operation) in [
        ("write", json!({ "path": "/data/order.txt", "text": "forged" }), "open /data/order.txt"),
        ("write", json!({ "path": "/data/new.txt", "text": "forged" }), "open /data/new.txt"),
        ("append", json!({ "path": "/data/order.txt", "text": "forged" }), "open /data/order.txt"),
        ("remove", json!({ "path": "/data/order.txt" }), "remove /data/order.txt"),
    ] {
        let report = disk.call(function, "read", input).await;
        assert_eq!(tool_error(&report), "PermissionDenied", "{function}");
        assert_eq!(denied(&report), [operation]);
        assert_eq!(fs::read_to_string(&order).expect("the file"), "order");
        assert!(!new.exists());
    }
    let report = disk.call("write", "write", json!({ "path": "/data/new.txt", "text": "letter" })).await;
    assert_eq!(success(&report), &Value::Null);
    assert_eq!(fs::read_to_string(&new).expect("the file"), "letter");
    assert_eq!(report.used[0].written, 6);
    let report = disk.call("append", "write", json!({ "path": "/data/new.txt", "text": "!" })).await;
    assert_eq!((success(&report), report.used[0].written), (&Value::Null, 1));
    success(&disk.call("remove", "write", json!({ "path": "/data/new.txt" })).await);
    assert!(!new.exists());
}

pub(crate) async fn write_outside_a_write_grant() {
    let disk = Disk::new();
    let report =
        disk.call("write", "write", json!({ "path": "/data/../secret.txt", "text": "forged" })).await;
    assert_eq!(tool_error(&report), "PermissionDenied");
    assert_eq!(denied(&report).last().map(String::as_str), Some("open /data/../secret.txt"));
    assert_eq!(fs::read_to_string(disk.path().join("secret.txt")).expect("the file"), "secret");
}

/// The handle is what was granted, not the name: a folder put in its place later is not it.
pub(crate) async fn folder_exchanged_after_admission() {
    let disk = Disk::new();
    let tool = tool(&guest("files"), "read", &disk.asks("granted", "read"));
    fs::rename(disk.path().join("granted"), disk.path().join("moved")).expect("a rename");
    fs::create_dir(disk.path().join("granted")).expect("a folder");
    fs::write(disk.path().join("granted/order.txt"), "another").expect("a file");
    assert_eq!(success(&call(&tool, json!({ "path": "/data/order.txt" })).await), "order");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_folder() {
    let disk = Disk::new();
    let loaded = guest("files");
    let plan = plan(loaded.facts(), "read", &disk.asks("nowhere", "read")).expect("admission reads no disk");
    let error = crate::bench::link(&loaded, &plan).expect_err("the folder is not there");
    assert_eq!(error.code(), "folder_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_are_sorted_and_times_absent() {
    let disk = Disk::new();
    for name in ["z", "b", "a", "m"] {
        fs::write(disk.path().join("granted").join(name), "").expect("a file");
    }
    let report = disk.call("names", "read", json!({ "path": "/data" })).await;
    assert_eq!(success(&report), &json!(["a", "b", "inner", "m", "order.txt", "z"]));
    let report = disk.call("has-times", "read", json!({ "path": "/data/order.txt" })).await;
    assert_ne!(report.outcome, nanohost_sandbox::Outcome::Success(json!(true)));
}

pub(crate) async fn handle_hoard() {
    let disk = Disk::new();
    let report = disk.call("hoard", "read", json!({ "path": "/data/order.txt", "count": 100 })).await;
    assert_eq!(success(&report), &json!(100));
    let report = disk.call("hoard", "read", json!({ "path": "/data/order.txt", "count": 100_000 })).await;
    assert_eq!(fault(&report), FaultCode::HandleLimit);
}

/// Opening a pipe would block a thread of the host until somebody writes to it.
pub(crate) async fn special_file() {
    let disk = Disk::new();
    let socket =
        std::os::unix::net::UnixListener::bind(disk.path().join("granted/socket")).expect("a socket");
    let report = disk.read("/data/socket").await;
    assert_eq!(tool_error(&report), "PermissionDenied");
    assert_eq!(denied(&report), ["open /data/socket"]);
    drop(socket);
}

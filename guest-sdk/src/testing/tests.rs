use std::path::Path;

use super::{lines, mount, reset, set_call};
use crate::log::Level;
use crate::{call_context, folder, log};

#[test]
fn a_mounted_folder_stands_for_the_guest_path() {
    mount("/data", "somewhere");
    assert_eq!(folder::path("/data/orders.json"), Path::new("somewhere/orders.json"));
    assert_eq!(folder::path("/data"), Path::new("somewhere"));
    assert_eq!(folder::path("/database"), Path::new("/database"));
}

#[test]
fn the_call_and_its_lines_are_seen() {
    set_call("order A-1", 2);
    assert_eq!((call_context::idempotency_key().as_str(), call_context::attempt()), ("order A-1", 2));
    log::warn("slow");
    assert_eq!(lines(), [(Level::Warn, "slow".to_owned())]);
    reset();
    assert!(lines().is_empty());
    assert_eq!(call_context::attempt(), 1);
}

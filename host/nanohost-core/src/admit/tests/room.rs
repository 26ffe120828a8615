//! What calls may take: ceilings of all policies, and what all calls together have.

use super::*;
use crate::Together;

fn bounded(limits: &str, policies: &[&str]) -> World {
    let mut world = World::new(&format!("[limits]\n{limits}\n"), &[], "");
    world.policies = policies.iter().map(|text| ((*text).to_owned(), Trust::Trusted)).collect();
    world
}

#[test]
fn of_bounds_for_all_calls_the_smallest_counts() {
    let together = |policies: &[&str]| bounded("", policies).plan().rows()[0].grants.together();
    assert_eq!(together(&[""]), Together::default());
    assert_eq!(
        together(&["[limits.together]\ncalls = 4\nmemory = \"1GiB\"", "[limits.together]\ncalls = 9"]),
        Together { calls: Some(4), memory: Some(1 << 30) }
    );
    assert_eq!(
        together(&["[limits.together]\ncalls = 4", "[limits.together]\nmemory = \"64MiB\"", ""]),
        Together { calls: Some(4), memory: Some(64 << 20) }
    );
}

#[test]
fn a_call_that_never_fits_is_refused_at_once() {
    let tight = "[limits.together]\nmemory = \"32MiB\"";
    assert_eq!(bounded("memory = \"32MiB\"", &[tight]).verdict(), "ok");
    assert_eq!(bounded("memory = \"33MiB\"", &[tight]).verdict(), "never_fits memory 34603008 bytes");
    let denied = bounded("memory = \"33MiB\"", &["", &format!("\n{tight}")]).denied();
    let place = denied.gaps()[0].not_granted_by.as_ref().and_then(|by| by.place.clone());
    assert_eq!(place.map(|place| place.to_string()).as_deref(), Some("policy1.toml:2"));
    // A ceiling over each call makes it fit.
    let both = format!("[limits]\nmemory = \"16MiB\"\n{tight}");
    assert_eq!(bounded("memory = \"33MiB\"", &[&both]).verdict(), "ok");
}

#[test]
fn what_is_written_has_bounds_and_ceilings() {
    let limits = |limits: &str, policy: &str| {
        let limits = bounded(limits, &[policy]).plan().rows()[0].limits;
        (limits.file_bytes, limits.kv_bytes, limits.kv_held)
    };
    assert_eq!(limits("", ""), (64 << 20, 8 << 20, 64 << 20));
    let own = "file_bytes = \"5B\"\nkv_bytes = \"6B\"\nkv_held = \"7B\"";
    assert_eq!(limits(own, ""), (5, 6, 7));
    assert_eq!(limits(own, "[limits]\nfile_bytes = \"4B\"\nkv_bytes = \"9B\"\nkv_held = \"6B\""), (4, 6, 6));
}

#[test]
fn a_table_without_these_bounds_is_the_one_of_before() {
    let row = |limits: &str, policy: &str| bounded(limits, &[policy]).plan().rows()[0].to_json();
    let usual = row("", "");
    assert_eq!(usual["limits"].as_object().map(serde_json::Map::len), Some(7), "{usual}");
    assert!(usual.get("together").is_none());
    let own = row("kv_held = \"1GiB\"", "[limits.together]\ncalls = 3");
    assert_eq!(own["limits"]["kv-held"], 1u64 << 30);
    assert_eq!(own["together"], json!({ "calls": 3 }));
}

/// Each key of `[limits]` alone, in a policy over a manifest that asks for more.
#[test]
fn each_ceiling_counts() {
    let keys = [
        ("memory", "\"2MiB\"", "\"1MiB\"", 1 << 20),
        ("fuel", "2000", "1000", 1000),
        ("deadline", "\"2s\"", "\"1s\"", 1000),
        ("output", "\"2KiB\"", "\"1KiB\"", 1024),
        ("logs", "\"2KiB\"", "\"1KiB\"", 1024),
        ("http_calls", "2", "1", 1),
        ("http_bytes", "\"2KiB\"", "\"1KiB\"", 1024),
        ("file_bytes", "\"2KiB\"", "\"1KiB\"", 1024),
        ("kv_bytes", "\"2KiB\"", "\"1KiB\"", 1024),
        ("kv_held", "\"2KiB\"", "\"1KiB\"", 1024),
    ];
    let asked: String = keys.iter().map(|(key, asked, ..)| format!("{key} = {asked}\n")).collect();
    let limits = |policies: &[&str]| bounded(&asked, policies).plan().rows()[0].to_json()["limits"].clone();
    let free = limits(&[""]);
    let all = free.as_object().expect("an object");
    assert_eq!(all.len(), keys.len(), "no limit is left out here");
    for (key, _, ceiling, expect) in keys {
        let narrowed = limits(&["", &format!("[limits]\n{key} = {ceiling}")]);
        let shown = key.replace('_', "-");
        let other: Vec<&String> = all.keys().filter(|own| narrowed[own.as_str()] != all[*own]).collect();
        assert_eq!(other, [&shown], "a ceiling is over one limit alone");
        assert_eq!(narrowed[&shown], expect, "{key}");
    }
}

//! What surrounds a program on this machine: the platform's folders, the policy in force and
//! whether it is trusted, the tools' folders and their builds, and the files that no grant may
//! reach. Knows nothing of argv, of runs, and of how anything is shown.

mod build;
mod control;
mod lock;
mod places;
mod policy;
mod programs;
mod read;
mod source_tree;
mod tools;
mod trust;

pub(crate) use build::{BuildEvent, build, build_again, has_wasm_target, make_with, metadata, no_maker};
pub(crate) use control::{ControlPaths, WriteGrant, check_write_grants};
pub(crate) use lock::{lock_path, read_lock, write_lock};
pub(crate) use nanohost_verify::read::{quoted, read_bounded};
pub(crate) use places::Places;
pub(crate) use policy::{FoundPolicy, find, find_named, read_policy, standing};
pub(crate) use programs::{files_in, programs_beside, programs_in};
pub(crate) use read::read_source;
pub(crate) use tools::{
    CASES, Component, CrateComponent, Freshness, MANIFEST, PREBUILT, ToolFolder, by_name, by_path, in_folder,
    sbom, signature, signature_of,
};
pub(crate) use trust::{TrustedRoots, Verdict};
/// `nanohost trust`: what is recorded, and how it is changed.
pub(crate) mod trusting {
    pub(crate) use super::trust::{Trusted, add, list, look, remove, roots};
}

#[cfg(test)]
mod testing;

//! The verifier as an auditor meets it: the executable, on files, with a public key and nothing else.

#![cfg(target_os = "linux")]

mod dependencies;
mod long;
mod vectors;

//! `nanohost`: models propose, the runtime governs.

mod failure;

fn main() {}

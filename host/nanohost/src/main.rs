//! `nanohost`: models propose, the runtime governs.

mod failure;
mod project;

fn main() {}

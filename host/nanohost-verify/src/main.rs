//! The executable. All of it is in the library, which `nanohost verify` is made of too.

use std::process::ExitCode;

fn main() -> ExitCode {
    nanohost_verify::main()
}

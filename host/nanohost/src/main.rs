//! The executable. All of it is in the library, so that benches can drive runs too.

use std::process::ExitCode;

fn main() -> ExitCode {
    nanohost::main()
}

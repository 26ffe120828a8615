//! What a call costs, layer by layer, in one process and one run: `cargo bench --bench calls`.
//!
//! `calls NAME` measures one table: `fresh` (a call in a fresh instance: in wasmtime alone, through
//! the sandbox, governed), `deadline` (how late a guest ends), `parallel` (calls on one and two
//! threads), `runs` (runs at once that share a store on disk), `process` (from a process's start to its exit). All of them go round in turn, so that
//! what else the machine does meets all; what counts is the minimum, since noise only adds.

mod deadline;
mod echo;
mod fresh;
mod governed;
mod parallel;
mod process;
mod raw;
mod runs;
mod sample;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    // Cargo says `--bench`, wherever it likes.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            fresh::measure()?;
            deadline::measure()?;
            parallel::measure()?;
            runs::measure()?;
            process::measure()
        }
        ["fresh"] => fresh::measure(),
        ["deadline"] => deadline::measure(),
        ["parallel"] => parallel::measure(),
        ["runs"] => runs::measure(),
        ["process"] => process::measure(),
        ["profile", layer, calls] => fresh::profile(layer, calls.parse()?),
        ["peer", code, length] => process::peer(code.as_ref(), length.parse()?),
        _ => Err("calls [fresh | deadline | parallel | runs | process | profile LAYER CALLS]".into()),
    }
}

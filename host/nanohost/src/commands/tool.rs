//! `nanohost tool`: what a tool is, and what its author and its reviewer ask about it. Runs no program.

mod inspect;
mod make;
mod registry;
mod review;
mod test;

use crate::cli::{ToolArgs, ToolCommand};
use crate::console::Console;
use crate::failure::Exit;
use crate::project::Places;

/// `nanohost tool`.
pub fn tool(args: &ToolArgs, places: &Places, console: &Console) -> anyhow::Result<Exit> {
    match &args.command {
        ToolCommand::New(args) => make::new(args, console),
        ToolCommand::Build(args) => make::build(args, places, console),
        ToolCommand::Inspect(args) => inspect::inspect(args, places, console),
        ToolCommand::Schema(args) => inspect::schema(args, places, console),
        ToolCommand::Infer(args) => review::infer(args, places, console),
        ToolCommand::Diff(args) => review::diff(args, places, console),
        ToolCommand::Lint(args) => review::lint(args, places, console),
        ToolCommand::Test(args) => test::test(args, places, console),
        ToolCommand::Pack(args) => registry::pack(args, places, console),
        ToolCommand::Push(args) => registry::push(args, places, console),
        ToolCommand::Pull(args) => registry::pull(args, places, console),
        ToolCommand::Bundle(args) => registry::bundle(args, places, console),
    }
}

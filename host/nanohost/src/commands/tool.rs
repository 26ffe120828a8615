//! `nanohost tool`: what a tool is, and what its author and its reviewer ask about it. Runs no program.

mod inspect;
mod make;
mod registry;
mod review;
mod sign;
mod test;

use super::audit;
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
        ToolCommand::List(args) => audit::list(args, places, console),
        ToolCommand::Show(args) => audit::show(args, places, console),
        ToolCommand::Search(args) => audit::search(args, places, console),
        ToolCommand::Sign(args) => sign::sign(args, places, console),
        ToolCommand::Verify(args) => sign::verify(args, places, console),
        ToolCommand::Test(args) => test::test(args, places, console),
        ToolCommand::Pack(args) => registry::pack(args, places, console),
        ToolCommand::Push(args) => registry::push(args, places, console),
        ToolCommand::Pull(args) => registry::pull(args, places, console),
        ToolCommand::Bundle(args) => registry::bundle(args, places, console),
    }
}

//! What a reviewer of policies asks: why something is granted, what a change of a policy changes,
//! what in it is idle or wide, whether it does what its tests say. Everything is answered by what
//! admission decides; nothing here grants, and nothing knows disk, terminal or clock.

mod cases;
mod difference;
mod lint;
mod question;
mod rows;
mod tool;

pub use crate::admit::{Explanation, Line, Near, Restriction, Survey, Surveyed, Witness, explain, survey};
pub use cases::{Case, Expect, parse_cases};
pub use difference::{Change, Difference, Item, compare};
pub use lint::{Surroundings, Use, lint};
pub use question::Question;
pub use tool::{Reviewed, compare_tools, lint_tool};

#[cfg(test)]
mod tests;

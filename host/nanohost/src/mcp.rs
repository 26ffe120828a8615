//! The Model Context Protocol before a gateway: its tools, resources and tasks, on `rmcp`. All that knows of
//! that crate and of the protocol's words is here; what is answered is said by [`crate::gateway`].

mod call;
mod config;
mod resources;
mod server;
mod stdio;
mod tools;

pub use config::{Client, configuration};
pub use server::{Limits, Server};
pub use stdio::serve as serve_stdio;

/// What the keys of this project in `_meta` begin with.
const META: &str = "dev.nanohost/";

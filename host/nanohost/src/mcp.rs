//! The Model Context Protocol before a gateway: its tools, resources and tasks, on `rmcp`. All that knows of
//! that crate and of the protocol's words is here; what is answered is said by [`crate::gateway`].

mod call;
mod config;
mod http;
mod metrics;
mod resources;
mod server;
mod stdio;
mod tokens;
mod tools;

pub use config::{Client, configuration};
pub use http::{Listening, serve as serve_http};
pub use server::{Limits, Server};
pub use stdio::serve as serve_stdio;
pub use tokens::{Door, Token, Tokens, duration};

/// What the keys of this project in `_meta` begin with.
const META: &str = "dev.nanohost/";

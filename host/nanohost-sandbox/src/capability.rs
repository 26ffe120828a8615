//! The host's side of each class of authority, one file each. Every file takes the scope of its
//! own class and never the whole grant, adds its interfaces to a linker, and records what is used
//! and what is refused.

pub(crate) mod clock;
pub(crate) mod context;
pub(crate) mod env;
pub(crate) mod filesystem;
pub(crate) mod http;
pub(crate) mod kv;
pub(crate) mod log;
pub(crate) mod random;
pub(crate) mod secrets;
pub(crate) mod sockets;
pub(crate) mod stdio;
mod stream;

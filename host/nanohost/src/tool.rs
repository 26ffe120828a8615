//! Tools as things of their own: what one is, what it asks for, how it is made, tried and compared.
//! Knows no run and no evidence; whether a program may use a tool is the policy's and admission's.

pub mod authority;
pub mod draft;
pub mod inspection;
pub mod junit;
pub mod make;
pub mod observe;
pub mod package;
pub mod parts;
pub mod signing;
pub mod template;
pub mod trial;

pub use inspection::Inspection;
pub use package::{Failed, Package, Standing};

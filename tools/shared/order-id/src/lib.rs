//! The form of an order's id. It becomes part of keys and file names, so every tool that takes
//! one reads it through here. Knows no order.

#![cfg_attr(target_family = "wasm", no_std)]

use nanohost_guest::Failure;
use nanohost_guest::prelude::*;

/// An id is never longer: it must fit a key and a file name with room to spare.
const MAX: usize = 32;

/// An order's id: letters, digits and `-`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderId(String);

impl OrderId {
    /// Checks the form. What does not have it is invalid input: no other order is guessed from it.
    pub fn parse(text: String) -> Result<Self, Failure> {
        let sound = text.len() <= MAX
            && text.starts_with(|letter: char| letter.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if sound {
            Ok(Self(text))
        } else {
            Err(Failure::invalid_input("an order id is up to 32 letters, digits and `-`, such as A-1001"))
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as text of its own.
    pub fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests;

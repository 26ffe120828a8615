//! Books wire transfers into the kv namespace `wires`: a tool that a program had better not hold
//! without need.

#![cfg_attr(target_family = "wasm", no_std)]

nanohost_guest::pure!();

#[nanohost_guest::tool]
pub mod wires {
    use nanohost_guest::kv::{self, Namespace};
    use nanohost_guest::prelude::*;
    use nanohost_guest::{Failure, call_context};

    pub(super) const WIRES: Namespace = kv::open("wires");

    /// No account number is longer (IBAN, ISO 13616).
    const MAX_ACCOUNT: usize = 34;

    /// A booked transfer.
    #[derive(Debug, PartialEq)]
    pub struct Transfer {
        pub transfer_id: String,
        pub account: String,
        pub amount_cents: u64,
    }

    /// Books `amount_cents` out to `account`.
    pub fn wire_transfer(account: String, amount_cents: u64) -> Result<Transfer, Failure> {
        let sound = !account.is_empty()
            && account.len() <= MAX_ACCOUNT
            && account.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !sound {
            return Err(Failure::invalid_input("an account is up to 34 capital letters and digits"));
        }
        if amount_cents == 0 {
            return Err(Failure::invalid_input("a transfer is more than nothing"));
        }
        let transfer_id = call_context::idempotency_key();
        let entry = format!("{account} {amount_cents}");
        match WIRES.set_new(&format!("transfer/{transfer_id}"), entry.as_bytes()) {
            Ok(()) => Ok(Transfer { transfer_id, account, amount_cents }),
            Err(kv::Error::AlreadyExists) => Err(Failure::rejected("this transfer was booked already")),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;

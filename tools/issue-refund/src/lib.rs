//! Books refunds into the ledger, the kv namespace `ledger`. An order is refunded once.

#![cfg_attr(target_family = "wasm", no_std)]

nanohost_guest::pure!();

#[nanohost_guest::tool]
pub mod refunds {
    use nanohost_guest::kv::{self, Namespace};
    use nanohost_guest::prelude::*;
    use nanohost_guest::{Failure, call_context};
    use order_id::OrderId;

    pub(super) const LEDGER: Namespace = kv::open("ledger");

    /// A booked refund.
    #[derive(Debug, PartialEq)]
    pub struct Receipt {
        pub refund_id: String,
        pub order_id: String,
        pub amount_cents: u64,
    }

    /// Books `amount_cents` back to whoever placed the order.
    pub fn issue_refund(order_id: String, amount_cents: u64) -> Result<Receipt, Failure> {
        let order = OrderId::parse(order_id)?;
        if amount_cents == 0 {
            return Err(Failure::invalid_input("a refund is more than nothing"));
        }
        let order_id = order.into_string();
        let refund_id = format!("R-{order_id}");
        // The id and the number need no escaping; the key is the host's, of digits and letters.
        let key = call_context::idempotency_key();
        let entry = format!("{refund_id} {amount_cents} {key}");
        // The one place where a second refund is refused, also of two at the same moment: the host
        // checks again that the key is new when it commits.
        match LEDGER.set_new(&format!("refund/{order_id}"), entry.as_bytes()) {
            Ok(()) => Ok(Receipt { refund_id, order_id, amount_cents }),
            Err(kv::Error::AlreadyExists) => {
                Err(Failure::rejected(format!("{order_id} was refunded already")))
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests;

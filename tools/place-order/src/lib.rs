//! Places orders into the kv namespace `orders`, numbered from 1. One order for one idempotency key.

#![cfg_attr(target_family = "wasm", no_std)]

nanohost_guest::pure!();

#[nanohost_guest::tool]
pub mod orders {
    use nanohost_guest::kv::{self, Namespace};
    use nanohost_guest::prelude::*;
    use nanohost_guest::{Failure, call_context};

    pub(super) const ORDERS: Namespace = kv::open("orders");

    /// Under which the number of the last order stands.
    const LAST: &str = "last";

    /// An entry of the book has one line for each.
    const MOST_TEXT: usize = 200;

    /// An order that was placed.
    #[derive(Debug, PartialEq)]
    pub struct Order {
        pub order_number: String,
        pub item: String,
        pub amount_cents: u64,
        pub approved_by: String,
    }

    /// Orders `item`. The same call again, with the same key, gives the order that is there.
    pub fn place(item: String, amount_cents: u64, approved_by: String) -> Result<Order, Failure> {
        if !is_line(&item) || !is_line(&approved_by) {
            return Err(Failure::invalid_input("item and approved_by are one line of up to 200 bytes each"));
        }
        if amount_cents == 0 {
            return Err(Failure::invalid_input("an order costs more than nothing"));
        }
        let entry = format!("{amount_cents}\n{approved_by}\n{item}");
        let key = format!("key/{}", call_context::idempotency_key());
        let order_number = match ORDERS.get(&key)? {
            Some(number) => {
                let number = String::from_utf8(number).map_err(|_| unreadable())?;
                if ORDERS.get(&order_key(&number))?.as_deref() != Some(entry.as_bytes()) {
                    return Err(Failure::rejected(format!("{number} was placed with this key already")));
                }
                number
            }
            None => {
                let last = ORDERS.get(LAST)?.map_or(Some(0), |last| number(&last)).ok_or_else(unreadable)?;
                let next = last.checked_add(1).ok_or_else(unreadable)?;
                let order_number = format!("O-{next:05}");
                ORDERS.set_new(&order_key(&order_number), entry.as_bytes())?;
                ORDERS.set(LAST, next.to_string().as_bytes())?;
                ORDERS.set_new(&key, order_number.as_bytes())?;
                order_number
            }
        };
        Ok(Order { order_number, item, amount_cents, approved_by })
    }

    fn is_line(text: &str) -> bool {
        !text.trim().is_empty() && text.len() <= MOST_TEXT && !text.contains(char::is_control)
    }

    fn number(text: &[u8]) -> Option<u64> {
        core::str::from_utf8(text).ok()?.parse().ok()
    }

    fn order_key(order_number: &str) -> String {
        format!("order/{order_number}")
    }

    fn unreadable() -> Failure {
        Failure::rejected("the order book cannot be read")
    }
}

#[cfg(test)]
mod tests;

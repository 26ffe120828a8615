//! Decides whether an order may be refunded. Pure: it reads nothing, writes nothing, knows no
//! clock, and its component imports nothing at all.

#![cfg_attr(target_family = "wasm", no_std)]

nanohost_guest::pure!();

#[nanohost_guest::tool]
pub mod rules {
    use nanohost_guest::Failure;
    use nanohost_guest::prelude::*;

    use super::day::Day;

    /// A refund may be asked for until this many days after delivery.
    const DAYS: u32 = 30;
    /// More than this is for a person to decide.
    const MOST_CENTS: u64 = 50_000;

    /// Who ordered.
    pub struct Customer {
        pub name: String,
        pub email: String,
    }

    /// Where an order stands.
    #[derive(Clone, Copy)]
    pub enum Status {
        Placed,
        InTransit,
        Delivered,
        Cancelled,
        Refunded,
    }

    /// An order as the order book has it.
    pub struct Order {
        pub id: String,
        pub customer: Customer,
        pub item: String,
        pub total_cents: u64,
        /// The day of delivery, `2026-11-02`.
        pub delivered: Option<String>,
        pub status: Status,
    }

    /// What the rules say.
    pub struct Decision {
        pub eligible: bool,
        /// What is to be refunded; zero where nothing is.
        pub amount_cents: u64,
        pub reason: String,
    }

    /// The decision about `order` on the day `as_of`.
    pub fn decide(order: Order, as_of: String) -> Result<Decision, Failure> {
        let Some(today) = Day::parse(&as_of) else {
            return Err(Failure::invalid_input("as_of is not a day of the form 2026-11-23"));
        };
        match order.status {
            Status::Refunded => return Ok(no("the order was refunded already")),
            Status::Cancelled => return Ok(no("the order was cancelled")),
            Status::Placed | Status::InTransit => return Ok(no("the order has not been delivered")),
            Status::Delivered => {}
        }
        let Some(delivered) = order.delivered else {
            return Err(Failure::invalid_input("the order is delivered, but says no day"));
        };
        let Some(delivered) = Day::parse(&delivered) else {
            return Err(Failure::invalid_input("order.delivered is not a day of the form 2026-11-23"));
        };
        let Some(days) = today.since(delivered) else {
            return Err(Failure::invalid_input("the order was delivered after as_of"));
        };
        Ok(if days > DAYS {
            no("more than 30 days have passed since delivery")
        } else if order.total_cents > MOST_CENTS {
            no("the amount is above 500.00 and needs a person's decision")
        } else if order.total_cents == 0 {
            no("nothing was paid")
        } else {
            Decision {
                eligible: true,
                amount_cents: order.total_cents,
                reason: String::from("delivered within the last 30 days"),
            }
        })
    }

    fn no(reason: &str) -> Decision {
        Decision { eligible: false, amount_cents: 0, reason: String::from(reason) }
    }
}

mod day;
#[cfg(test)]
mod tests;

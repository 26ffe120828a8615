//! A payment desk. It keeps its books in the kv namespace `payments`; there is no bank behind it, so
//! whoever creates a payment also says how it goes. One payment an order, one refund a payment.

#![cfg_attr(target_family = "wasm", no_std)]

nanohost_guest::pure!();

#[nanohost_guest::tool]
pub mod desk {
    use nanohost_guest::kv::{self, Namespace};
    use nanohost_guest::prelude::*;
    use nanohost_guest::{Failure, call_context};
    use order_id::OrderId;

    use super::entry::{Paid, Refunded};

    pub(super) const BOOKS: Namespace = kv::open("payments");

    /// A run that retries ends long before: a greater number is a mistake.
    const MOST_POLLS: u32 = 100;

    /// Where a payment stands.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Status {
        Pending,
        Paid,
        Failed,
        Refunded,
    }

    /// How a payment goes.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Outcome {
        /// It stays pending until somebody outside confirms it.
        Pending,
        Paid,
        Failed,
    }

    /// A payment as the desk knows it.
    #[derive(Debug, PartialEq)]
    pub struct Payment {
        pub payment_id: String,
        pub status: Status,
    }

    /// A booked refund.
    #[derive(Debug, PartialEq)]
    pub struct Receipt {
        pub payment_id: String,
        pub status: Status,
        pub amount_cents: u64,
    }

    /// Asks for `amount_cents` for an order. The desk answers from the attempt after `ready_after`
    /// on (0), and the payment then is what `becomes` says (paid).
    ///
    /// Creating the same payment again gives the one that is there.
    pub fn create(
        order_id: String,
        amount_cents: u64,
        ready_after: Option<u32>,
        becomes: Option<Outcome>,
    ) -> Result<Payment, Failure> {
        let order = OrderId::parse(order_id)?;
        if amount_cents == 0 {
            return Err(Failure::invalid_input("a payment is more than nothing"));
        }
        let ready_after = ready_after.unwrap_or(0);
        if ready_after > MOST_POLLS {
            return Err(Failure::invalid_input("ready_after is at most 100"));
        }
        let paid = Paid { amount_cents, ready_after, becomes: becomes.unwrap_or(Outcome::Paid) };
        let payment_id = format!("P-{}", order.as_str());
        match BOOKS.set_new(&payment_key(&payment_id), paid.to_text().as_bytes()) {
            Ok(()) => Ok(Payment { payment_id, status: Status::Pending }),
            Err(kv::Error::AlreadyExists) if payment(&payment_id)? == paid => {
                Ok(Payment { payment_id, status: Status::Pending })
            }
            Err(kv::Error::AlreadyExists) => {
                Err(Failure::rejected(format!("{} has another payment", order.as_str())))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// How a payment stands.
    ///
    /// What a call that fails has written is not kept, so the desk cannot count who asked in vain. It
    /// goes by the number of the attempt instead: a step that is retried gets its answer.
    pub fn poll(payment_id: String) -> Result<Payment, Failure> {
        let paid = payment(&payment_id)?;
        let status = match paid.becomes {
            _ if refunded(&payment_id)?.is_some() => Status::Refunded,
            _ if call_context::attempt() <= paid.ready_after => {
                return Err(Failure::unavailable(format!("the desk has no answer about {payment_id} yet")));
            }
            Outcome::Pending => Status::Pending,
            Outcome::Paid => Status::Paid,
            Outcome::Failed => Status::Failed,
        };
        Ok(Payment { payment_id, status })
    }

    /// Waits until somebody says how a payment went: the event that resumes the run is the result.
    pub fn await_confirmation(payment_id: String, deadline: Option<u64>) -> Result<Payment, Failure> {
        let paid = payment(&payment_id)?;
        if refunded(&payment_id)?.is_some() {
            return Err(Failure::rejected(format!("{payment_id} was refunded")));
        }
        let (whole, cents) = (paid.amount_cents / 100, paid.amount_cents % 100);
        let reason = format!("the payment {payment_id} of {whole}.{cents:02} waits for its confirmation");
        Err(Failure::suspended(reason, deadline))
    }

    /// Pays back what was paid, or a part of it, once. A payment that is pending is called off.
    ///
    /// The same call again gives the refund that is there.
    pub fn refund(payment_id: String, amount_cents: u64) -> Result<Receipt, Failure> {
        let paid = payment(&payment_id)?;
        if amount_cents == 0 || amount_cents > paid.amount_cents {
            return Err(Failure::invalid_input("a refund is more than nothing and at most what was paid"));
        }
        if paid.becomes == Outcome::Failed {
            return Err(Failure::rejected(format!("{payment_id} failed: there is nothing to pay back")));
        }
        let refund = Refunded { amount_cents, key: call_context::idempotency_key() };
        match refunded(&payment_id)? {
            None => BOOKS.set_new(&refund_key(&payment_id), refund.to_text().as_bytes())?,
            Some(there) if there == refund => {}
            Some(_) => return Err(Failure::rejected(format!("{payment_id} was refunded already"))),
        }
        Ok(Receipt { payment_id, status: Status::Refunded, amount_cents })
    }

    fn payment(payment_id: &str) -> Result<Paid, Failure> {
        let sound = payment_id.strip_prefix("P-").map(|order| OrderId::parse(order.to_owned()));
        if !matches!(sound, Some(Ok(_))) {
            return Err(Failure::invalid_input("a payment id is `P-` and the order's id, such as P-A-1001"));
        }
        match BOOKS.get(&payment_key(payment_id))? {
            Some(entry) => Paid::parse(&entry).ok_or_else(unreadable),
            None => Err(Failure::rejected(format!("there is no payment {payment_id}"))),
        }
    }

    fn refunded(payment_id: &str) -> Result<Option<Refunded>, Failure> {
        let Some(entry) = BOOKS.get(&refund_key(payment_id))? else { return Ok(None) };
        Refunded::parse(&entry).map(Some).ok_or_else(unreadable)
    }

    fn payment_key(payment_id: &str) -> String {
        format!("payment/{payment_id}")
    }

    fn refund_key(payment_id: &str) -> String {
        format!("refund/{payment_id}")
    }

    fn unreadable() -> Failure {
        Failure::rejected("the books of the desk cannot be read")
    }
}

mod entry;
#[cfg(test)]
mod tests;

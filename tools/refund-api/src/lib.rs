//! Books refunds with a payment service. Holds no key: the host puts it into the request.

#[nanohost_guest::tool]
pub mod refunds {
    use nanohost_guest::http::Request;
    use nanohost_guest::{Failure, secrets};
    use order_id::OrderId;

    /// What the service says.
    #[derive(Debug, PartialEq)]
    pub struct Booked {
        pub order_id: String,
        pub status: u16,
        pub answer: String,
    }

    /// Has the payment service pay `amount_cents` back to whoever placed the order `order_id`.
    pub fn book_refund(order_id: String, amount_cents: u64) -> Result<Booked, Failure> {
        let order_id = OrderId::parse(order_id)?.into_string();
        let service = std::env::var("REFUND_API").map_err(|_| Failure::rejected("no service is granted"))?;
        let answer = Request::post(format!("{service}/v1/refunds"))
            .header("authorization", &format!("Bearer {}", secrets::placeholder("refund-key")?))
            // Asked again after a crash, the service books nothing again.
            .once()
            .json(format!("{{\"order_id\":\"{order_id}\",\"amount_cents\":{amount_cents}}}"))
            .send()?;
        match answer.status() {
            200..=299 => {}
            408 | 429 | 500..=599 => return Err(Failure::unavailable("the payment service is busy")),
            status => return Err(Failure::rejected(format!("the payment service answers {status}"))),
        }
        let text = answer.text().ok_or_else(|| Failure::rejected("the payment service says nothing"))?;
        Ok(Booked { order_id, status: answer.status(), answer: text.to_owned() })
    }
}

#[cfg(test)]
mod tests;

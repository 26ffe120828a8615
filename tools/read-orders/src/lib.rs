//! Finds an order in the order book, `/data/orders.json`. Reads that file and nothing else.

#[nanohost_guest::tool]
pub mod orders {
    use std::fs::File;
    use std::io::Read;

    use nanohost_guest::{Failure, folder};
    use order_id::OrderId;
    use serde::Deserialize;

    const BOOK: &str = "/data/orders.json";
    /// A book larger than this is not read: it would only run into the memory limit.
    const MOST_BYTES: u64 = 4 << 20;

    /// Who ordered.
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Customer {
        pub name: String,
        pub email: String,
    }

    /// Where an order stands.
    #[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Status {
        Placed,
        InTransit,
        Delivered,
        Cancelled,
        Refunded,
    }

    /// An order as the order book has it.
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Order {
        pub id: String,
        pub customer: Customer,
        pub item: String,
        pub total_cents: u64,
        /// The day of delivery, `2026-11-02`.
        pub delivered: Option<String>,
        pub status: Status,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Book {
        orders: Vec<Order>,
    }

    /// The order with that id; none where the book has none.
    pub fn find_order(order_id: String) -> Result<Option<Order>, Failure> {
        let id = OrderId::parse(order_id)?;
        find(&read()?, &id)
    }

    fn read() -> Result<Vec<u8>, Failure> {
        let not_readable =
            |error: std::io::Error| Failure::unavailable(format!("{BOOK} cannot be read: {error}"));
        let file = File::open(folder::path(BOOK)).map_err(not_readable)?;
        let mut text = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(not_readable)?;
        if text.len() as u64 > MOST_BYTES {
            return Err(Failure::rejected(format!("{BOOK} is larger than {MOST_BYTES} bytes")));
        }
        Ok(text)
    }

    pub(super) fn find(book: &[u8], id: &OrderId) -> Result<Option<Order>, Failure> {
        let book: Book = serde_json::from_slice(book)
            .map_err(|error| Failure::rejected(format!("{BOOK} is not an order book: {error}")))?;
        let mut found = book.orders.into_iter().filter(|order| order.id == id.as_str());
        let order = found.next();
        if found.next().is_some() {
            // Which of the two is meant would be a guess, and money depends on it.
            return Err(Failure::rejected(format!("{BOOK} has the order {} twice", id.as_str())));
        }
        Ok(order)
    }
}

#[cfg(test)]
mod tests;

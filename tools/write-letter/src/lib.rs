//! Writes letters to customers into the folder `/letters`, one file an order. Writes there and
//! nowhere else; sends nothing.

#[nanohost_guest::tool]
pub mod letters {
    use std::fs;

    use nanohost_guest::{Failure, folder};
    use order_id::OrderId;

    /// No name or reason is longer: a letter is one page.
    const MAX_TEXT: usize = 500;

    /// A written letter.
    #[derive(Debug, PartialEq)]
    pub struct Letter {
        /// Where the tool sees the file.
        pub path: String,
        pub bytes: u64,
    }

    /// Writes the letter that tells `customer_name` why nothing is refunded.
    pub fn write_letter(order_id: String, customer_name: String, reason: String) -> Result<Letter, Failure> {
        let order = OrderId::parse(order_id)?;
        let name = one_line("customer_name", &customer_name)?;
        let reason = one_line("reason", &reason)?;
        let order = order.as_str();
        let text = format!(
            "Dear {name},\n\n\
             thank you for writing to us about your order {order}.\n\
             We cannot refund it: {reason}.\n\n\
             If you think we are mistaken, answer this letter and a person will look at it.\n\n\
             Your refund desk\n"
        );
        // The same order gets the same file: a repeated call leaves one letter.
        let path = format!("/letters/{order}.txt");
        fs::write(folder::path(&path), &text)
            .map_err(|error| Failure::unavailable(format!("{path} cannot be written: {error}")))?;
        Ok(Letter { path, bytes: text.len() as u64 })
    }

    /// A letter's layout is not for its texts to change.
    fn one_line<'a>(what: &str, text: &'a str) -> Result<&'a str, Failure> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_TEXT || text.chars().any(char::is_control) {
            return Err(Failure::invalid_input(format!("{what} is one line of 1 to {MAX_TEXT} bytes")));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests;

//! Fetches texts over HTTP. It asks for whatever it is told to, exactly so: what may be asked for is the
//! host's decision.

#[nanohost_guest::tool]
pub mod pages {
    use nanohost_guest::Failure;
    use nanohost_guest::http::Request;

    /// An answer, whatever its status.
    #[derive(Debug, PartialEq)]
    pub struct Page {
        pub status: u16,
        pub content_type: Option<String>,
        /// Where a redirect leads.
        pub location: Option<String>,
        /// `None` where the body is no text in UTF-8.
        pub text: Option<String>,
    }

    /// The text at `url`.
    pub fn fetch(url: String, accept: Option<String>) -> Result<Page, Failure> {
        let accept = accept.as_deref().unwrap_or("text/*, application/json;q=0.9, */*;q=0.1");
        let answer = Request::get(url).header("accept", accept).send()?;
        match answer.status() {
            408 | 429 | 500..=599 => {
                return Err(Failure::unavailable(format!("the server answers {}", answer.status())));
            }
            _ => {}
        }
        Ok(Page {
            status: answer.status(),
            content_type: answer.header("content-type").map(str::to_owned),
            location: answer.header("location").map(str::to_owned),
            text: answer.text().map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests;

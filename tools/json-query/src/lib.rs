//! Asks JSON documents with JMESPath (<https://jmespath.org/specification.html>). Every expression ends,
//! and nothing but the document and the expression goes in.

#[nanohost_guest::tool]
pub mod json {
    use jmespath::{ErrorReason, Rcvar, Variable};
    use nanohost_guest::Failure;

    /// A longer document or expression is not read.
    const MOST_BYTES: usize = 8 << 20;
    const MOST_EXPRESSION: usize = 16 << 10;

    /// What `expression` finds in `document`, as JSON text; `null` where it finds nothing.
    pub fn query(document: String, expression: String) -> Result<String, Failure> {
        let found = find(&document, &expression)?;
        serde_json::to_string(&found).map_err(|error| Failure::rejected(error.to_string()))
    }

    /// What `expression` finds, where that is a list of texts.
    pub fn texts(document: String, expression: String) -> Result<Vec<String>, Failure> {
        let found = find(&document, &expression)?;
        let list = found.as_array().ok_or_else(|| not_texts(&expression))?;
        list.iter().map(|text| text.as_string().cloned().ok_or_else(|| not_texts(&expression))).collect()
    }

    fn find(document: &str, expression: &str) -> Result<Rcvar, Failure> {
        if document.len() > MOST_BYTES {
            return Err(Failure::invalid_input(format!("the document is longer than {MOST_BYTES} bytes")));
        }
        if expression.len() > MOST_EXPRESSION {
            return Err(Failure::invalid_input(format!(
                "the expression is longer than {MOST_EXPRESSION} bytes"
            )));
        }
        let document = Variable::from_json(document)
            .map_err(|error| Failure::invalid_input(format!("the document is no JSON: {error}")))?;
        let expression = jmespath::compile(expression)
            .map_err(|error| Failure::invalid_input(format!("the expression is none: {error}")))?;
        expression.search(document).map_err(|error| match error.reason {
            ErrorReason::Parse(_) => Failure::invalid_input(error.to_string()),
            ErrorReason::Runtime(_) => Failure::rejected(error.to_string()),
        })
    }

    fn not_texts(expression: &str) -> Failure {
        Failure::rejected(format!("`{expression}` does not find a list of texts"))
    }
}

#[cfg(test)]
mod tests;

//! Holds JSON documents against JSON Schemas (<https://json-schema.org>). Nothing is fetched: a schema
//! is whole, or it is refused.

#[nanohost_guest::tool]
pub mod schema {
    use jsonschema::Validator;
    use nanohost_guest::Failure;
    use serde_json::Value;

    /// A longer document or schema is not read.
    const MOST_BYTES: usize = 8 << 20;
    /// More is not said of one document.
    const MOST_PROBLEMS: usize = 100;

    /// Something that is wrong.
    #[derive(Debug, PartialEq)]
    pub struct Problem {
        /// Where in the document: a JSON Pointer, empty for all of it.
        pub place: String,
        /// Where in the schema.
        pub rule: String,
        pub message: String,
    }

    /// What is wrong with `document` by `schema`.
    pub fn validate(document: String, schema: String) -> Result<Vec<Problem>, Failure> {
        let validator = validator(&schema)?;
        Ok(problems(&validator, &read(&document, "document")?))
    }

    /// `document` itself, where nothing is wrong with it.
    pub fn require(document: String, schema: String) -> Result<String, Failure> {
        let validator = validator(&schema)?;
        match problems(&validator, &read(&document, "document")?).first() {
            None => Ok(document),
            Some(Problem { place, message, .. }) => {
                Err(Failure::rejected(format!("the document does not fit at `{place}`: {message}")))
            }
        }
    }

    fn problems(validator: &Validator, document: &Value) -> Vec<Problem> {
        let problem = |error: jsonschema::ValidationError<'_>| Problem {
            place: error.instance_path().to_string(),
            rule: error.schema_path().to_string(),
            message: error.to_string(),
        };
        validator.iter_errors(document).take(MOST_PROBLEMS).map(problem).collect()
    }

    fn validator(schema: &str) -> Result<Validator, Failure> {
        jsonschema::validator_for(&read(schema, "schema")?)
            .map_err(|error| Failure::invalid_input(format!("the schema is none: {error}")))
    }

    fn read(text: &str, what: &str) -> Result<Value, Failure> {
        if text.len() > MOST_BYTES {
            return Err(Failure::invalid_input(format!("the {what} is longer than {MOST_BYTES} bytes")));
        }
        serde_json::from_str(text)
            .map_err(|error| Failure::invalid_input(format!("the {what} is no JSON: {error}")))
    }
}

#[cfg(test)]
mod tests;

//! Fills in Jinja templates (<https://jinja.palletsprojects.com/templates/>, as minijinja has them).

#[nanohost_guest::tool]
pub mod template {
    use minijinja::value::Serde;
    use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
    use nanohost_guest::Failure;
    use serde_json::{Map, Value};

    /// A longer template, or longer values, are not read.
    const MOST_BYTES: usize = 4 << 20;
    /// Instructions of one template: loops within loops end.
    const FUEL: u64 = 1_000_000;

    /// `template` with `values`, a JSON object.
    pub fn render(template: String, values: String) -> Result<String, Failure> {
        filled(&template, &values, AutoEscape::None)
    }

    /// The same, with what is filled in escaped for HTML.
    pub fn render_html(template: String, values: String) -> Result<String, Failure> {
        filled(&template, &values, AutoEscape::Html)
    }

    fn filled(template: &str, values: &str, escape: AutoEscape) -> Result<String, Failure> {
        if template.len() > MOST_BYTES || values.len() > MOST_BYTES {
            return Err(Failure::invalid_input(format!(
                "a template and its values have at most {MOST_BYTES} bytes each"
            )));
        }
        let values: Map<String, Value> = serde_json::from_str(values)
            .map_err(|error| Failure::invalid_input(format!("the values are no JSON object: {error}")))?;
        let mut environment = Environment::new();
        // A letter with a gap where the amount belongs is worse than none.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(move |_| escape.clone());
        environment.render_str(template, Serde(values)).map_err(|error| match error.kind() {
            ErrorKind::UndefinedError | ErrorKind::OutOfFuel | ErrorKind::BadEscape => {
                Failure::rejected(said(&error))
            }
            _ => Failure::invalid_input(said(&error)),
        })
    }

    fn said(error: &minijinja::Error) -> String {
        match error.line() {
            Some(line) => format!("line {line} of the template: {error}"),
            None => error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;

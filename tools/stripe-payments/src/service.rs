//! The service: its addresses, its forms, and what its answers mean.

use form_urlencoded::Serializer;
use nanohost_guest::http::{Request, Response};
use nanohost_guest::{Failure, secrets};
use serde::Deserialize;

use crate::payments::{Payment, Refund};

/// Where the service is.
pub struct Service(String);

/// What the service says of an error.
#[derive(Deserialize)]
struct Said {
    error: Words,
}

#[derive(Deserialize)]
struct Words {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

impl Service {
    /// The one that the policy names.
    pub fn granted() -> Result<Self, Failure> {
        std::env::var("STRIPE_API").map(Self).map_err(|_| Failure::rejected("no service is granted"))
    }

    /// The one at that address.
    #[cfg(test)]
    pub fn at(address: &str) -> Self {
        Self(address.to_owned())
    }

    pub fn create(&self, order_id: &str, amount: u64, currency: &str) -> Result<Payment, Failure> {
        if amount == 0 {
            return Err(Failure::invalid_input("a payment of nothing"));
        }
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Err(Failure::invalid_input(format!("{currency:?} is no currency: three small letters")));
        }
        let amount = amount.to_string();
        let form = [("amount", amount.as_str()), ("currency", currency), ("metadata[order_id]", order_id)];
        self.post("payment_intents", &form)
    }

    pub fn find(&self, payment_id: &str) -> Result<Payment, Failure> {
        let address = format!("{}/v1/payment_intents/{}", self.0, payment(payment_id)?);
        answered(&signed(Request::get(address))?.send()?)
    }

    pub fn refund(&self, payment_id: &str, amount: u64) -> Result<Refund, Failure> {
        if amount == 0 {
            return Err(Failure::invalid_input("a refund of nothing"));
        }
        let form = [("payment_intent", payment(payment_id)?), ("amount", &amount.to_string())];
        self.post("refunds", &form)
    }

    fn post<T: for<'de> Deserialize<'de>>(&self, what: &str, form: &[(&str, &str)]) -> Result<T, Failure> {
        let form = Serializer::new(String::new()).extend_pairs(form).finish();
        // Asked again after a crash, the service does nothing again.
        let request = signed(Request::post(format!("{}/v1/{what}", self.0)))?.once();
        answered(&request.header("content-type", "application/x-www-form-urlencoded").body(form).send()?)
    }
}

fn signed(request: Request) -> Result<Request, Failure> {
    let key = secrets::placeholder("stripe-key")?;
    Ok(request.header("authorization", &format!("Bearer {key}")))
}

/// An identifier goes into a path: it holds nothing that means something there.
fn payment(id: &str) -> Result<&str, Failure> {
    let is_plain = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match id.strip_prefix("pi_") {
        Some(rest) if !rest.is_empty() && rest.len() <= 250 && is_plain(rest) => Ok(id),
        _ => Err(Failure::invalid_input(format!("{id:?} is no payment: `pi_` and letters or digits"))),
    }
}

fn answered<T: for<'de> Deserialize<'de>>(answer: &Response) -> Result<T, Failure> {
    let status = answer.status();
    if answer.is_success() {
        return serde_json::from_slice(answer.body())
            .map_err(|error| Failure::rejected(format!("the service's answer is not understood: {error}")));
    }
    let words = match serde_json::from_slice::<Said>(answer.body()) {
        Ok(Said { error: Words { code, message } }) => {
            let said: Vec<String> = [code, message].into_iter().flatten().collect();
            format!("the service answers {status}: {}", said.join(": "))
        }
        Err(_) => format!("the service answers {status}"),
    };
    Err(match status {
        // 409: the same call is being answered at this moment.
        408 | 409 | 429 | 500..=599 => Failure::unavailable(words),
        400 | 404 => Failure::invalid_input(words),
        _ => Failure::rejected(words),
    })
}

//! The two documents of `chat/completions`: what is asked, and what of an answer is believed.
//! Connects to nothing.

use nanohost_core::run::{Ask, Reply, Retry};
use nanohost_core::{ModelRow, decimal};
use serde_json::{Value, json};

use super::{Answered, estimate};

/// More tokens than this no attempt has: a server that reports them would end every run by its
/// budget, or overflow a sum.
const MAX_TOKENS: u64 = 100_000_000;

/// More than this no attempt costs, in whatever unit; it also bounds the digits of the text.
const MAX_COST: f64 = 1e9;

/// The body of a request.
pub(super) fn request(row: &ModelRow, ask: &Ask) -> Value {
    let message = |role: &str, text: &str| json!({ "role": role, "content": text });
    let system = ask.system.as_deref().map(|text| message("system", text));
    let messages: Vec<Value> = system.into_iter().chain([message("user", &ask.prompt)]).collect();
    let mut body = json!({ "model": row.model, "messages": messages, "stream": false });
    let fraction =
        |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<f64>().ok()).map(Value::from);
    let params = &row.params;
    for (key, value) in [
        ("temperature", fraction(&params.temperature)),
        ("top_p", fraction(&params.top_p)),
        ("max_tokens", params.max_tokens.map(Value::from)),
        ("max_completion_tokens", params.max_completion_tokens.map(Value::from)),
        ("seed", params.seed.map(Value::from)),
    ] {
        if let Some(value) = value {
            body[key] = value;
        }
    }
    body
}

/// What the body of an answer with status 200 says.
pub(super) fn answered(ask: &Ask, body: &[u8]) -> Answered {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        let message = "the server answers with something else than JSON: is `base_url` right?";
        return Answered::failed("model_answer_invalid", Retry::Never, message.to_owned());
    };
    let (tokens, cost) = used(&body["usage"]);
    let choice = &body["choices"][0];
    let failed = |code: &'static str, retry: Retry, message: String| {
        let mut answered = Answered::failed(code, retry, message);
        if let Reply::Failed { tokens: counted, .. } = &mut answered.reply {
            *counted = tokens.unwrap_or(0);
        }
        Answered { cost: cost.clone(), ..answered }
    };
    match choice["finish_reason"].as_str() {
        Some("length") => {
            let message = "the answer was cut off at its greatest length".to_owned();
            return failed("model_answer_cut", Retry::Never, message);
        }
        Some("content_filter") => {
            let message = "the server's filter took the answer away".to_owned();
            return failed("model_answer_filtered", Retry::Never, message);
        }
        _ => {}
    }
    let Some(text) = choice["message"]["content"].as_str() else {
        let said = body["error"]["message"].as_str().map(|said| format!(": {said}"));
        let message = format!("the server's answer holds no text of a model{}", said.unwrap_or_default());
        return failed("model_no_answer", Retry::Maybe, message);
    };
    let estimated_tokens = match tokens {
        Some(_) => 0,
        None => estimate(&[ask.system.as_deref().unwrap_or_default(), &ask.prompt, text]),
    };
    let reply = Reply::Text { text: text.to_owned(), tokens: tokens.unwrap_or(0), estimated_tokens };
    Answered { reply, cost }
}

/// What the body of an answer with another status says of the error: words in the places where servers
/// put them, and nothing of a body that has none.
pub(super) fn complaint(body: &[u8]) -> Option<String> {
    let body = serde_json::from_slice::<Value>(body).ok()?;
    let places = [&body["error"]["message"], &body["error"], &body["message"], &body["detail"]];
    let said = places.into_iter().find_map(Value::as_str)?.trim();
    (!said.is_empty()).then(|| said.to_owned())
}

/// Tokens, where the server's count can be believed, and what it says the attempt cost.
fn used(usage: &Value) -> (Option<u64>, Option<String>) {
    let count = |key: &str| usage[key].as_u64().filter(|tokens| *tokens <= MAX_TOKENS);
    let tokens = match (count("prompt_tokens"), count("completion_tokens")) {
        // No prompt is empty of tokens: a server that counts none would spend a budget for free.
        (Some(prompt), Some(completion)) if prompt > 0 => {
            let sum = prompt + completion;
            let adds_up = usage["total_tokens"].is_null() || count("total_tokens") == Some(sum);
            adds_up.then_some(sum)
        }
        _ => None,
    };
    let cost = usage["cost"].as_f64().filter(|cost| *cost <= MAX_COST).and_then(decimal);
    (tokens, cost)
}

#[cfg(test)]
mod tests;

use nanohost_core::run::{Ask, Reply, Retry};
use serde_json::{Value, json};

use super::{answered, request};
use crate::model::openai::tests::{ask, row};

fn body(content: Value, finish: &str, usage: Value) -> Vec<u8> {
    let choice = json!({ "message": { "content": content }, "finish_reason": finish });
    json!({ "choices": [choice], "usage": usage }).to_string().into_bytes()
}

/// `text tokens/estimated cost`, or `code retry tokens cost`.
fn shown(ask: &Ask, body: &[u8]) -> String {
    let answered = answered(ask, body);
    let cost = answered.cost.map(|cost| format!(" cost {cost}")).unwrap_or_default();
    match answered.reply {
        Reply::Text { text, tokens, estimated_tokens } => format!("{text} {tokens}/{estimated_tokens}{cost}"),
        Reply::Failed { failure, tokens } => {
            let again = if failure.retry == Retry::Maybe { " may pass" } else { "" };
            format!("{}{again} {tokens}{cost}", failure.code)
        }
        Reply::TimedOut => "timed out".into(),
    }
}

#[test]
fn what_is_asked() {
    let told = row("http://127.0.0.1:1", "temperature = 0.7\ntop_p = 1\nmax_tokens = 9\nseed = 3\n");
    let mut ask = ask("hello");
    assert_eq!(
        request(&told, &ask),
        json!({
            "model": "m-1", "stream": false, "messages": [{ "role": "user", "content": "hello" }],
            "temperature": 0.7, "top_p": 1.0, "max_tokens": 9, "seed": 3,
        })
    );
    ask.system = Some("be brief".into());
    assert_eq!(
        request(&row("http://127.0.0.1:1", ""), &ask),
        json!({
            "model": "m-1", "stream": false,
            "messages": [{ "role": "system", "content": "be brief" }, { "role": "user", "content": "hello" }],
        })
    );
}

#[test]
fn usage_is_believed_where_it_can_be() {
    // Four bytes asked and four answered are two tokens, estimated.
    let ask = ask("abcd");
    for (usage, expect) in [
        (json!({ "prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12 }), "efgh 12/0"),
        (json!({ "prompt_tokens": 10, "completion_tokens": 2 }), "efgh 12/0"),
        (json!({ "prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10 }), "efgh 10/0"),
        (
            json!({ "prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12, "cost": 0.00014 }),
            "efgh 12/0 cost 0.00014",
        ),
        (json!({ "cost": 1 }), "efgh 0/2 cost 1"),
        (Value::Null, "efgh 0/2"),
        (json!({}), "efgh 0/2"),
        (json!([12]), "efgh 0/2"),
        (json!("12"), "efgh 0/2"),
        (json!({ "total_tokens": 12 }), "efgh 0/2"),
        (json!({ "prompt_tokens": -1, "completion_tokens": 2 }), "efgh 0/2"),
        (json!({ "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0 }), "efgh 0/2"),
        (json!({ "prompt_tokens": "10", "completion_tokens": 2 }), "efgh 0/2"),
        (json!({ "prompt_tokens": 10.5, "completion_tokens": 2 }), "efgh 0/2"),
        (json!({ "prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 13 }), "efgh 0/2"),
        (json!({ "prompt_tokens": 10, "completion_tokens": 2, "total_tokens": "12" }), "efgh 0/2"),
        (json!({ "prompt_tokens": u64::MAX, "completion_tokens": u64::MAX }), "efgh 0/2"),
        (json!({ "prompt_tokens": 100_000_001, "completion_tokens": 1 }), "efgh 0/2"),
        (json!({ "cost": -0.1 }), "efgh 0/2"),
        (json!({ "cost": "0.1" }), "efgh 0/2"),
        (json!({ "cost": 1e300 }), "efgh 0/2"),
    ] {
        assert_eq!(shown(&ask, &body(json!("efgh"), "stop", usage.clone())), expect, "{usage}");
    }
}

#[test]
fn what_is_no_answer() {
    let ask = ask("abcd");
    let counted = || json!({ "prompt_tokens": 10, "completion_tokens": 2, "cost": 0.5 });
    for (body, expect) in [
        (b"".to_vec(), "model_answer_invalid 0"),
        (b"<html>".to_vec(), "model_answer_invalid 0"),
        (b"{\"choices\":[".to_vec(), "model_answer_invalid 0"),
        (b"\xff\xfe".to_vec(), "model_answer_invalid 0"),
        (br#"{"choices":[{"message":{"content":"\ud800"}}]}"#.to_vec(), "model_answer_invalid 0"),
        ("[".repeat(100_000).into_bytes(), "model_answer_invalid 0"),
        (b"null".to_vec(), "model_no_answer may pass 0"),
        (b"[]".to_vec(), "model_no_answer may pass 0"),
        (b"{}".to_vec(), "model_no_answer may pass 0"),
        (br#"{"choices":[]}"#.to_vec(), "model_no_answer may pass 0"),
        (br#"{"choices":"x"}"#.to_vec(), "model_no_answer may pass 0"),
        (br#"{"error":{"message":"overloaded"}}"#.to_vec(), "model_no_answer may pass 0"),
        (body(Value::Null, "stop", counted()), "model_no_answer may pass 12 cost 0.5"),
        (body(json!(7), "stop", Value::Null), "model_no_answer may pass 0"),
        (body(json!([{ "type": "text", "text": "x" }]), "stop", Value::Null), "model_no_answer may pass 0"),
        (body(json!("half an ans"), "length", counted()), "model_answer_cut 12 cost 0.5"),
        (body(json!(""), "content_filter", counted()), "model_answer_filtered 12 cost 0.5"),
        (body(json!(""), "stop", counted()), " 12/0 cost 0.5"),
    ] {
        assert_eq!(shown(&ask, &body), expect, "{}", String::from_utf8_lossy(&body[..body.len().min(99)]));
    }
}

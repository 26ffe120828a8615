use super::{ModelRule, decimal, is_decimal};
use crate::policy::{ModelPii, Policy};
use crate::{Diagnostics, Source, Trust};

const ROW: &str =
    "[models.fast]\nprovider = \"openai\"\nbase_url = \"https://api.example.com/v1\"\nmodel = \"m-1\"\n";

fn parse(text: &str) -> Result<Policy, Diagnostics> {
    Policy::parse(Source::new("policy.toml", text), "/srv", Trust::Trusted)
}

fn codes(text: &str) -> String {
    match parse(text) {
        Ok(_) => "ok".into(),
        Err(found) => found.iter().map(|finding| finding.code).collect::<Vec<_>>().join(" "),
    }
}

fn rule(more: &str) -> ModelRule {
    parse(&format!("{ROW}{more}")).expect("a policy").model("fast").expect("a row").clone()
}

#[test]
fn one_line_a_case() {
    let with = |more: &str| format!("{ROW}{more}");
    let url = |url: &str, more: &str| with(more).replace("https://api.example.com/v1", url);
    for (text, expect) in [
        ("[models]".into(), "ok"),
        (with(""), "ok"),
        (with("key_env = \"API_KEY\"\npii = \"never\"\ntimeout = \"30s\"\nanswer = \"64KiB\""), "ok"),
        (with("temperature = 0.2\ntop_p = 0.9\nmax_tokens = 256\nseed = 7"), "ok"),
        (with("temperature = 0\nmax_completion_tokens = 1"), "ok"),
        (with("api_key = \"sk-1\""), "unknown_field"),
        (with("headers = {}"), "unknown_field"),
        ("[models.fast]".into(), "invalid_field invalid_field invalid_field"),
        ("[models]\nfast = \"m-1\"".into(), "invalid_field"),
        ("models = []".into(), "invalid_field"),
        (ROW.replace("openai", "other"), "invalid_field"),
        (ROW.replace("m-1", ""), "invalid_field"),
        (ROW.replace("m-1", "a\\u0007b"), "invalid_field"),
        (ROW.replace("fast", "scripted"), "invalid_field"),
        (ROW.replace("fast", "\"a b\""), "invalid_field"),
        (ROW.replace("fast", "\"\""), "invalid_field"),
        (ROW.replace("fast", "\"gpt-4.1\""), "ok"),
        (url("api.example.com", ""), "invalid_field"),
        (url("https://u:p@api.example.com", ""), "invalid_field"),
        // Keys.
        (with("key_env = \"sk-1234\""), "invalid_field"),
        (with("key_env = \"\""), "invalid_field"),
        (url("http://api.example.com", ""), "ok"),
        (url("http://api.example.com", "key_env = \"API_KEY\""), "invalid_field"),
        (url("http://10.0.0.1:8080", "key_env = \"API_KEY\""), "invalid_field"),
        (url("http://localhost:8080", "key_env = \"API_KEY\""), "ok"),
        (url("http://127.0.0.1:8080", "key_env = \"API_KEY\""), "ok"),
        (url("http://[::1]:8080", "key_env = \"API_KEY\""), "ok"),
        // Parameters and bounds.
        (with("temperature = 2.1"), "invalid_field"),
        (with("temperature = -0.1"), "invalid_field"),
        (with("temperature = \"0.2\""), "invalid_field"),
        (with("top_p = 0"), "invalid_field"),
        (with("max_tokens = 0"), "invalid_field"),
        (with("max_tokens = 9007199254740992"), "invalid_field"),
        (with("max_tokens = 1\nmax_completion_tokens = 1"), "invalid_field"),
        (with("seed = -1"), "invalid_field"),
        (with("seed = 1.5"), "invalid_field"),
        (with("pii = \"plain\""), "invalid_field"),
        (with("timeout = \"0s\""), "invalid_limit"),
        (with("timeout = \"2h\""), "invalid_limit"),
        (with("timeout = 30"), "invalid_limit"),
        (with("answer = \"1GiB\""), "invalid_limit"),
    ] {
        assert_eq!(codes(&text), expect, "{text}");
    }
}

#[test]
fn a_row_that_says_little_is_bounded_all_the_same() {
    let rule = rule("");
    assert_eq!(rule.pii, ModelPii::Redacted);
    assert!(rule.timeout.as_secs() > 0 && rule.answer > 0);
    assert!(rule.params.is_empty() && rule.key_env.is_none());
}

#[test]
fn fractions_become_decimals() {
    let params = rule("temperature = 1.0\ntop_p = 1e-3").params;
    assert_eq!(serde_json::to_string(&params).expect("JSON"), r#"{"temperature":"1","top_p":"0.001"}"#);
    for (value, text) in
        [(0.0, "0"), (-0.0, "0"), (0.1, "0.1"), (1e-7, "0.0000001"), (1e21, "1000000000000000000000")]
    {
        assert_eq!(decimal(value).as_deref(), Some(text));
        assert!(is_decimal(text));
    }
    for value in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(decimal(value), None);
    }
    for text in ["", "-1", "-0", "+1", "1.0", "01", ".5", "1e3", "inf", "NaN", "0.10", " 1", "a"] {
        assert!(!is_decimal(text), "{text}");
    }
}

#[test]
fn what_two_rows_agree_on_is_the_narrower_of_both() {
    let wide = rule("timeout = \"60s\"\nanswer = \"2KiB\"\nmax_tokens = 100\ntemperature = 0.5");
    let narrow = rule("timeout = \"30s\"\nanswer = \"4KiB\"\nmax_tokens = 200\npii = \"never\"\nseed = 3");
    let met = wide.meet(&narrow).expect("they agree");
    assert_eq!((met.timeout.as_secs(), met.answer, met.pii), (30, 2048, ModelPii::Never));
    assert_eq!((met.params.max_tokens, met.params.seed), (Some(100), Some(3)));
    assert_eq!(met.params.temperature.as_deref(), Some("0.5"));

    let base = rule("");
    let other = |more: &str, from: &str, to: &str| {
        let text = format!("{ROW}{more}").replace(from, to);
        parse(&text).expect("a policy").model("fast").expect("a row").clone()
    };
    for (left, right, key) in [
        (base.clone(), other("", "api.example", "other.example"), "base_url"),
        (base.clone(), other("", "m-1", "m-2"), "model"),
        (base.clone(), rule("key_env = \"A\""), "key_env"),
        (rule("temperature = 0"), rule("temperature = 1"), "temperature"),
        (rule("top_p = 0.1"), rule("top_p = 1"), "top_p"),
        (rule("seed = 1"), rule("seed = 2"), "seed"),
        (rule("max_tokens = 1"), rule("max_completion_tokens = 1"), "max_tokens"),
    ] {
        assert_eq!(left.meet(&right).map(|_| ()), Err(key));
        assert_eq!(right.meet(&left).map(|_| ()), Err(key));
    }
}

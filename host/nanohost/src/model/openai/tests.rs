use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use nanohost_core::run::{Action, Ask, Next, Reply, Retry, Run};
use nanohost_core::{Admission, Format, ModelRow, Plan, Policy, Program, Source, Timestamp, Trust, admit};
use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::Map;
use tokio::time::Instant;

use super::{Answered, HIDDEN, MAX_RETRY_AFTER, MAX_SAID, OpenAi, pause_wanted};
use crate::wait;
use server::{Act, ModelServer};

#[path = "../../../tests/cli/model_server.rs"]
mod server;

const KEY: &str = "sk-test-0123456789";

fn plan(prompt: &str, base_url: &str, more: &str) -> Plan {
    let text =
        format!("name = \"p\"\n[[steps]]\nid = \"a\"\ntype = \"llm\"\nmodel = \"m\"\nprompt = {prompt:?}\n");
    let program = Program::parse(Source::new("p.toml", text), Format::Toml).and_then(Program::check);
    let row =
        format!("[models.m]\nprovider = \"openai\"\nbase_url = \"{base_url}\"\nmodel = \"m-1\"\n{more}");
    let policy = Policy::parse(Source::new("policy.toml", row), "/srv", Trust::Trusted).expect("a policy");
    let program = program.expect("a program").0.into();
    let today = Timestamp::from_millis(1_795_000_000_000);
    admit(Admission { program, offers: Vec::new(), policies: vec![policy], today }).expect("admitted")
}

/// The row of a model of that server.
pub(in crate::model) fn row(base_url: &str, more: &str) -> ModelRow {
    plan("x", base_url, more).model("m").expect("a row").clone()
}

/// An attempt, as the machine hands it out.
pub(in crate::model) fn ask(prompt: &str) -> Ask {
    let plan = plan(prompt, "http://127.0.0.1:1", "");
    let mut run = Run::start(plan.into(), Map::new(), Timestamp::from_millis(1_795_000_000_000));
    match run.next() {
        Next::Perform(Action::Ask(ask)) => ask,
        other => panic!("the step asks: {other:?}"),
    }
}

fn model(base_url: &str, more: &str) -> OpenAi {
    let key = |_: &str| Some(OsString::from(KEY));
    OpenAi::open(&row(base_url, more), key).expect("it can be opened")
}

/// The text, or code and whether it may pass, with the message.
fn shown(answered: &Answered) -> (String, String) {
    match &answered.reply {
        Reply::Text { text, .. } => (text.clone(), String::new()),
        Reply::TimedOut => ("timed out".into(), String::new()),
        Reply::Failed { failure, .. } => {
            let again = if failure.retry == Retry::Maybe { " may pass" } else { "" };
            let message = failure.message.value().and_then(|said| said.as_str()).unwrap_or_default();
            (format!("{}{again}", failure.code), message.to_owned())
        }
    }
}

#[tokio::test]
async fn what_servers_do_and_what_comes_of_it() {
    let full = |status, name, value: &str| Act::Full(status, vec![(name, value.to_owned())], String::new());
    for (act, expect) in [
        (Act::say("refund"), "refund"),
        (Act::Status(500), "model_unavailable may pass"),
        (Act::Status(503), "model_unavailable may pass"),
        (Act::Status(408), "model_unavailable may pass"),
        (Act::Status(429), "model_rate_limited may pass"),
        (Act::Status(400), "model_refused"),
        (Act::Status(404), "model_refused"),
        (Act::Status(401), "model_unauthorized"),
        (Act::Status(403), "model_unauthorized"),
        (Act::Status(201), "model_answer_invalid"),
        (full(302, "Location", "http://127.0.0.1:1/"), "model_redirected"),
        (full(308, "Location", "/v1/chat/completions"), "model_redirected"),
        (Act::Drop, "model_cut_off may pass"),
        (Act::Cut, "model_cut_off may pass"),
        (Act::Endless, "model_answer_too_large"),
        (Act::Body("x".repeat(2000)), "model_answer_too_large"),
        (Act::Body("not JSON".into()), "model_answer_invalid"),
        (Act::Body("{}".into()), "model_no_answer may pass"),
        (full(500, "Retry-After", "nonsense"), "model_unavailable may pass"),
    ] {
        let server = ModelServer::new([act]);
        let model = model(&server.base_url(), "answer = \"1KiB\"\n");
        assert_eq!(shown(&model.ask(&ask("hello")).await).0, expect);
        assert_eq!(server.requests().len(), 1, "{expect}: one attempt is one request");
        assert_eq!(model.not_before(), None, "{expect}");
    }
}

#[tokio::test]
async fn nobody_is_there() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
    let (code, message) = shown(&model(&format!("http://{free}"), "").ask(&ask("hello")).await);
    assert_eq!(code, "model_unreachable may pass");
    assert!(message.contains(&free.to_string()), "{message}");
}

#[tokio::test]
async fn a_request_goes_where_the_row_says_and_holds_what_it_says() {
    let server = ModelServer::new([Act::say("yes")]);
    let open = |more: &str| model(&server.base_url(), more);
    open("key_env = \"K\"\nseed = 7\n").ask(&ask("hello")).await;
    open("").ask(&ask("hello")).await;
    let [with, without] = server.requests().try_into().expect("two requests");
    assert_eq!(with.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(with.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(without.header("authorization"), None);
    assert_eq!((with.prompt().as_str(), &with.json()["seed"]), ("hello", &7.into()));
    assert!(without.json().get("seed").is_none());
    // The name is this machine's, whatever a name server says.
    let named = server.base_url().replace("127.0.0.1", "localhost");
    assert_eq!(shown(&model(&named, "").ask(&ask("hello")).await).0, "yes");
}

#[tokio::test]
async fn each_parameter_is_sent_where_it_is_said() {
    let server = ModelServer::new([Act::say("yes")]);
    let all = [
        ("temperature = 0.5", "temperature"),
        ("top_p = 0.25", "top_p"),
        ("max_tokens = 5", "max_tokens"),
        ("max_completion_tokens = 6", "max_completion_tokens"),
        ("seed = 7", "seed"),
    ];
    for (line, _) in all {
        model(&server.base_url(), line).ask(&ask("hello")).await;
    }
    let requests = server.requests();
    assert_eq!(requests.len(), all.len());
    for (request, (line, said)) in requests.iter().zip(all) {
        for (_, key) in all {
            assert_eq!(request.json().get(key).is_some(), key == said, "{line}: {key}");
        }
    }
}

/// Characters that JSON escapes, or may.
const AWKWARD: &str = r#"sk/te"st\u0041\n+0123456789"#;

/// The key as the inside of a JSON string: as it has to be, each character by its number, one of
/// them, with an escape that is allowed and not needed; and each of these escaped once more.
fn forms(key: &str) -> Vec<String> {
    let escaped = |text: &str| {
        let quoted = serde_json::to_string(text).expect("a text is JSON");
        quoted[1..quoted.len() - 1].to_owned()
    };
    let needed = escaped(key);
    let numbered: String = key.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let one = format!("{}{}", &numbered[..6], &needed[1..]);
    let slashed = needed.replace('/', r"\/");
    let once = [numbered.to_uppercase().replace('U', "u"), needed, numbered, one, slashed];
    once.iter().cloned().chain(once.iter().map(|form| escaped(form))).collect()
}

#[tokio::test]
async fn a_server_that_repeats_the_key_is_not_believed() {
    for key in [KEY, AWKWARD] {
        for form in forms(key) {
            let complaint = |status| {
                let body = format!(r#"{{"error":{{"message":"the key is {form}, with more"}}}}"#);
                Act::Full(status, Vec::new(), body)
            };
            let text = format!(r#"{{"choices":[{{"message":{{"content":"it is {form}."}}}}]}}"#);
            let acts = [Act::Body(text), complaint(401), complaint(403), complaint(503), complaint(400)];
            let server = ModelServer::new(acts);
            let row = row(&server.base_url(), "key_env = \"K\"\n");
            let model = OpenAi::open(&row, |_| Some(OsString::from(key))).expect("it can be opened");
            for (code, masked) in [
                ("model_key_echo", false),
                // Of these, nothing that the server says is kept.
                ("model_unauthorized", false),
                ("model_unauthorized", false),
                ("model_unavailable may pass", true),
                ("model_refused", true),
            ] {
                let (said, message) = shown(&model.ask(&ask("hello")).await);
                assert_eq!((said.as_str(), message.contains(HIDDEN)), (code, masked), "{form}: {message}");
                for part in [key, &form, "0123456789", "0039"] {
                    assert!(!message.contains(part), "{form}: {message}");
                }
            }
            assert!(!format!("{model:?}").contains(key));
        }
    }
}

#[tokio::test]
async fn of_a_complaint_the_words_are_kept_and_not_more() {
    let long = "x".repeat(5000);
    for (body, expect) in [
        (r#"{"error":{"message":"no such model","secret":1}}"#.to_owned(), ": no such model"),
        (r#"{"error":"no such model"}"#.to_owned(), ": no such model"),
        (r#"{"message":" no such model "}"#.to_owned(), ": no such model"),
        (r#"{"detail":"no such model"}"#.to_owned(), ": no such model"),
        (r#"{"error":{"message":7}}"#.to_owned(), ""),
        ("no such model".to_owned(), ""),
        (r#"{"error":{"message":"cut"#.to_owned(), ""),
        (String::new(), ""),
        (format!(r#"{{"error":"{}"}}"#, "y".repeat(1 << 20)), ""),
    ] {
        let server = ModelServer::new([Act::Full(400, Vec::new(), body.clone())]);
        let (_, message) = shown(&model(&server.base_url(), "").ask(&ask("hello")).await);
        assert_eq!(message, format!("{} answers 400 Bad Request{expect}", server.origin()), "{body:.60}");
    }
    let server = ModelServer::new([Act::Full(400, Vec::new(), format!(r#"{{"error":"{long}"}}"#))]);
    let (_, message) = shown(&model(&server.base_url(), "").ask(&ask("hello")).await);
    assert_eq!(message.chars().count(), MAX_SAID);
    // Nor is the beginning of a key what is left where words are cut.
    let body = format!(r#"{{"error":"{}{KEY}"}}"#, "x".repeat(MAX_SAID - 50));
    let server = ModelServer::new([Act::Full(400, Vec::new(), body)]);
    let (_, message) = shown(&model(&server.base_url(), "key_env = \"K\"\n").ask(&ask("hello")).await);
    assert!(!message.contains(&KEY[..6]), "{message}");
}

#[test]
fn keys_are_keys() {
    let open = |value: Option<&str>| {
        let row = row("https://api.example.com", "key_env = \"K\"\n");
        OpenAi::open(&row, |name| {
            assert_eq!(name, "K");
            value.map(OsString::from)
        })
        .map_or_else(|found| found.iter().map(|finding| finding.code).collect(), |_| "ok".to_owned())
    };
    let long = "k".repeat(5000);
    for (value, expect) in [
        (Some(KEY), "ok"),
        (None, "model_key_missing"),
        (Some(""), "model_key_missing"),
        (Some("short"), "model_key_invalid"),
        (Some("with space in"), "model_key_invalid"),
        (Some("broken\r\nX-A: 1"), "model_key_invalid"),
        (Some("schlüssel-1"), "model_key_invalid"),
        (Some(long.as_str()), "model_key_invalid"),
    ] {
        assert_eq!(open(value), expect, "{value:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn time_is_up_for_the_step_or_for_the_row() {
    let server = ModelServer::new([Act::Hang]);
    let model = model(&server.base_url(), "timeout = \"5s\"\n");
    let mut ask = ask("hello");
    let begin = Instant::now();
    assert_eq!(shown(&model.ask(&ask).await).0, "model_timeout may pass");
    assert!(begin.elapsed() >= Duration::from_secs(5));
    ask.timeout = Some(Duration::from_secs(2));
    let begin = Instant::now();
    assert_eq!(shown(&model.ask(&ask).await).0, "timed out");
    assert!(begin.elapsed() >= Duration::from_secs(2) && begin.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_server_that_wants_a_pause_gets_it() {
    let wants =
        |status, pause: &str| Act::Full(status, vec![("Retry-After", pause.to_owned())], String::new());
    for (act, least, most) in [
        (wants(429, "7"), 5, 7),
        (wants(503, "7"), 5, 7),
        (wants(429, "99999"), 110, 120),
        (wants(429, "99999999999999999999999"), 110, 120),
        (wants(400, "7"), 0, 0),
        (wants(429, "-7"), 0, 0),
    ] {
        let server = ModelServer::new([act]);
        let model = model(&server.base_url(), "");
        model.ask(&ask("hello")).await;
        let pause =
            model.not_before().map_or(0, |until| (until - Instant::now()).as_secs_f64().ceil() as u64);
        assert!((least..=most).contains(&pause), "{least} to {most}: {pause}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_pause_counts() {
    let model = model("http://127.0.0.1:1", "");
    model.leave_alone(Duration::from_secs(40));
    model.leave_alone(Duration::from_secs(5));
    let begin = Instant::now();
    wait::until(model.not_before()).await;
    assert_eq!(begin.elapsed().as_secs(), 40);
    model.leave_alone(Duration::from_secs(86_400));
    let begin = Instant::now();
    wait::until(model.not_before()).await;
    assert_eq!(begin.elapsed().as_secs(), MAX_RETRY_AFTER.as_secs());
}

#[test]
fn a_pause_is_seconds_or_a_moment() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // the moment of RFC 9110's example
    let wanted = |retry: &str, date: Option<&str>| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(retry).expect("a header"));
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).expect("a header"));
        }
        pause_wanted(&headers, now).map(|pause| pause.as_secs())
    };
    for (retry, date, expect) in [
        ("0", None, Some(0)),
        ("30", None, Some(30)),
        (" 30 ", None, Some(30)),
        ("Sun, 06 Nov 1994 08:50:07 GMT", None, Some(30)),
        ("Sun, 06 Nov 1994 08:49:07 GMT", None, None),
        // The server's clock is not ours: its own `Date` tells.
        ("Sun, 06 Nov 2050 08:50:07 GMT", Some("Sun, 06 Nov 2050 08:50:00 GMT"), Some(7)),
        ("", None, None),
        ("soon", None, None),
        ("1.5", None, None),
        ("-1", None, None),
    ] {
        assert_eq!(wanted(retry, date), expect, "{retry} {date:?}");
    }
    assert_eq!(pause_wanted(&HeaderMap::new(), now), None);
}

//! Looks at its world: variables, clocks, randomness, the store, the call. And says too much.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant, SystemTime};

wit_bindgen::generate!({
    inline: "
        package test:here;

        interface api {
            variant failure {
                invalid-input(string),
                rejected(string),
                unavailable(string),
                suspended(suspension),
            }
            record suspension {
                reason: string,
                deadline: option<u64>,
            }

            variables: func() -> list<tuple<string, string>>;
            arguments: func() -> list<string>;
            now: func() -> u64;
            nap: func(millis: u64) -> u64;
            dice: func() -> u64;
            call: func() -> tuple<string, u32>;
            say: func(line: string, times: u32);
            give-up: func(text: string) -> string;
            leave: func(status: u8);
            fail: func(how: string) -> result<_, failure>;

            get: func(namespace: string, key: string) -> result<option<string>, string>;
            set: func(namespace: string, key: string, value: string) -> result<option<string>, string>;
            book: func(namespace: string, key: string, value: string) -> result<_, string>;
            remove: func(namespace: string, key: string) -> result<bool, string>;
            keys: func(namespace: string, extra: list<string>, gone: list<string>, limit: u32) -> result<list<string>, string>;
            set-and-panic: func(namespace: string, key: string) -> result<_, string>;
        }

        world guest {
            import nanohost:tool/kv@0.1.0;
            import nanohost:tool/log@0.1.0;
            import nanohost:tool/call-context@0.1.0;
            export api;
        }
    ",
    path: "../../../../../guest-sdk/wit",
    world: "test:here/guest",
    generate_all,
});

use exports::test::here::api::{Failure, Suspension};
use nanohost::tool::{call_context, kv, log};

struct Guest;
export!(Guest);

fn text(error: kv::Error) -> String {
    format!("{error:?}")
}

impl exports::test::here::api::Guest for Guest {
    fn variables() -> Vec<(String, String)> {
        std::env::vars().collect()
    }

    fn arguments() -> Vec<String> {
        std::env::args().collect()
    }

    fn now() -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_millis() as u64
    }

    fn nap(millis: u64) -> u64 {
        let start = Instant::now();
        std::thread::sleep(Duration::from_millis(millis));
        start.elapsed().as_millis() as u64
    }

    fn dice() -> u64 {
        RandomState::new().hash_one(1)
    }

    fn call() -> (String, u32) {
        (call_context::idempotency_key(), call_context::attempt())
    }

    fn say(line: String, times: u32) {
        log::log(log::Level::Info, &line);
        for _ in 0..times {
            println!("{line}");
        }
    }

    fn give_up(text: String) -> String {
        panic!("{text}")
    }

    fn leave(status: u8) {
        std::process::exit(status.into())
    }

    fn fail(how: String) -> Result<(), Failure> {
        Err(match how.as_str() {
            "invalid-input" => Failure::InvalidInput(how),
            "rejected" => Failure::Rejected(how),
            "unavailable" => Failure::Unavailable(how),
            "suspended" => Failure::Suspended(Suspension { reason: how, deadline: Some(4_000_000_000) }),
            _ => return Ok(()),
        })
    }

    fn get(namespace: String, key: String) -> Result<Option<String>, String> {
        let value = kv::get(&namespace, &key).map_err(text)?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    }

    fn set(namespace: String, key: String, value: String) -> Result<Option<String>, String> {
        kv::set(&namespace, &key, value.as_bytes()).map_err(text)?;
        Self::get(namespace, key)
    }

    fn book(namespace: String, key: String, value: String) -> Result<(), String> {
        kv::set_new(&namespace, &key, value.as_bytes()).map_err(text)
    }

    fn remove(namespace: String, key: String) -> Result<bool, String> {
        kv::delete(&namespace, &key).map_err(text)
    }

    fn keys(
        namespace: String,
        extra: Vec<String>,
        gone: Vec<String>,
        limit: u32,
    ) -> Result<Vec<String>, String> {
        for key in extra {
            kv::set(&namespace, &key, b"").map_err(text)?;
        }
        for key in gone {
            kv::delete(&namespace, &key).map_err(text)?;
        }
        kv::list_keys(&namespace, "", None, limit).map_err(text)
    }

    fn set_and_panic(namespace: String, key: String) -> Result<(), String> {
        kv::set(&namespace, &key, b"half").map_err(text)?;
        panic!("after the write")
    }
}

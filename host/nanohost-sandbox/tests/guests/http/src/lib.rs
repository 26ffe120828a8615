//! Makes whatever requests it is told, and follows redirects without a thought.

mod client;

use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::types::{Fields, OutgoingRequest, RequestOptions};

wit_bindgen::generate!({
    inline: "
        package test:http;

        interface api {
            record request {
                method: string,
                scheme: string,
                authority: string,
                path: string,
                headers: list<tuple<string, string>>,
                body: string,
            }

            record answer {
                status: u16,
                location: option<string>,
                body: string,
            }

            send: func(request: request) -> result<answer, string>;
            each: func(requests: list<request>) -> list<result<answer, string>>;
            follow: func(request: request) -> result<answer, string>;
            upload: func(request: request, bytes: u64) -> result<answer, string>;
            impatient: func(request: request, milliseconds: u64) -> result<answer, string>;
            decide: func(n: u32) -> u32;
            /// Requests that are made ready and never sent.
            hoard: func(count: u32) -> u32;
            /// Moments that are waited for, all at once and never.
            linger: func(count: u32) -> u32;
        }

        world guest {
            export api;
        }
    ",
});

use client::send;
use exports::test::http::api::{Answer, Request};

struct Guest;
export!(Guest);

impl exports::test::http::api::Guest for Guest {
    fn send(request: Request) -> Result<Answer, String> {
        let body = (!request.body.is_empty()).then(|| request.body.clone().into_bytes());
        send(&request, body.into_iter(), None)
    }

    fn each(requests: Vec<Request>) -> Vec<Result<Answer, String>> {
        requests.into_iter().map(Self::send).collect()
    }

    fn follow(mut request: Request) -> Result<Answer, String> {
        loop {
            let answer = Self::send(request.clone())?;
            let Some(location) = answer.location.clone().filter(|_| answer.status / 100 == 3) else {
                return Ok(answer);
            };
            let (scheme, rest) = location.split_once("://").ok_or("no scheme")?;
            let at = rest.find('/').unwrap_or(rest.len());
            request.scheme = scheme.to_owned();
            request.authority = rest[..at].to_owned();
            request.path = rest[at..].to_owned();
        }
    }

    fn upload(request: Request, bytes: u64) -> Result<Answer, String> {
        send(&request, (0..bytes.div_ceil(4096)).map(|_| vec![b'x'; 4096]), None)
    }

    fn impatient(request: Request, milliseconds: u64) -> Result<Answer, String> {
        let options = RequestOptions::new();
        let patience = Some(milliseconds * 1_000_000);
        options.set_first_byte_timeout(patience).map_err(|()| "first byte")?;
        options.set_between_bytes_timeout(patience).map_err(|()| "between bytes")?;
        options.set_connect_timeout(patience).map_err(|()| "connect")?;
        send(&request, std::iter::empty(), Some(options))
    }

    fn decide(n: u32) -> u32 {
        n + 1
    }

    fn hoard(count: u32) -> u32 {
        let ready: Vec<_> = (0..count).map(|_| OutgoingRequest::new(Fields::new())).collect();
        ready.len() as u32
    }

    fn linger(count: u32) -> u32 {
        let moments: Vec<_> = (0..count).map(|_| subscribe_duration(1 << 60)).collect();
        moments.len() as u32
    }
}

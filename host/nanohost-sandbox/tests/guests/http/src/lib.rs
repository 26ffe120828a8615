//! Makes whatever requests it is told, and follows redirects without a thought.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::streams::StreamError;

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
        }

        world guest {
            export api;
        }
    ",
});

use exports::test::http::api::{Answer, Request};

struct Guest;
export!(Guest);

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "CONNECT" => Method::Connect,
        "TRACE" => Method::Trace,
        other => Method::Other(other.to_owned()),
    }
}

fn scheme(name: &str) -> Scheme {
    match name {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    }
}

fn send(
    request: &Request,
    body: impl Iterator<Item = Vec<u8>>,
    options: Option<RequestOptions>,
) -> Result<Answer, String> {
    let fields = Fields::new();
    for (name, value) in &request.headers {
        fields.append(name, value.as_bytes()).map_err(|error| format!("header: {error:?}"))?;
    }
    let outgoing = OutgoingRequest::new(fields);
    outgoing.set_method(&method(&request.method)).map_err(|()| "method")?;
    outgoing.set_scheme(Some(&scheme(&request.scheme))).map_err(|()| "scheme")?;
    outgoing.set_authority(Some(&request.authority)).map_err(|()| "authority")?;
    outgoing.set_path_with_query(Some(&request.path)).map_err(|()| "path")?;
    let outgoing_body = outgoing.body().map_err(|()| "body")?;
    let future = outgoing_handler::handle(outgoing, options).map_err(|code| format!("{code:?}"))?;
    {
        let stream = outgoing_body.write().map_err(|()| "write")?;
        for chunk in body {
            // The largest write that the interface promises to take.
            for part in chunk.chunks(4096) {
                if stream.blocking_write_and_flush(part).is_err() {
                    break;
                }
            }
        }
    }
    let _ = OutgoingBody::finish(outgoing_body, None);
    future.subscribe().block();
    let answer = future.get().ok_or("not ready")?.map_err(|()| "taken")?;
    let answer = answer.map_err(|code| format!("{code:?}"))?;
    let location = answer.headers().get("location").into_iter().next();
    let incoming = answer.consume().map_err(|()| "consumed")?;
    let stream = incoming.stream().map_err(|()| "streamed")?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(chunk) => body.extend_from_slice(&chunk),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
    Ok(Answer {
        status: answer.status(),
        location: location.map(|value| String::from_utf8_lossy(&value).into_owned()),
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

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
}

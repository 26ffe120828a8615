//! A client of `wasi:http` that repairs nothing.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme};
use wasip2::io::streams::StreamError;

use crate::{Answer, Request};

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

pub(crate) fn send(
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

//! Why a request had no answer, by name: what a guest is told live and what it is told in a replay
//! are the same. Knows no request.

use wasmtime_wasi_http::Error;

/// A secret stood in the answer, and the call ended.
pub(super) const SECRET_ECHO: &str = "secret-echo";

/// Nobody took the connection.
pub(super) const REFUSED: &str = "connection-refused";

/// What is none of the others.
const OTHER: &str = "internal-error";

type Named = (&'static str, fn() -> Error);

/// Each name and what a guest is told by it. What a server or the system says beyond that stays out:
/// it differs from machine to machine.
const NAMES: [Named; 19] = [
    ("dns-error", || Error::DnsError { rcode: None, info_code: None }),
    ("destination-not-found", || Error::DestinationNotFound),
    ("destination-ip-prohibited", || Error::DestinationIpProhibited),
    (REFUSED, || Error::ConnectionRefused),
    ("connection-terminated", || Error::ConnectionTerminated),
    ("connection-timeout", || Error::ConnectionTimeout),
    ("connection-read-timeout", || Error::ConnectionReadTimeout),
    ("tls-protocol-error", || Error::TlsProtocolError),
    ("http-request-denied", || Error::HttpRequestDenied),
    ("http-request-uri-invalid", || Error::HttpRequestUriInvalid),
    ("http-request-body-size", || Error::HttpRequestBodySize(None)),
    ("http-response-incomplete", || Error::HttpResponseIncomplete),
    ("http-response-header-section-size", || Error::HttpResponseHeaderSectionSize(None)),
    ("http-response-body-size", || Error::HttpResponseBodySize(None)),
    ("http-response-timeout", || Error::HttpResponseTimeout),
    ("http-protocol-error", || Error::HttpProtocolError),
    ("configuration-error", || Error::ConfigurationError),
    ("loop-detected", || Error::LoopDetected),
    (OTHER, || Error::InternalError(None)),
];

/// The name of an error.
pub(super) fn name(error: &Error) -> &'static str {
    match error {
        // What the engine makes of these.
        Error::Hyper(_) => "http-protocol-error",
        Error::Connect(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => "dns-error",
        Error::Connect(_) => REFUSED,
        Error::Tls(_) => "tls-protocol-error",
        other => {
            let same = |of: &Error| std::mem::discriminant(of) == std::mem::discriminant(other);
            NAMES.iter().find(|(_, error)| same(&error())).map_or(OTHER, |(name, _)| name)
        }
    }
}

/// Whether the call ended with it, since more was moved than its limits allow.
pub(super) fn is_limit(name: &str) -> bool {
    matches!(name, "http-request-body-size" | "http-response-body-size" | "http-response-header-section-size")
}

/// The error of a name.
pub(super) fn error(name: &str) -> Option<Error> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, error)| error())
}

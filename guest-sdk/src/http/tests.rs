use super::{Error, Request, Response};
use crate::{Failure, testing};

#[test]
fn a_request_as_the_server_sees_it() {
    testing::set_call("order A-1", 2);
    testing::serve(|request| {
        assert_eq!((request.method(), request.url()), ("POST", "https://api.example.com/v1"));
        let headers: Vec<_> =
            request.headers().iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(headers, ["x-a: 1", "idempotency-key: order A-1", "content-type: application/json"]);
        assert_eq!(request.content(), b"{}");
        Response::new(302, "there").with("Location", "/v2")
    });
    let answer = Request::post("https://api.example.com/v1").header("x-a", "1").once().json("{}").send();
    let answer = answer.expect("an answer");
    assert_eq!((answer.status(), answer.is_success(), answer.text()), (302, false, Some("there")));
    assert_eq!(answer.header("location"), Some("/v2"));
}

#[test]
fn nobody_is_there_unless_a_test_says_so() {
    testing::reset();
    assert_eq!(Request::get("https://api.example.com/").send(), Err(Error::Unreachable));
}

#[test]
fn what_a_tool_makes_of_it() {
    assert!(matches!(Failure::from(Error::Refused), Failure::Rejected(_)));
    assert!(matches!(Failure::from(Error::Invalid), Failure::InvalidInput(_)));
    for error in [Error::Unreachable, Error::TimedOut, Error::Broken] {
        assert!(matches!(Failure::from(error), Failure::Unavailable(_)));
    }
}

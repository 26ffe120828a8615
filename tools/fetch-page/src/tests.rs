use nanohost_guest::http::Response;
use nanohost_guest::{Failure, testing};

use crate::pages::{Page, fetch};

fn fetched(path: &str) -> Result<Page, Failure> {
    testing::serve(|request| {
        assert_eq!((request.method(), request.content()), ("GET", &b""[..]));
        match request.url() {
            "https://example.com/page" => Response::new(200, "text").with("content-type", "text/plain"),
            "https://example.com/moved" => {
                Response::new(301, "").with("location", "https://elsewhere.example/")
            }
            "https://example.com/picture" => Response::new(200, vec![0xff, 0xd8]),
            "https://example.com/busy" => Response::new(503, ""),
            _ => Response::new(404, "nothing"),
        }
    });
    fetch(format!("https://example.com/{path}"), None)
}

#[test]
fn an_answer_is_an_answer() {
    let page = fetched("page").expect("an answer");
    assert_eq!(
        (page.status, page.content_type.as_deref(), page.text.as_deref()),
        (200, Some("text/plain"), Some("text"))
    );
    assert_eq!(fetched("nothing").map(|page| page.status), Ok(404));
    assert_eq!(fetched("picture").map(|page| page.text), Ok(None));
}

#[test]
fn a_redirect_is_told_and_not_followed() {
    let page = fetched("moved").expect("an answer");
    assert_eq!((page.status, page.location.as_deref()), (301, Some("https://elsewhere.example/")));
}

#[test]
fn a_busy_server_may_be_asked_again() {
    assert!(matches!(fetched("busy"), Err(Failure::Unavailable(_))));
}

use std::io::{Read, Write};
use std::net::TcpListener;

use nanohost_guest::Failure;

use crate::rates::{body, fetch_rates};

#[test]
fn rates_come_from_the_server() -> std::io::Result<()> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = server.accept()?;
        let mut request = [0; 28];
        stream.read_exact(&mut request)?;
        stream.write_all(b"HTTP/1.0 200 OK\r\nserver: test\r\n\r\n{\"eur\": 1}")
    });
    assert_eq!(fetch_rates("127.0.0.1".to_owned(), port), Ok("{\"eur\": 1}".to_owned()));
    serving.join().expect("the server did not panic")
}

#[test]
fn an_answer_without_rates_is_rejected() {
    for answer in ["", "HTTP/1.0 404 Not Found\r\n\r\nno", "HTTP/1.0 200 OK\r\n"] {
        assert!(matches!(body(answer.as_bytes()), Err(Failure::Rejected(_))), "{answer:?}");
    }
}

#[test]
fn a_name_is_no_address() {
    assert!(matches!(fetch_rates("localhost".to_owned(), 1), Err(Failure::InvalidInput(_))));
}

//! Fetches the file `rates.json` from a server over plain HTTP/1.0 on a TCP connection. An
//! address is numbers: nothing is looked up.

#[nanohost_guest::tool]
pub mod rates {
    use std::io::{Read, Write};
    use std::net::{IpAddr, SocketAddr, TcpStream};

    use nanohost_guest::Failure;

    /// More of an answer is not read.
    const MOST_BYTES: u64 = 64 << 10;

    /// What the server at that address answers, without the head.
    pub fn fetch_rates(address: String, port: u16) -> Result<String, Failure> {
        let address: IpAddr = address
            .parse()
            .map_err(|_| Failure::invalid_input("an address is numbers, such as 127.0.0.1"))?;
        let answer = ask(SocketAddr::new(address, port))
            .map_err(|error| Failure::unavailable(format!("{address} port {port}: {error}")))?;
        body(&answer)
    }

    fn ask(server: SocketAddr) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(server)?;
        stream.write_all(b"GET /rates.json HTTP/1.0\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(MOST_BYTES).read_to_end(&mut answer)?;
        Ok(answer)
    }

    pub(super) fn body(answer: &[u8]) -> Result<String, Failure> {
        let answer = String::from_utf8_lossy(answer);
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
            _ => Err(Failure::rejected("the server did not answer with the rates")),
        }
    }
}

#[cfg(test)]
mod tests;

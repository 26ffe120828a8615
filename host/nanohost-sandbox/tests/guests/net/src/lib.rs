//! Talks to whatever address it is told.

use std::io::{Error, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};

wit_bindgen::generate!({
    inline: "
        package test:net;

        interface api {
            fetch: func(address: string, port: u16) -> result<string, string>;
            talk: func(address: string, port: u16, text: string) -> result<string, string>;
            listen: func() -> result<_, string>;
            udp: func() -> result<_, string>;
            lookup: func(name: string) -> result<_, string>;
            decide: func(n: u32) -> u32;
        }

        world guest {
            export api;
        }
    ",
});

struct Guest;
export!(Guest);

fn failure(error: Error) -> String {
    format!("{:?}", error.kind())
}

impl exports::test::net::api::Guest for Guest {
    fn fetch(address: String, port: u16) -> Result<String, String> {
        let address: IpAddr = address.parse().map_err(|_| "not an address".to_owned())?;
        let mut stream = TcpStream::connect((address, port)).map_err(failure)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(failure)?;
        Ok(answer)
    }

    fn talk(address: String, port: u16, text: String) -> Result<String, String> {
        let address: IpAddr = address.parse().map_err(|_| "not an address".to_owned())?;
        let mut stream = TcpStream::connect((address, port)).map_err(failure)?;
        stream.set_nodelay(true).map_err(failure)?;
        // Afterwards there may be none.
        let peer = stream.peer_addr().map_err(failure)?;
        stream.write_all(text.as_bytes()).map_err(failure)?;
        stream.shutdown(Shutdown::Write).map_err(failure)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(failure)?;
        Ok(format!("{answer} from {peer}"))
    }

    fn listen() -> Result<(), String> {
        TcpListener::bind("127.0.0.1:0").map(drop).map_err(failure)
    }

    fn udp() -> Result<(), String> {
        UdpSocket::bind("0.0.0.0:0").map(drop).map_err(failure)
    }

    fn lookup(name: String) -> Result<(), String> {
        (name.as_str(), 80).to_socket_addrs().map(drop).map_err(failure)
    }

    fn decide(n: u32) -> u32 {
        n + 1
    }
}

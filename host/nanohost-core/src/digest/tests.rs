use std::io::Read;

use super::*;

/// Gives a few bytes at a time, and is interrupted before each.
struct Halting<'a>(&'a [u8], bool);

impl Read for Halting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = buffer.len().min(7777);
        self.0.read(&mut buffer[..length])
    }
}

#[test]
fn what_is_read_has_the_digest_of_its_bytes() {
    for length in [0, 1, 7777, 65_535, 65_536, 65_537, 200_000] {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let digest = Digest::of_reader(Halting(&bytes, false)).expect("it can be read");
        assert_eq!(digest, Digest::of(&bytes), "{length} bytes");
        assert_eq!(Digest::of_reader(bytes.as_slice()).expect("it can be read"), digest);
    }
    assert!(Digest::of_reader(Broken).is_err());
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

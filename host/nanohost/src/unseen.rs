//! What somebody types that nobody is to see: secrets and passphrases. Knows not what they are for.

use std::io::{self, BufRead as _, Read as _, Write as _};

use zeroize::Zeroizing;

/// A line that is typed at the terminal, without its end. No more than `longest` bytes are read.
pub fn typed(prompt: &str, longest: usize) -> io::Result<Zeroizing<String>> {
    let stdin = io::stdin();
    // Room for all of it, so that no copy is left behind by a growing buffer.
    let mut text = Zeroizing::new(String::with_capacity(longest + 1));
    let mut stderr = io::stderr();
    // Before anything is asked for: who answers at once is not seen either.
    let _unseen = Unseen::new();
    write!(stderr, "{prompt}").and_then(|()| stderr.flush())?;
    stdin.lock().take(longest as u64 + 1).read_line(&mut text)?;
    writeln!(stderr)?;
    while text.ends_with(['\n', '\r']) {
        text.pop();
    }
    Ok(text)
}

/// While it lives, the terminal shows nothing of what is typed.
struct Unseen(Option<rustix::termios::Termios>);

impl Unseen {
    fn new() -> Self {
        let stdin = io::stdin();
        let before = rustix::termios::tcgetattr(&stdin).ok();
        if let Some(before) = &before {
            let mut without = before.clone();
            without.local_modes.remove(rustix::termios::LocalModes::ECHO);
            let _ = rustix::termios::tcsetattr(&stdin, rustix::termios::OptionalActions::Now, &without);
        }
        Self(before)
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = rustix::termios::tcsetattr(io::stdin(), rustix::termios::OptionalActions::Now, before);
        }
    }
}

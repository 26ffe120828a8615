//! What is happening, while it happens: a spinner on a terminal, plain lines elsewhere, nothing
//! where nobody wants it. Always on standard error.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::escape::escaped;

/// Progress of long work.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    lines: bool,
}

impl Progress {
    /// Progress that is shown, or kept to itself.
    pub fn new(shown: bool) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_draw_target(if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        bar.set_style(ProgressStyle::default_spinner());
        let lines = shown && bar.is_hidden();
        Self { bar, lines }
    }

    /// A new stage begins.
    pub fn stage(&self, text: &str) {
        if self.lines {
            let mut stderr = std::io::stderr().lock();
            // Where standard error is gone there is nobody left to tell.
            let _ = std::io::Write::write_all(&mut stderr, format!("{}\n", escaped(text)).as_bytes());
        }
        self.bar.set_message(escaped(text));
        self.bar.enable_steady_tick(Duration::from_millis(120));
    }

    /// A detail of the stage; only a terminal shows it.
    pub fn detail(&self, text: &str) {
        self.bar.set_message(escaped(text));
    }

    /// The work is over.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

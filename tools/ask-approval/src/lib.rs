//! Asks a person for an approval, by suspending the run. Pure: it reads nothing, writes nothing, and
//! its component imports nothing at all.

#![cfg_attr(target_family = "wasm", no_std)]

nanohost_guest::pure!();

#[nanohost_guest::tool]
pub mod approval {
    use nanohost_guest::Failure;
    use nanohost_guest::prelude::*;

    /// A person reads it in one line.
    const MOST_SUBJECT: usize = 200;

    /// What the event that resumes the run says.
    #[derive(Debug, PartialEq)]
    pub struct Decision {
        pub approved: bool,
        pub approved_by: String,
    }

    /// Asks whether `amount_cents` may be spent on `subject`. The answer comes from outside, until
    /// `deadline` (seconds since 1970-01-01T00:00:00Z) at the longest.
    pub fn ask(subject: String, amount_cents: u64, deadline: Option<u64>) -> Result<Decision, Failure> {
        let sound = !subject.trim().is_empty()
            && subject.len() <= MOST_SUBJECT
            && !subject.contains(char::is_control);
        if !sound {
            return Err(Failure::invalid_input("a subject is one line of up to 200 bytes"));
        }
        if amount_cents == 0 {
            return Err(Failure::invalid_input("nothing needs no approval"));
        }
        let (whole, cents) = (amount_cents / 100, amount_cents % 100);
        Err(Failure::suspended(format!("approve {whole}.{cents:02} for {subject}?"), deadline))
    }
}

#[cfg(test)]
mod tests;

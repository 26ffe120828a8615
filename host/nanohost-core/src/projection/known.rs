//! The texts that stood at marked places of one run, and where they stand again. Knows nothing of
//! places: texts come in, ranges go out.
//!
//! Texts come in with every step, and each search is linear in the text searched: the automata are
//! kept in sizes that double, so that a text is built into one only logarithmically often.

use std::collections::HashMap;
use std::ops::Range;

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

/// Shorter texts are not looked for: `yes` or `DE` at a marked place would take words out of every
/// prompt.
const MIN_CHARS: usize = 4;

/// Shorter numbers are not looked for: a house number would take digits out of every amount.
pub(super) const MIN_DIGITS: usize = 6;

/// Longer texts are found by their beginning: a document at a marked place must not become an
/// automaton many times its size.
const MAX_NEEDLE: usize = 4096;

/// The texts of one run hold no more bytes together: a tool that returns ever new ones at a marked
/// place must not fill the host's memory. Beyond, every text counts as personal.
const MAX_BYTES: usize = 1 << 20;

/// The texts at marked places.
#[derive(Debug, Default)]
pub struct Known {
    /// The length in bytes of what each covers: the text's, of which only the beginning may stand here.
    covers: HashMap<Box<str>, usize>,
    bytes: usize,
    /// Each holds less than half of what the one before it holds.
    parts: Vec<Part>,
    full: bool,
    withheld: bool,
}

#[derive(Debug)]
struct Part {
    needles: Vec<Box<str>>,
    automaton: NFA,
    start: StateID,
}

impl Known {
    /// Looks for these texts from now on.
    pub(super) fn add(&mut self, texts: Vec<String>) {
        let mut needles: Vec<Box<str>> = Vec::new();
        for text in texts {
            let text = text.trim();
            if self.full || text.chars().nth(MIN_CHARS - 1).is_none() {
                continue;
            }
            let head = &text[..text.floor_char_boundary(MAX_NEEDLE)];
            match self.covers.get_mut(head) {
                Some(covers) => *covers = text.len().max(*covers),
                None => {
                    self.bytes += head.len();
                    self.covers.insert(head.into(), text.len());
                    needles.push(head.into());
                }
            }
            if self.bytes > MAX_BYTES {
                self.give_up();
            }
        }
        if needles.is_empty() || self.full {
            return;
        }
        while let Some(last) = self.parts.pop_if(|last| weight(&last.needles) < 2 * weight(&needles)) {
            needles.extend(last.needles);
        }
        match Part::of(needles) {
            Some(part) => self.parts.push(part),
            None => self.give_up(),
        }
    }

    fn give_up(&mut self) {
        *self = Self { full: true, withheld: self.withheld, ..Self::default() };
    }

    /// A value with marked places is withheld: what stands there is not known.
    pub(super) fn add_withheld(&mut self) {
        self.withheld = true;
    }

    /// Whether there are texts at marked places that the holder may not see.
    pub(super) fn is_partial(&self) -> bool {
        self.withheld
    }

    /// Whether there were too many to look for.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Adds the places in `text` at which one of the texts stands, upper and lower case of ASCII
    /// being the same. Which of them came in together makes no difference.
    pub(super) fn find(&self, text: &str, found: &mut Vec<Range<usize>>) {
        for part in &self.parts {
            let before = found.len();
            let mut state = part.start;
            for (at, byte) in text.bytes().enumerate() {
                state = part.automaton.next_state(Anchored::No, state, byte);
                if !part.automaton.is_match(state) {
                    continue;
                }
                // The first is the longest that ends here, and so covers the others.
                let pattern = part.automaton.match_pattern(state, 0);
                let mut start = at + 1 - part.automaton.pattern_len(pattern);
                let covers = self.covers.get(&part.needles[pattern.as_usize()]).copied();
                let mut end = start.saturating_add(covers.unwrap_or(0)).clamp(at + 1, text.len());
                end = text.ceil_char_boundary(end);
                while let Some(last) = found[before..].last().filter(|last| last.end > start) {
                    (start, end) = (start.min(last.start), end.max(last.end));
                    found.pop();
                }
                found.push(start..end);
            }
        }
    }
}

impl Part {
    fn of(needles: Vec<Box<str>>) -> Option<Self> {
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .build(needles.iter().map(|needle| needle.as_bytes()))
            .ok()?;
        let start = automaton.start_state(Anchored::No).ok()?;
        Some(Self { needles, automaton, start })
    }
}

fn weight(needles: &[Box<str>]) -> usize {
    needles.iter().map(|needle| needle.len()).sum()
}

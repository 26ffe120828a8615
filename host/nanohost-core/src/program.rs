//! `program.toml` (or the same in JSON) → [`Program`]: known keys, well-formed values, kinds as
//! enums, spans kept. Knows nothing of whether targets exist; that is [`crate::check`]'s.

//! The lines of acts in an export: what was done to the run's values after it, each with the proof that
//! it stands in the log where whoever exported had one. Knows nothing of what an act says.

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::dsse;
use crate::log::proof::InclusionProof;

pub(super) const ACT: &str = "{\"act\":\"";
const PROOF: &str = "\",\"proof\":\"";
const END: &str = "\"}";

/// An act in an export. Its form is right; nothing in it is believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedAct {
    /// The exact bytes of its envelope.
    pub envelope: Vec<u8>,
    /// Where it stands in the log.
    pub proof: Option<InclusionProof>,
}

impl ExportedAct {
    pub(super) fn parse(line: &[u8]) -> Result<Self, &'static str> {
        const FORM: &str = "not an act in its canonical form";
        let text = std::str::from_utf8(line).map_err(|_| FORM)?;
        let text = text.strip_prefix(ACT).and_then(|text| text.strip_suffix(END)).ok_or(FORM)?;
        let (envelope, proof) = match text.split_once(PROOF) {
            Some((envelope, proof)) => (envelope, Some(proof)),
            None => (text, None),
        };
        if envelope.len() / 4 > dsse::MAX_ENVELOPE / 3 {
            return Err("an act that is too large");
        }
        let envelope = STANDARD.decode(envelope).map_err(|_| FORM)?;
        let proof = proof.map(|digits| {
            let text = String::from_utf8(STANDARD.decode(digits).map_err(|_| FORM)?).map_err(|_| FORM)?;
            let proof: InclusionProof = text.parse().map_err(|_| "a proof of an act that is none")?;
            // What the reader of proofs passes over means nothing, and has no place here.
            if proof.to_string() == text { Ok(proof) } else { Err(FORM) }
        });
        Ok(Self { envelope, proof: proof.transpose()? })
    }
}

/// Writes the lines of acts; how many bytes they are.
pub(super) fn write(out: &mut impl Write, acts: &[ExportedAct]) -> io::Result<usize> {
    let mut size = 0;
    for ExportedAct { envelope, proof } in acts {
        let mut line = format!("{ACT}{}", STANDARD.encode(envelope));
        if let Some(proof) = proof {
            line.push_str(PROOF);
            STANDARD.encode_string(proof.to_string(), &mut line);
        }
        line.push_str(END);
        line.push('\n');
        out.write_all(line.as_bytes())?;
        size += line.len();
    }
    Ok(size)
}

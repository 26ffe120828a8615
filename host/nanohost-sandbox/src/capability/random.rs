//! `wasi:random`: a stream of bytes that follows from the run's secret seed and the call, or the
//! host's own entropy.

use hmac::{Hmac, KeyInit as _, Mac as _};
use nanohost_core::{Class, Random};
use sha2::Sha256;
use wasmtime::Result;
use wasmtime::component::Linker;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use crate::answering::Answering;
use crate::answers::{Blob, Entry};
use crate::record::Recorder;
use crate::state::{Field, State};

/// Bytes of one request. Stops a guest from having the host fill its memory.
const MAX_BYTES: u64 = 1 << 20;

/// Adds the interfaces as granted.
pub(crate) fn link(linker: &mut Linker<State>, granted: Random) -> Result<()> {
    if granted == Random::Denied {
        return Ok(());
    }
    random::add_to_linker::<State, Field<Generator>>(linker, |state| &mut state.random)?;
    insecure::add_to_linker::<State, Field<Generator>>(linker, |state| &mut state.random)?;
    insecure_seed::add_to_linker::<State, Field<Generator>>(linker, |state| &mut state.random)
}

/// The randomness of one call.
pub(crate) enum Generator {
    /// HMAC-SHA-256 in counter mode under a key of the call's own.
    Seeded { key: [u8; 32], counter: u64 },
    /// The host's entropy, recorded.
    Real { source: Box<dyn wasmtime_wasi::Rng + Send>, recorder: Recorder, answering: Answering },
    /// The host's entropy as a record has it.
    Recorded(Answering),
}

impl Generator {
    /// `Denied` gets the seeded one: nothing is linked that could ask it.
    pub(crate) fn new(
        granted: Random,
        seed: &[u8; 32],
        call: &str,
        recorder: Recorder,
        answering: Answering,
    ) -> Self {
        match granted {
            Random::Denied | Random::Seeded => {
                Self::Seeded { key: prf(seed, &[b"nanohost/random/v1\0", call.as_bytes()]), counter: 0 }
            }
            Random::Real if answering.is_recorded() => Self::Recorded(answering),
            Random::Real => Self::Real { source: wasmtime_wasi::thread_rng(), recorder, answering },
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        match self {
            Self::Seeded { key, counter } => {
                for chunk in bytes.chunks_mut(32) {
                    let block = prf(key, &[&counter.to_be_bytes()]);
                    *counter += 1;
                    chunk.copy_from_slice(&block[..chunk.len()]);
                }
            }
            Self::Real { source, recorder, answering } => {
                recorder.operation(Class::Random, "real");
                recorder.read(Class::Random, "real", bytes.len());
                source.fill_bytes(bytes);
                answering.tell(Entry::Random { bytes: Blob(bytes.to_vec()) });
            }
            Self::Recorded(answering) => {
                // Without an answer of that length the call ends, whatever stands here.
                if let Some((_, Entry::Random { bytes: recorded })) =
                    answering.ask(&Entry::Random { bytes: Blob(bytes.to_vec()) })
                {
                    bytes.copy_from_slice(&recorded.0);
                }
            }
        }
    }

    fn bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        if len > MAX_BYTES {
            wasmtime::bail!("more than {MAX_BYTES} random bytes at once");
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        self.fill(&mut bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }
}

pub(super) fn prf(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC pads its key with zeros to the hash's block size.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

impl random::Host for Generator {
    fn get_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.bytes(len)
    }

    fn get_random_u64(&mut self) -> Result<u64> {
        Ok(self.number())
    }
}

impl insecure::Host for Generator {
    fn get_insecure_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        Ok(self.number())
    }
}

impl insecure_seed::Host for Generator {
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        Ok((self.number(), self.number()))
    }
}

//! DSSE envelopes in their one byte form: two files are never the same envelope.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nanohost_core::dsse::{Unverified, seal};
use nanohost_core::envelope::Opened;
use nanohost_core::{Signer, TrustRoot};

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::from_seed([7; 32]));
static TRUST: LazyLock<TrustRoot> = LazyLock::new(|| TrustRoot::new([SIGNER.public().clone()]));

fuzz_target!(|bytes: &[u8]| {
    let _ = Opened::open(bytes, &TRUST);
    if let Ok(envelope) = Unverified::parse(bytes)
        && envelope.verify(SIGNER.public()).is_ok()
    {
        assert_eq!(seal(envelope.payload(), &SIGNER), bytes);
    }
});

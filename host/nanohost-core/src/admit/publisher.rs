//! Whose word there is for a tool, and whether every policy takes it. Knows nothing of what is granted.

use super::Offer;
use super::gap::{Gap, GapCode, Place, Withheld};
use crate::policy::{Policy, Trust, Unsigned};
use crate::signature::PackageFault;
use crate::{Diagnostic, Digest, KeyId, ToolOrigin};

/// Whose word there is for a tool of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vouched {
    /// A publisher of a policy signed it.
    Publisher {
        /// The publisher's name, of the first policy that names the key.
        name: String,
        /// The key.
        key: KeyId,
        /// SHA-256 of the signature's exact bytes.
        signature: Digest,
    },
    /// Nobody that a policy names did, and a rule for local development lets it run.
    Unsigned(Unsigned),
    /// Nobody was asked: it is a tool of a folder, and no policy speaks of publishers.
    Nobody,
}

/// The key that signed the offer, where a policy names it and the signature is good. Rows that forbid a
/// publisher count in every policy; who is vouched for is asked of those that are trusted ([`vouched`]):
/// whom another one names may be whoever wrote the tool.
///
/// # Errors
/// Where there is a signature that is not good, or is about something else.
pub(super) fn signer(offer: &Offer, policies: &[Policy]) -> Result<Option<KeyId>, PackageFault> {
    let Some(signed) = &offer.signature else { return Ok(None) };
    signed.fits(&offer.manifest, &offer.facts)?;
    let key = policies.iter().flat_map(Policy::publisher_keys).find(|key| key.key_id() == signed.key_id());
    match key {
        Some(key) => signed.by(key).map(|()| Some(key.key_id())),
        None => Ok(None),
    }
}

/// The signature of an offer that is not good.
pub(super) fn failed(offer: &Offer, fault: PackageFault) -> Diagnostic {
    let message = format!("the signature of tool `{}` is not good: {fault}", offer.manifest.name());
    Diagnostic::error("signature_failed", message).at(offer.manifest.source(), 0..0).help(
        "get the package again from its publisher; of a tool of your own, sign it again or remove its signature",
    )
}

/// Whose word there is, or what is missing.
pub(super) fn vouched(
    offer: &Offer,
    origin: Option<&ToolOrigin>,
    signer: Option<KeyId>,
    policies: &[Policy],
) -> Result<Vouched, Vec<Gap>> {
    let packaged = origin.is_some_and(|origin| match origin {
        ToolOrigin::Path(_) => false,
        ToolOrigin::Package { .. } => true,
    });
    let needed = if packaged { Unsigned::Any } else { Unsigned::Local };
    let is_trusted = |policy: &Policy| *policy.trust() == Trust::Trusted;
    let names =
        |policy: &Policy| is_trusted(policy) && signer.is_some_and(|key| policy.publisher_of(&key).is_some());
    let allows = |policy: &Policy| match policy.unsigned() {
        Unsigned::Refuse => false,
        Unsigned::Local => needed == Unsigned::Local,
        Unsigned::Any => true,
    };
    let speaking = || policies.iter().filter(|policy| policy.speaks_of_publishers());
    let mut gaps: Vec<Gap> = speaking()
        .filter(|policy| !names(policy) && !allows(policy))
        .map(|policy| gap(offer, policy, packaged))
        .collect();
    // For a package somebody has to stand whose word counts here.
    let stands = |policy: &Policy| is_trusted(policy) && (names(policy) || allows(policy));
    if gaps.is_empty()
        && packaged
        && !speaking().any(stands)
        && let Some(last) = policies.last()
    {
        gaps.push(gap(offer, last, packaged));
    }
    if !gaps.is_empty() {
        return Err(gaps);
    }
    let by = signer.zip(offer.signature.as_ref()).and_then(|(key, signed)| {
        let name = policies.iter().filter(|own| is_trusted(own)).find_map(|own| own.publisher_of(&key))?;
        Some(Vouched::Publisher { name: name.to_owned(), key, signature: signed.digest() })
    });
    Ok(by.unwrap_or_else(|| match speaking().next() {
        Some(_) => Vouched::Unsigned(needed),
        None => Vouched::Nobody,
    }))
}

fn gap(offer: &Offer, policy: &Policy, packaged: bool) -> Gap {
    let (tool, file) = (offer.manifest.name(), &policy.source().name);
    let place = policy.unsigned_place().map(|span| Place::new(policy.source(), &span));
    let key = offer.signature.as_ref().map(|signed| signed.key_id());
    let rule = if packaged { Unsigned::Any } else { Unsigned::Local };
    let untrusted = *policy.trust() != Trust::Trusted;
    let named = key.and_then(|key| policy.publisher_of(&key));
    let (code, message, value) = match key {
        Some(key) if untrusted && named.is_some() => (
            GapCode::UntrustedPublisher,
            format!(
                "tool `{tool}` is signed by a publisher of {file}, which nobody has said is to be trusted"
            ),
            format!("publisher {key}"),
        ),
        Some(key) => (
            GapCode::UntrustedPublisher,
            format!("tool `{tool}` is signed with key {key}, which no [publishers] of {file} names"),
            format!("publisher {key}"),
        ),
        None => (
            GapCode::UnsignedTool,
            format!("tool `{tool}` is not signed, and {file} has no rule that lets it run so"),
            "publisher".to_owned(),
        ),
    };
    let message = match untrusted && named.is_none() {
        true => format!("{message}; nobody has said that {file} is to be trusted, so it vouches for no tool"),
        false => message,
    };
    let help = match key {
        Some(_) if untrusted && named.is_some() => {
            format!("read {file}; then trust its project, nanohost trust DIR, or name it with --policy")
        }
        Some(_) => format!(
            "if you know whose key that is and take their tools, add it to {file}:\n\n[publishers]\nNAME = \"\"\"PEM\"\"\""
        ),
        None => format!(
            "have its publisher sign it (`nanohost tool sign`), or fetch a package anew (`nanohost tool pull`); for development on this machine, add to the top of {file}:\n\n\
             unsigned = \"{}\"",
            rule.as_str()
        ),
    };
    Gap {
        code,
        tool: Some(offer.local.clone()),
        class: None,
        value,
        asks: None,
        not_granted_by: Some(Withheld { file: file.clone(), rule: None, place }),
        message,
        help,
    }
}

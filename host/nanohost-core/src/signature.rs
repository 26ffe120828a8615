//! What a publisher says of a package, signed: which component, manifest and list of parts belong together,
//! and what they were made from. Knows no files, and nobody's keys: whose word counts is the policy's.
//!
//! The document is an in-toto statement v1 in RFC 8785 form, in a DSSE envelope in its one byte form:
//!
//! ```json
//! {
//!   "_type": "https://in-toto.io/Statement/v1",
//!   "subject": [
//!     { "name": "component.wasm", "digest": { "sha256": "…" } },
//!     { "name": "manifest.toml", "digest": { "sha256": "…" } }
//!   ],
//!   "predicateType": "https://nanohost.dev/package/v1",
//!   "predicate": { "tool": "…", "version": "…", "functions": { … }, "provenance": { … } }
//! }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::admit::schema_digest;
use crate::dsse::{self, Unverified};
use crate::envelope::STATEMENT_TYPE;
use crate::facts::ToolFacts;
use crate::manifest::Manifest;
use crate::{Digest, DsseError, JcsError, KeyId, PublicKey, Signer, ToolName, jcs};

#[cfg(test)]
mod tests;

/// `predicateType` of a package's statement.
pub const PACKAGE_TYPE: &str = "https://nanohost.dev/package/v1";

/// What the signature is called beside the manifest.
pub const SIGNATURE_FILE: &str = "package.dsse.json";

/// What the list of parts is called beside the manifest, CycloneDX in JSON.
pub const SBOM_FILE: &str = "sbom.cdx.json";

/// What the statement calls the component.
const COMPONENT: &str = "component.wasm";

/// What the statement calls the manifest.
const MANIFEST: &str = "manifest.toml";

/// The longest signature that is read, bytes: one digest for each function of a component. Stops a
/// hostile package from being parsed at length before anybody's key is asked.
pub const MAX_SIGNATURE: usize = 1 << 20;

/// What a publisher says of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Digest of the component's bytes.
    pub component: Digest,
    /// Digest of the manifest's bytes.
    pub manifest: Digest,
    /// Digest of the bytes of the list of parts, where there is one.
    pub sbom: Option<Digest>,
    /// What the package is, and what it was made from.
    pub predicate: Predicate,
}

/// What a package is, and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predicate {
    /// The tool's own name, as in its manifest.
    pub tool: ToolName,
    /// Its version, as in its manifest.
    pub version: String,
    /// Digests of the schemas of each function that can be called, by its path.
    pub functions: BTreeMap<String, Schemas>,
    /// What it was made from: the publisher's word.
    pub provenance: Provenance,
}

/// Digests of a function's schemas (see [`schema_digest`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schemas {
    /// Of its arguments.
    pub input: Digest,
    /// Of its result.
    pub output: Digest,
}

/// What a component was made from, by whom, and whether making it again gave the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The commit of the sources; `None`: they stand in no repository, or the component came from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Commit>,
    /// What compiled and put together the component, as it says itself: `rustc 1.95.0`.
    pub toolchain: Vec<String>,
    /// What made the package: `nanohost 0.1.0`.
    pub builder: String,
    /// Whether making the component again gave the same bytes.
    pub rebuild: Rebuild,
}

/// Where sources stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// Where the repository can be had, where one is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The commit's name, hexadecimal.
    pub commit: String,
    /// Whether the files were those of the commit, and no others.
    pub clean: bool,
}

/// Whether making a component again gave the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rebuild {
    /// Nobody tried.
    NotTried,
    /// It did.
    Same,
    /// It gave other bytes.
    Different,
}

impl Rebuild {
    /// The word for JSON and for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotTried => "not-tried",
            Self::Same => "same",
            Self::Different => "different",
        }
    }
}

/// The whole document.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    digest: Sha256,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sha256 {
    sha256: Digest,
}

/// Why a signature is none for a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PackageFault {
    /// It is longer than [`MAX_SIGNATURE`], not UTF-8, or no envelope in its one form.
    #[error("it is no signature of a package: {0}")]
    Form(DsseError),
    /// What is signed is no statement about a package of this form.
    #[error("what it signs is no statement about a package")]
    Statement,
    /// The signature does not belong to the bytes.
    #[error("its signature does not fit what it signs")]
    Signature,
    /// It is about another component.
    #[error("it was made for another component")]
    OtherComponent,
    /// It is about another manifest.
    #[error("it was made for another manifest")]
    OtherManifest,
    /// It is about another tool or version.
    #[error("it names another tool or version than the manifest")]
    OtherTool,
    /// It names other functions or schemas than the component has.
    #[error("it names other functions or schemas than the component has")]
    OtherSchemas,
    /// The list of parts is not the one it names.
    #[error("the list of parts beside it is missing, or not the one it names")]
    OtherSbom,
}

impl Statement {
    /// What can be said of a manifest, a component and the bytes of a list of parts.
    pub fn of(manifest: &Manifest, facts: &ToolFacts, sbom: Option<&[u8]>, provenance: Provenance) -> Self {
        Self {
            component: facts.component,
            manifest: manifest.digest(),
            sbom: sbom.map(Digest::of),
            predicate: Predicate {
                tool: manifest.name().clone(),
                version: manifest.version().to_owned(),
                functions: functions(facts),
                provenance,
            },
        }
    }

    /// Signs it: the exact bytes of the file beside the manifest.
    ///
    /// # Errors
    /// Text that no signed document holds.
    pub fn sign(&self, signer: &Signer) -> Result<Vec<u8>, JcsError> {
        let subject =
            |name: &str, sha256: Digest| Subject { name: name.to_owned(), digest: Sha256 { sha256 } };
        let mut subjects = vec![subject(COMPONENT, self.component), subject(MANIFEST, self.manifest)];
        subjects.extend(self.sbom.map(|sbom| subject(SBOM_FILE, sbom)));
        let document = Document {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject: subjects,
            predicate_type: PACKAGE_TYPE.to_owned(),
            predicate: self.predicate.clone(),
        };
        // Every member is text, a digest or a truth: there is always a JSON form.
        let value = serde_json::to_value(document).unwrap_or_default();
        Ok(dsse::seal(&jcs::canonical(&value)?, signer))
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let value = jcs::parse_canonical(payload, MAX_SIGNATURE).ok()?;
        let Document { statement_type, subject, predicate_type, predicate } =
            serde_json::from_value(value).ok()?;
        if statement_type != STATEMENT_TYPE || predicate_type != PACKAGE_TYPE {
            return None;
        }
        let mut subjects = subject.iter().map(|own| (own.name.as_str(), own.digest.sha256));
        let mut next = |name: &str| subjects.next().filter(|(own, _)| *own == name).map(|(_, digest)| digest);
        let (component, manifest) = (next(COMPONENT)?, next(MANIFEST)?);
        let sbom = match subject.len() {
            2 => None,
            3 => Some(next(SBOM_FILE)?),
            _ => return None,
        };
        Some(Self { component, manifest, sbom, predicate })
    }
}

/// A statement with a signature of the right form, which proves nothing before a key has been asked:
/// see [`Signed::by`].
#[derive(Clone)]
pub struct Signed {
    text: Arc<str>,
    envelope: Arc<Unverified>,
    statement: Arc<Statement>,
}

impl Signed {
    /// Reads the file beside a manifest.
    ///
    /// # Errors
    /// [`PackageFault::Form`], [`PackageFault::Statement`].
    pub fn parse(bytes: &[u8]) -> Result<Self, PackageFault> {
        let text = std::str::from_utf8(bytes).map_err(|_| PackageFault::Form(DsseError::Form))?;
        if bytes.len() > MAX_SIGNATURE {
            return Err(PackageFault::Form(DsseError::TooLong));
        }
        // Text files end with a line's end, and what editors add changes nothing.
        let text = text.strip_suffix('\n').unwrap_or(text);
        let envelope = Unverified::parse(text.as_bytes()).map_err(PackageFault::Form)?;
        let statement = Statement::read(envelope.payload()).ok_or(PackageFault::Statement)?;
        Ok(Self { text: text.into(), envelope: Arc::new(envelope), statement: Arc::new(statement) })
    }

    /// The exact text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the exact text.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }

    /// The key that it says it is signed by: a hint for finding it.
    pub fn key_id(&self) -> KeyId {
        self.envelope.key_id()
    }

    /// What is said. Nobody's word before [`Signed::by`].
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Whether this key signed it.
    ///
    /// # Errors
    /// [`PackageFault::Signature`].
    pub fn by(&self, key: &PublicKey) -> Result<(), PackageFault> {
        self.envelope.verify(key).map_err(|_| PackageFault::Signature)
    }

    /// Whether it is about this manifest and this component.
    ///
    /// # Errors
    /// In what it is about others.
    pub fn fits(&self, manifest: &Manifest, facts: &ToolFacts) -> Result<(), PackageFault> {
        let own = &*self.statement;
        let (tool, version) = (&own.predicate.tool, &own.predicate.version);
        match () {
            () if own.component != facts.component => Err(PackageFault::OtherComponent),
            () if own.manifest != manifest.digest() => Err(PackageFault::OtherManifest),
            () if tool != manifest.name() || version != manifest.version() => Err(PackageFault::OtherTool),
            () if own.predicate.functions != functions(facts) => Err(PackageFault::OtherSchemas),
            () => Ok(()),
        }
    }

    /// Whether it is about this list of parts, or about none where there is none.
    ///
    /// # Errors
    /// [`PackageFault::OtherSbom`].
    pub fn fits_sbom(&self, sbom: Option<&[u8]>) -> Result<(), PackageFault> {
        if self.statement.sbom == sbom.map(Digest::of) { Ok(()) } else { Err(PackageFault::OtherSbom) }
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("key", &self.key_id()).field("statement", &self.statement).finish()
    }
}

/// The schemas of all functions of a component.
fn functions(facts: &ToolFacts) -> BTreeMap<String, Schemas> {
    let of = |export: &crate::ToolExport| Schemas {
        input: schema_digest(&export.input),
        output: schema_digest(&export.output),
    };
    facts.exports.iter().map(|export| (export.path(), of(export))).collect()
}

//! Manifests and indexes of OCI images, and what of them is a package: a component as its one layer, and the
//! digest of the manifest that belongs to it. Knows no registry and no file.
//!
//! Types of our own, since those of the ecosystem keep annotations without an order: the same package
//! would have another digest each time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use nanohost_core::Digest;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// Media type of an image manifest.
pub const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of the config of a component, as the CNCF's layout for WebAssembly has it.
pub const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Media type of its one layer.
pub const WASM: &str = "application/wasm";
/// Media type of a config that says nothing.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The bytes of such a config.
pub const EMPTY_BYTES: &[u8] = b"{}";

/// Annotation of an image: the digest of the manifest that belongs to its component.
pub const MANIFEST_DIGEST: &str = "dev.nanohost.manifest";
/// Annotation of an image: the digest of its component, so that who reads annotations alone sees both.
pub const COMPONENT_DIGEST: &str = "dev.nanohost.component";
/// Annotation of an entry of an index: what the image is called.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation of an image: the tool's name.
pub const TITLE: &str = "org.opencontainers.image.title";
/// Annotation of an image: the tool's version.
pub const VERSION: &str = "org.opencontainers.image.version";

/// No manifest or index is longer, bytes: a registry must not fill the memory with what is read before
/// anything of it is believed.
pub const MAX_DOCUMENT: u64 = 512 << 10;

/// No image has more layers: a package has one.
const MAX_LAYERS: usize = 64;

/// No index has more entries: each of a list of referrers may cost a request.
pub const MAX_ENTRIES: usize = 1024;

/// No document has more annotations.
const MAX_ANNOTATIONS: usize = 128;

/// A document that is none, or not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ImageError(String);

/// Which bytes are meant, by what they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What they are to be read as.
    pub media_type: String,
    /// Their digest.
    #[serde(with = "sha256")]
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
    /// What the image they are is about; of a list of referrers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What else is said of them.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// An image manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    /// What it is about, where its config does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its config.
    pub config: Descriptor,
    /// Its layers.
    pub layers: Vec<Descriptor>,
    /// The image that it refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// An index of images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    /// Its images.
    pub manifests: Vec<Descriptor>,
}

/// An image that is a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentImage {
    /// Its config.
    pub config: Descriptor,
    /// The component.
    pub component: Descriptor,
    /// The digest of the manifest that belongs to it; `None`: whoever made it knows nothing of nanohost.
    pub manifest: Option<Digest>,
}

impl Descriptor {
    /// That of these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            artifact_type: None,
            annotations: Annotations::default(),
        }
    }
}

impl ImageManifest {
    /// One with this config and these layers.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>, annotations: Annotations) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(IMAGE.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations,
        }
    }

    /// Reads one. Keys that this version does not know are the format's to have: the digest covers them.
    ///
    /// # Errors
    /// What is no image manifest, and what is more than one of a package would ever be.
    pub fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        let read: Self = document(bytes, "an image manifest")?;
        expect(read.schema_version == 2, "an image manifest has `schemaVersion` 2")?;
        // What could be read as the one and as the other would be two things under one digest.
        expect(
            read.media_type.as_deref().is_none_or(|own| own == IMAGE),
            "it says that it is something else than an image manifest",
        )?;
        expect(read.layers.len() <= MAX_LAYERS, "it has more layers than any package")?;
        Ok(read)
    }

    /// Its bytes: always the same for the same manifest.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What of it is a component.
    ///
    /// # Errors
    /// Where it is something else, or says two things of the same component.
    pub fn component(&self) -> Result<ComponentImage, ImageError> {
        expect(
            self.config.media_type == WASM_CONFIG,
            &format!("its config is {:?} and not {WASM_CONFIG}", self.config.media_type),
        )?;
        let [component] = self.layers.as_slice() else {
            return Err(ImageError(format!("it has {} layers, and a component is one", self.layers.len())));
        };
        expect(
            component.media_type == WASM,
            &format!("its layer is {:?} and not {WASM}", component.media_type),
        )?;
        let annotated = |key| self.annotations.get(key).map(|text| parse_digest(key, text)).transpose();
        let named = annotated(COMPONENT_DIGEST)?;
        expect(
            named.is_none_or(|named| named == component.digest),
            &format!("{COMPONENT_DIGEST} names another component than its layer"),
        )?;
        let manifest = annotated(MANIFEST_DIGEST)?;
        Ok(ComponentImage { config: self.config.clone(), component: component.clone(), manifest })
    }
}

impl ImageIndex {
    /// One of these images.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: Some(INDEX.to_owned()), manifests }
    }

    /// Reads one.
    ///
    /// # Errors
    /// What is no index, or too long a one.
    pub fn read(bytes: &[u8]) -> Result<Self, ImageError> {
        let read: Self = document(bytes, "an index of images")?;
        expect(read.schema_version == 2, "an index of images has `schemaVersion` 2")?;
        expect(
            read.media_type.as_deref().is_none_or(|own| own == INDEX),
            "it says that it is something else than an index of images",
        )?;
        expect(read.manifests.len() <= MAX_ENTRIES, "it lists more images than are looked at")?;
        // The same image may have several names; the same line twice is work and nothing else.
        let mut seen = BTreeSet::new();
        let mut once = |entry: &Descriptor| {
            let own = (
                entry.digest,
                entry.artifact_type.clone(),
                entry.annotations.get(REF_NAME).map(str::to_owned),
            );
            seen.insert(own)
        };
        expect(read.manifests.iter().all(&mut once), "it lists the same image twice")?;
        Ok(read)
    }

    /// Its bytes: always the same for the same index.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn document<T: for<'de> Deserialize<'de>>(bytes: &[u8], what: &str) -> Result<T, ImageError> {
    expect(bytes.len() as u64 <= MAX_DOCUMENT, &format!("it is longer than {what} may be"))?;
    serde_json::from_slice(bytes).map_err(|error| ImageError(format!("it is not {what}: {error}")))
}

fn parse_digest(key: &str, text: &str) -> Result<Digest, ImageError> {
    let digest = text.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
    digest.ok_or_else(|| ImageError(format!("{key} is no SHA-256 digest")))
}

fn expect(holds: bool, otherwise: &str) -> Result<(), ImageError> {
    if holds { Ok(()) } else { Err(ImageError(otherwise.to_owned())) }
}

/// Annotations, by key. A key that stands there twice is refused: readers would differ about what it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Annotations(BTreeMap<String, String>);

impl Annotations {
    /// What is said under a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<(&'a str, String)> for Annotations {
    fn from_iter<I: IntoIterator<Item = (&'a str, String)>>(all: I) -> Self {
        Self(all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Annotations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("annotations, each a text")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Annotations, E> {
                Ok(Annotations::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
                let mut all = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if all.len() == MAX_ANNOTATIONS {
                        return Err(de::Error::custom("there are too many annotations"));
                    }
                    if all.insert(key, value).is_some() {
                        return Err(de::Error::custom("an annotation stands there twice"));
                    }
                }
                Ok(Annotations(all))
            }
        }
        deserializer.deserialize_any(Each)
    }
}

/// Digests as OCI writes them.
mod sha256 {
    use nanohost_core::Digest;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("sha256:{digest}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hex = text.strip_prefix("sha256:").ok_or_else(|| de::Error::custom("a digest is sha256:…"))?;
        hex.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;

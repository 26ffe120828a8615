//! A package as images: the component and its config, and as referrers to that image what belongs to it:
//! manifest, signature, bill of materials. The image says which manifest is its own, so that one digest
//! names both. Signature and bill are carried as bytes that nobody here reads.

use nanohost_core::signature::{SBOM_FILE, SIGNATURE_FILE};
use nanohost_core::{Digest, Manifest, ToolFacts};
use serde_json::json;

use super::image::{
    COMPONENT_DIGEST, ComponentImage, Descriptor, EMPTY, EMPTY_BYTES, IMAGE, ImageManifest, MANIFEST_DIGEST,
    MAX_DOCUMENT, TITLE, VERSION, WASM, WASM_CONFIG,
};
use super::layout::LayoutDraft;
use super::{invalid, mismatch};
use crate::failure::Failure;
use crate::project::MANIFEST;

/// The envelope that signs a package, beside its manifest.
pub const SIGNATURE: &str = SIGNATURE_FILE;

/// The bill of materials of a package, beside its manifest.
pub const BILL: &str = SBOM_FILE;

/// No component is larger; the sandbox refuses it too.
pub const MAX_COMPONENT: u64 = 32 << 20;

/// No package is fetched whose image more referrers name: each costs two requests.
const MAX_REFERRERS: usize = 64;

/// The config of an image lists the imports of its component, and no more.
const MAX_CONFIG: u64 = 1 << 20;

/// What belongs to a component and refers to its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The manifest.
    Manifest,
    /// The envelope that signs the package.
    Signature,
    /// The bill of materials.
    Bill,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Manifest, Self::Signature, Self::Bill];

    /// Its type, both of the artifact and of its one layer.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Manifest => "application/vnd.nanohost.manifest.v1+toml",
            Self::Signature => "application/vnd.dsse.envelope.v1+json",
            Self::Bill => "application/vnd.cyclonedx+json",
        }
    }

    /// Its file in a package's folder.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Manifest => MANIFEST,
            Self::Signature => SIGNATURE,
            Self::Bill => BILL,
        }
    }

    /// It is never longer, bytes: a registry must not fill the memory.
    pub const fn bound(self) -> u64 {
        match self {
            Self::Manifest | Self::Signature => 1 << 20,
            Self::Bill => 16 << 20,
        }
    }

    const fn called(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Signature => "signature",
            Self::Bill => "bill of materials",
        }
    }
}

/// The files of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The component.
    pub component: Vec<u8>,
    /// The manifest.
    pub manifest: Vec<u8>,
    /// The envelope that signs it, as bytes.
    pub signature: Option<Vec<u8>>,
    /// The bill of materials, as bytes.
    pub bill: Option<Vec<u8>>,
}

/// A package as what a registry or a layout holds.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The image of the component.
    pub image: Vec<u8>,
    /// Its config.
    pub config: Vec<u8>,
    /// Its layer.
    pub component: Vec<u8>,
    /// What refers to it.
    pub referrers: Vec<Referrer>,
}

/// Something that refers to an image.
#[derive(Debug, Clone)]
pub struct Referrer {
    /// What it is.
    pub part: Part,
    /// Its own image.
    pub image: Vec<u8>,
    /// Its layer.
    pub bytes: Vec<u8>,
}

/// A package that came from elsewhere, whole: every digest was held against its bytes.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Which.
    pub digest: Digest,
    /// Its image.
    pub image: Vec<u8>,
    /// The image's config.
    pub config: Vec<u8>,
    /// The component.
    pub component: Vec<u8>,
    /// The manifest; `None`: whoever made it knows nothing of nanohost.
    pub manifest: Option<Vec<u8>>,
    /// The envelope that signs it, where there is one.
    pub signature: Option<Vec<u8>>,
    /// The bill of materials, where there is one.
    pub bill: Option<Vec<u8>>,
}

/// Where images are fetched from. What it gives is held against its digest by who asked.
pub trait Source {
    /// An image manifest.
    ///
    /// # Errors
    /// Where it cannot be had.
    fn image(&mut self, digest: &Digest) -> anyhow::Result<Vec<u8>>;

    /// A blob, no longer than `bound`.
    ///
    /// # Errors
    /// Where it cannot be had.
    fn blob(&mut self, blob: &Descriptor, bound: u64) -> anyhow::Result<Vec<u8>>;

    /// What refers to an image.
    ///
    /// # Errors
    /// Where that cannot be had.
    fn referrers(&mut self, of: &Digest) -> anyhow::Result<Vec<Descriptor>>;
}

impl Packed {
    /// A package as images: the same bytes for the same files, whoever packs them and when.
    pub fn of(files: &Files, manifest: &Manifest, facts: &ToolFacts) -> Self {
        let imports: Vec<&str> = facts.imports.iter().map(|import| import.name.as_str()).collect();
        let mut exports: Vec<&str> = facts
            .exports
            .iter()
            .map(|export| export.interface.as_deref().unwrap_or(&export.function))
            .collect();
        exports.dedup();
        let layer = Descriptor::of(WASM, &files.component);
        let config = json!({
            // When it was made would make each copy another package.
            "created": "1970-01-01T00:00:00Z",
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [format!("sha256:{}", layer.digest)],
            "component": { "exports": exports, "imports": imports, "target": null },
        })
        .to_string()
        .into_bytes();
        let annotations = [
            (MANIFEST_DIGEST, format!("sha256:{}", Digest::of(&files.manifest))),
            (COMPONENT_DIGEST, format!("sha256:{}", layer.digest)),
            (TITLE, manifest.name().to_string()),
            (VERSION, manifest.version().to_owned()),
        ];
        let image = ImageManifest::new(
            Descriptor::of(WASM_CONFIG, &config),
            vec![layer],
            annotations.into_iter().collect(),
        )
        .to_bytes();
        let parts = [
            (Part::Manifest, Some(&files.manifest)),
            (Part::Signature, files.signature.as_ref()),
            (Part::Bill, files.bill.as_ref()),
        ];
        let referrers =
            parts.into_iter().filter_map(|(part, bytes)| Some(Referrer::of(part, bytes?, &image)));
        Self { referrers: referrers.collect(), config, component: files.component.clone(), image }
    }

    /// A package that was fetched, to be handed on as it came.
    pub fn again(fetched: &Fetched) -> Self {
        let parts = [
            (Part::Manifest, fetched.manifest.as_ref()),
            (Part::Signature, fetched.signature.as_ref()),
            (Part::Bill, fetched.bill.as_ref()),
        ];
        let image = &fetched.image;
        Self {
            image: image.clone(),
            config: fetched.config.clone(),
            component: fetched.component.clone(),
            referrers: parts
                .into_iter()
                .filter_map(|(part, bytes)| Some(Referrer::of(part, bytes?, image)))
                .collect(),
        }
    }

    /// The digest that names it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.image)
    }

    /// Puts it into a layout, under a name.
    pub fn lay(&self, name: &str, draft: &mut LayoutDraft) {
        draft.blob(&self.config);
        draft.blob(&self.component);
        let mut entry = Descriptor::of(IMAGE, &self.image);
        entry.annotations = [(super::image::REF_NAME, name.to_owned())].into_iter().collect();
        draft.image(entry, &self.image);
        for referrer in &self.referrers {
            draft.blob(EMPTY_BYTES);
            draft.blob(&referrer.bytes);
            draft.image(referrer.entry(), &referrer.image);
        }
    }
}

impl Referrer {
    /// What refers to `image` as this part of it.
    pub fn of(part: Part, bytes: &[u8], image: &[u8]) -> Self {
        let layer = Descriptor::of(part.media_type(), bytes);
        let mut own = ImageManifest::new(
            Descriptor::of(EMPTY, EMPTY_BYTES),
            vec![layer],
            std::iter::empty::<(&str, String)>().collect(),
        );
        own.artifact_type = Some(part.media_type().to_owned());
        own.subject = Some(Descriptor::of(IMAGE, image));
        Self { part, image: own.to_bytes(), bytes: bytes.to_vec() }
    }

    /// Its entry in a list of referrers.
    pub fn entry(&self) -> Descriptor {
        let mut entry = Descriptor::of(IMAGE, &self.image);
        entry.artifact_type = Some(self.part.media_type().to_owned());
        entry
    }
}

impl Fetched {
    /// Fetches a package, and holds every byte of it against the digest that names it.
    ///
    /// # Errors
    /// `package_mismatch`, `invalid_package`, and what the source cannot give.
    pub fn from(source: &mut dyn Source, digest: &Digest) -> anyhow::Result<Self> {
        let image = source.image(digest)?;
        let read = component_image(&image, digest)?;
        let config = blob(source, &read.config, MAX_CONFIG, "the config of the image")?;
        let component = blob(source, &read.component, MAX_COMPONENT, "the component")?;
        let mut found =
            Self { digest: *digest, image, config, component, manifest: None, signature: None, bill: None };
        found.refer(source, read.manifest)?;
        if read.manifest.is_some() && found.manifest.is_none() {
            return Err(invalid(format!(
                "sha256:{digest} names its manifest, and nothing that refers to it is one: it is not whole"
            )));
        }
        Ok(found)
    }

    /// Takes what refers to the image.
    fn refer(&mut self, source: &mut dyn Source, manifest: Option<Digest>) -> anyhow::Result<()> {
        let entries = source.referrers(&self.digest)?;
        if entries.len() > MAX_REFERRERS {
            return Err(invalid(format!("more than {MAX_REFERRERS} things refer to sha256:{}", self.digest)));
        }
        let known = |entry: &Descriptor| {
            Part::ALL.into_iter().find(|part| entry.artifact_type.as_deref() == Some(part.media_type()))
        };
        for (part, entry) in entries.iter().filter_map(|entry| Some((known(entry)?, entry))) {
            let own = source.image(&entry.digest)?;
            if Digest::of(&own) != entry.digest {
                return Err(mismatch(format!(
                    "the {} came as something else than it is listed",
                    part.called()
                )));
            }
            let read = ImageManifest::read(&own).map_err(|error| invalid(format!("a referrer: {error}")))?;
            let refers = read.subject.as_ref().is_some_and(|subject| subject.digest == self.digest);
            let [layer] = read.layers.as_slice() else {
                return Err(invalid(format!("the {} is not one layer", part.called())));
            };
            if !refers || layer.media_type != part.media_type() {
                return Err(mismatch(format!(
                    "what is listed as the {} of sha256:{} is another one's, or none",
                    part.called(),
                    self.digest
                )));
            }
            if part == Part::Manifest && manifest != Some(layer.digest) {
                return Err(mismatch(format!(
                    "a manifest refers to sha256:{} that is not the one its image names",
                    self.digest
                )));
            }
            let bytes = blob(source, layer, part.bound(), part.called())?;
            let place = match part {
                Part::Manifest => &mut self.manifest,
                Part::Signature => &mut self.signature,
                Part::Bill => &mut self.bill,
            };
            if place.replace(bytes).is_some_and(|before| place.as_ref() != Some(&before)) {
                // Whoever may push could otherwise choose by the order which one is looked at.
                return Err(invalid(format!(
                    "sha256:{} has more than one {}: remove all but one from the registry",
                    self.digest,
                    part.called()
                )));
            }
        }
        Ok(())
    }
}

/// The envelopes that are listed as signing an image, each that can be read as one layer; whose they are, and
/// whether they are good, nobody asked.
///
/// # Errors
/// `package_mismatch`, `invalid_package`, and what the source cannot give.
pub fn signatures(source: &mut dyn Source, of: &Digest) -> anyhow::Result<Vec<Vec<u8>>> {
    let entries = source.referrers(of)?;
    if entries.len() > MAX_REFERRERS {
        return Err(invalid(format!("more than {MAX_REFERRERS} things refer to sha256:{of}")));
    }
    let part = Part::Signature;
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| entry.artifact_type.as_deref() == Some(part.media_type())) {
        let own = match source.image(&entry.digest) {
            Ok(own) => own,
            // Listed still, and removed.
            Err(error) if is_missing(&error) => continue,
            Err(error) => return Err(error),
        };
        // What is no signature, or another image's, protects nothing here.
        let Ok(read) = ImageManifest::read(&own) else { continue };
        let refers = read.subject.as_ref().is_some_and(|subject| subject.digest == *of);
        match read.layers.as_slice() {
            [layer] if refers && layer.media_type == part.media_type() => {
                found.push(blob(source, layer, part.bound(), part.called())?);
            }
            _ => {}
        }
    }
    Ok(found)
}

fn is_missing(error: &anyhow::Error) -> bool {
    let found = error.downcast_ref::<Failure>();
    found.is_some_and(|own| own.findings.iter().any(|finding| finding.code == "package_not_found"))
}

/// The image of a component, held against its digest.
///
/// # Errors
/// `package_mismatch`, `invalid_package`.
pub fn component_image(image: &[u8], digest: &Digest) -> anyhow::Result<ComponentImage> {
    if Digest::of(image) != *digest {
        return Err(mismatch(format!("what came as sha256:{digest} is something else")));
    }
    let read = ImageManifest::read(image).and_then(|image| image.component());
    read.map_err(|error| invalid(format!("sha256:{digest} is no package: {error}")))
}

fn blob(source: &mut dyn Source, wanted: &Descriptor, bound: u64, what: &str) -> anyhow::Result<Vec<u8>> {
    if wanted.size > bound.min(MAX_COMPONENT.max(MAX_DOCUMENT)) {
        return Err(invalid(format!("{what} is {} bytes, and at most {bound} are fetched", wanted.size)));
    }
    let bytes = source.blob(wanted, wanted.size)?;
    if bytes.len() as u64 != wanted.size || Digest::of(&bytes) != wanted.digest {
        return Err(mismatch(format!("{what} came as something else than sha256:{}", wanted.digest)));
    }
    Ok(bytes)
}

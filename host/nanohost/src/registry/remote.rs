//! A registry, over the OCI distribution protocol. Bounded in time and size. Nobody but the registry itself,
//! and whoever of its own owner gives tokens for it, is told who one is; redirects are followed for blobs
//! alone, and without that. Believes nothing: what comes is held against its digest by who asked.

use std::cell::{OnceCell, RefCell};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use nanohost_core::{Diagnostic, Digest, PinnedPackage, Repository};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LINK, LOCATION, WWW_AUTHENTICATE,
};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use super::artifact::{Packed, Source};
use super::credentials::{self, Challenge, Credential, is_realm_of};
use super::image::{Descriptor, EMPTY_BYTES, IMAGE, INDEX, ImageIndex, MAX_DOCUMENT};
use super::invalid;
use crate::console::Progress;
use crate::failure::Failure;

/// A registry that does not take the connection by then is not there.
const CONNECT: Duration = Duration::from_secs(10);

/// A registry that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(60);

/// How long one request may take as a whole. A registry that drips is never silent.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// What every request may take.
    least: Duration,
    /// What it has to carry a second beyond that, bytes.
    rate: u64,
}

/// What every registry is given.
const PATIENCE: Patience = Patience { least: Duration::from_secs(120), rate: 32 << 10 };

impl Patience {
    /// What a request may take that carries as many bytes.
    fn of(self, bytes: u64) -> Duration {
        self.least + Duration::from_secs(bytes.div_ceil(self.rate))
    }
}

/// Blobs are redirected to storage, perhaps once more; a longer way is a loop.
const MAX_REDIRECTS: usize = 5;

/// No token, and no complaint, is longer, bytes.
const MAX_ANSWER: u64 = 64 << 10;

/// How often a large transfer tells how far it is, bytes.
const TELLING: usize = 1 << 20;

/// What is to be done, which a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Fetching.
    Pull,
    /// Sending.
    Push,
}

/// One repository of a registry.
#[derive(Debug)]
pub struct Remote<'p> {
    repository: Repository,
    base: Url,
    http: Client,
    runtime: Runtime,
    purpose: Use,
    progress: &'p Progress,
    patience: Patience,
    credential: OnceCell<Option<Credential>>,
    authorization: RefCell<Option<HeaderValue>>,
}

/// Whether anything is said to a registry unencrypted: on this machine, or where its user says so.
fn is_plain(registry: &str, plain: &[String]) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    };
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    loopback || plain.iter().any(|own| own == registry)
}

impl<'p> Remote<'p> {
    /// A repository, which nothing was asked of yet. Of the registries in `plain` nothing is encrypted.
    ///
    /// # Errors
    /// `registry_unreachable` where this machine cannot speak to any.
    pub fn open(
        repository: &Repository,
        purpose: Use,
        plain: &[String],
        progress: &'p Progress,
    ) -> anyhow::Result<Self> {
        // Whoever installed one before installed the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Docker's own registry is asked under another name than it is called by.
        let host = match repository.registry() {
            "docker.io" => "registry-1.docker.io",
            registry => registry,
        };
        let plain = is_plain(repository.registry(), plain);
        let client = Client::builder()
            .user_agent(concat!("nanohost/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        // `localhost` is this machine, whatever a name server says.
        let own = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
        let client = client.resolve_to_addrs("localhost", &own);
        // A proxy would read what is not encrypted. Where nothing is, no certificates are needed.
        let client = if plain { client.no_proxy().tls_certs_only([]) } else { client };
        let cannot = |error: &dyn std::fmt::Display| {
            Failure::host(
                Diagnostic::error("registry_unreachable", format!("cannot speak to registries: {error}"))
                    .help("https needs the certificates of this machine (ca-certificates), or SSL_CERT_FILE"),
            )
        };
        let http = client.build().map_err(|error| cannot(&error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let base = format!("{}://{host}/v2/{}/", if plain { "http" } else { "https" }, repository.name());
        Ok(Self {
            repository: repository.clone(),
            base: base.parse().map_err(|error| cannot(&error))?,
            http,
            runtime: runtime.map_err(|error| cannot(&error))?,
            purpose,
            progress,
            patience: PATIENCE,
            credential: OnceCell::new(),
            authorization: RefCell::new(None),
        })
    }

    /// What a tag names now; `None`: nothing.
    ///
    /// # Errors
    /// Where the registry cannot be asked, or does not say.
    pub fn tagged(&self, tag: &str) -> anyhow::Result<Option<Digest>> {
        let found = self.runtime.block_on(self.document(&format!("manifests/{tag}")))?;
        Ok(found.map(|bytes| Digest::of(&bytes)))
    }

    /// Sends a package, under a tag. The tag moves last: it never names what is not there whole.
    ///
    /// # Errors
    /// Where the registry does not take it.
    pub fn push(&self, packed: &Packed, tag: &str) -> anyhow::Result<PinnedPackage> {
        self.runtime.block_on(async {
            self.send_blob(&packed.config, "the config").await?;
            self.send_blob(&packed.component, "the component").await?;
            for referrer in &packed.referrers {
                self.send_blob(&referrer.bytes, referrer.part.file()).await?;
            }
            let digest = packed.digest();
            self.send_document(&format!("sha256:{digest}"), &packed.image, IMAGE).await?;
            let mut listed = true;
            if !packed.referrers.is_empty() {
                self.send_blob(EMPTY_BYTES, "an empty config").await?;
            }
            for referrer in &packed.referrers {
                let own = format!("sha256:{}", Digest::of(&referrer.image));
                listed &= self.send_document(&own, &referrer.image, IMAGE).await?;
            }
            match listed {
                true => self.retire_referrers(packed, &digest).await?,
                false => self.list_referrers(packed, &digest).await?,
            }
            self.send_document(tag, &packed.image, IMAGE).await?;
            let tag = Some(tag.to_owned());
            Ok(nanohost_core::PackageRef { repository: self.repository.clone(), tag, digest: None }
                .at(digest))
        })
    }

    /// Lists what refers to an image under the tag that stands in for the list, where the registry keeps
    /// none. What was listed of the same kind before gives way.
    async fn list_referrers(&self, packed: &Packed, digest: &Digest) -> anyhow::Result<()> {
        let tag = fallback(digest);
        let mut entries = match self.document(&format!("manifests/{tag}")).await? {
            Some(bytes) => index(&bytes)?.manifests,
            None => Vec::new(),
        };
        let kinds: Vec<_> = packed.referrers.iter().map(|referrer| referrer.entry().artifact_type).collect();
        entries.retain(|entry| !kinds.contains(&entry.artifact_type));
        entries.extend(packed.referrers.iter().map(super::artifact::Referrer::entry));
        entries.sort_by(|one, other| {
            (&one.artifact_type, one.digest).cmp(&(&other.artifact_type, other.digest))
        });
        self.send_document(&tag, &ImageIndex::new(entries).to_bytes(), INDEX).await?;
        Ok(())
    }

    /// Removes what refers to an image and is of the same kind as what was sent now, where the registry keeps
    /// lists: whoever fetches the package would not know which of two signatures to look at.
    async fn retire_referrers(&self, packed: &Packed, digest: &Digest) -> anyhow::Result<()> {
        let own: Vec<Descriptor> = packed.referrers.iter().map(super::artifact::Referrer::entry).collect();
        let same_kind = |entry: &Descriptor| own.iter().any(|own| own.artifact_type == entry.artifact_type);
        for entry in self.listed(digest).await?.iter().filter(|entry| same_kind(entry)) {
            if own.iter().any(|own| own.digest == entry.digest) {
                continue;
            }
            let url = self.url(&format!("manifests/sha256:{}", entry.digest))?;
            let response = self.send(MAX_ANSWER, &|| self.http.delete(url.clone())).await?;
            if !response.status().is_success() && response.status() != StatusCode::NOT_FOUND {
                let what = format!("sha256:{}, which this takes the place of, was not removed", entry.digest);
                return Err(self.refused(response, &what).await);
            }
        }
        Ok(())
    }

    /// Sends a document. Whether the registry lists it by itself among what refers to its subject.
    async fn send_document(
        &self,
        name: &str,
        bytes: &[u8],
        media_type: &'static str,
    ) -> anyhow::Result<bool> {
        let url = self.url(&format!("manifests/{name}"))?;
        let body = Bytes::copy_from_slice(bytes);
        let response = self
            .send(body.len() as u64, &|| {
                self.http.put(url.clone()).header(CONTENT_TYPE, media_type).body(body.clone())
            })
            .await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::OK => Ok(response.headers().contains_key("oci-subject")),
            _ => Err(self.refused(response, &format!("{name} was not taken")).await),
        }
    }

    async fn send_blob(&self, bytes: &[u8], what: &str) -> anyhow::Result<()> {
        let digest = Digest::of(bytes);
        let there = self.url(&format!("blobs/sha256:{digest}"))?;
        let response = self.send(0, &|| self.http.head(there.clone())).await?;
        // Some redirect to where the blob is: it is there.
        if response.status().is_success() || response.status().is_redirection() {
            return Ok(());
        }
        self.progress.stage(&format!("sending {what}: {} bytes", bytes.len()));
        let begin = self.url("blobs/uploads/")?;
        let response = self.send(0, &|| self.http.post(begin.clone()).header("content-length", "0")).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.refused(response, "an upload did not begin").await);
        }
        let mut place = self.location(&response)?;
        if !self.is_own(&place) {
            return Err(self.insecure(&format!("wants blobs to be sent to {}", origin(&place))));
        }
        place.query_pairs_mut().append_pair("digest", &format!("sha256:{digest}"));
        let body = Bytes::copy_from_slice(bytes);
        let put = || {
            let request = self.http.put(place.clone()).header(CONTENT_TYPE, "application/octet-stream");
            request.body(body.clone())
        };
        let response = self.send(bytes.len() as u64, &put).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT | StatusCode::OK => Ok(()),
            _ => Err(self.refused(response, &format!("{what} was not taken")).await),
        }
    }

    /// A manifest or an index; `None` where there is none of that name.
    async fn document(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let url = self.url(path)?;
        let response = self
            .send(MAX_DOCUMENT, &|| self.http.get(url.clone()).header(ACCEPT, format!("{IMAGE}, {INDEX}")))
            .await?;
        match response.status() {
            StatusCode::OK => Ok(Some(self.body(response, MAX_DOCUMENT, path).await?)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.refused(response, &format!("{path} was not given")).await),
        }
    }

    async fn fetch_blob(&self, blob: &Descriptor, bound: u64) -> anyhow::Result<Vec<u8>> {
        let path = format!("blobs/sha256:{}", blob.digest);
        let mut url = self.url(&path)?;
        for _ in 0..=MAX_REDIRECTS {
            let response = match self.is_own(&url) {
                true => self.send(bound, &|| self.http.get(url.clone())).await?,
                // Another host: it is told nothing but what is wanted.
                false => self.once(bound, self.http.get(url.clone())).await?,
            };
            match response.status() {
                StatusCode::OK => return self.body(response, bound, &path).await,
                status if status.is_redirection() => {
                    let next = self.location(&response)?;
                    if next.scheme() != "https" && !self.is_own(&next) {
                        return Err(
                            self.insecure(&format!("leads to {}, which is not encrypted", origin(&next)))
                        );
                    }
                    url = next;
                }
                StatusCode::NOT_FOUND => return Err(self.missing(&path)),
                _ => return Err(self.refused(response, &format!("{path} was not given")).await),
            }
        }
        Err(self.insecure(&format!("redirects {path} more than {MAX_REDIRECTS} times")))
    }

    async fn listed(&self, of: &Digest) -> anyhow::Result<Vec<Descriptor>> {
        let url = self.url(&format!("referrers/sha256:{of}"))?;
        let response = self.send(MAX_DOCUMENT, &|| self.http.get(url.clone()).header(ACCEPT, INDEX)).await?;
        let bytes = match response.status() {
            StatusCode::OK if response.headers().contains_key(LINK) => {
                return Err(invalid(format!(
                    "more refers to sha256:{of} than one answer of its registry holds"
                )));
            }
            StatusCode::OK => Some(self.body(response, MAX_DOCUMENT, "referrers").await?),
            // A registry that keeps no such lists.
            StatusCode::NOT_FOUND => self.document(&format!("manifests/{}", fallback(of))).await?,
            _ => return Err(self.refused(response, "what refers to the image was not given").await),
        };
        bytes.map_or(Ok(Vec::new()), |bytes| Ok(index(&bytes)?.manifests))
    }

    /// Sends a request that carries so many bytes, there or back: it and the whole answer end in time.
    async fn once(&self, bytes: u64, request: RequestBuilder) -> anyhow::Result<Response> {
        let request = request.timeout(self.patience.of(bytes));
        request.send().await.map_err(|error| self.unreachable(&error))
    }

    /// Sends a request as whoever the registry knows one as; where it asks who that is, once more.
    async fn send(&self, bytes: u64, make: &dyn Fn() -> RequestBuilder) -> anyhow::Result<Response> {
        let with = |request: RequestBuilder| match self.authorization.borrow().clone() {
            Some(header) => request.header(AUTHORIZATION, header),
            None => request,
        };
        let response = self.once(bytes, with(make())).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        match self.answer(response.headers()).await? {
            Some(header) => {
                *self.authorization.borrow_mut() = Some(header);
                self.once(bytes, with(make())).await
            }
            None => Ok(response),
        }
    }

    /// What answers a challenge; `None` where there is nothing to say.
    async fn answer(&self, headers: &HeaderMap) -> anyhow::Result<Option<HeaderValue>> {
        let asked = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|header| header.to_str().ok());
        let Some(challenge) = Challenge::of(asked) else { return Ok(None) };
        if self.credential.get().is_none() {
            let _ = self.credential.set(credentials::find(self.repository.registry())?);
        }
        let credential = self.credential.get().and_then(Option::as_ref);
        match (challenge, credential) {
            (Challenge::Basic, Some(Credential::Password { user, password })) => Ok(basic(user, password)),
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service }, credential) => {
                self.token(&realm, service.as_deref(), credential).await.map(Some)
            }
        }
    }

    /// A token from whoever gives them for this registry.
    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        credential: Option<&Credential>,
    ) -> anyhow::Result<HeaderValue> {
        let mut url: Url = match realm.parse() {
            Ok(url) => url,
            Err(_) => return Err(self.insecure("names nothing that could give tokens for it")),
        };
        if !is_realm_of(&url, &self.base) {
            return Err(self.insecure(&format!("wants one to log in at {}", origin(&url))));
        }
        let actions = match self.purpose {
            Use::Pull => "pull",
            Use::Push => "pull,push",
        };
        let scope = format!("repository:{}:{actions}", self.repository.name());
        let request = match credential {
            Some(Credential::Identity(token)) => {
                let mut form: Url = url.clone();
                form.set_query(None);
                form.query_pairs_mut()
                    .append_pair("grant_type", "refresh_token")
                    .append_pair("client_id", "nanohost")
                    .append_pair("service", service.unwrap_or_default())
                    .append_pair("scope", &scope)
                    .append_pair("refresh_token", token);
                let body = form.query().unwrap_or_default().to_owned();
                self.http.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
            }
            other => {
                service.into_iter().for_each(|service| {
                    url.query_pairs_mut().append_pair("service", service);
                });
                url.query_pairs_mut().append_pair("scope", &scope);
                let request = self.http.get(url);
                match other {
                    Some(Credential::Password { user, password }) => match basic(user, password) {
                        Some(header) => request.header(AUTHORIZATION, header),
                        None => request,
                    },
                    _ => request,
                }
            }
        };
        let response = self.once(MAX_ANSWER, request).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(response, "no token was given").await);
        }
        let body = Zeroizing::new(self.body(response, MAX_ANSWER, "a token").await?);
        let read: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let token = read["token"].as_str().or_else(|| read["access_token"].as_str());
        let header = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
        let mut header = header.ok_or_else(|| self.insecure("gives tokens that are none"))?;
        header.set_sensitive(true);
        Ok(header)
    }

    async fn body(&self, mut response: Response, bound: u64, what: &str) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut told = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if (bytes.len() + chunk.len()) as u64 > bound {
                return Err(super::mismatch(format!("{what} is longer than the {bound} bytes it should be")));
            }
            bytes.extend_from_slice(&chunk);
            if bytes.len() - told > TELLING {
                told = bytes.len();
                self.progress.detail(&format!("fetching: {told} of {bound} bytes"));
            }
        }
        Ok(bytes)
    }

    fn url(&self, path: &str) -> anyhow::Result<Url> {
        self.base.join(path).map_err(|error| self.insecure(&format!("has no address for {path}: {error}")))
    }

    fn location(&self, response: &Response) -> anyhow::Result<Url> {
        let said = response.headers().get(LOCATION).and_then(|header| header.to_str().ok());
        said.and_then(|said| response.url().join(said).ok())
            .ok_or_else(|| self.insecure("does not say where to go on"))
    }

    /// Whether that is the registry itself.
    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin() && url.username().is_empty() && url.password().is_none()
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        let begun = error.is_body() || error.is_decode();
        let (code, what) = match begun {
            true if error.is_timeout() => ("registry_interrupted", "the transfer was too slow, and was left"),
            true => ("registry_interrupted", "the transfer ended before its end"),
            false => ("registry_unreachable", "it cannot be reached"),
        };
        let message = format!("{}: {what}: {}", self.repository.registry(), chain(error));
        Failure::host(Diagnostic::error(code, message).help(
            "nothing of it was kept; try again when it is there, or bring the package along in a bundle: \
             `nanohost tool bundle`, --bundle",
        ))
    }

    fn missing(&self, what: &str) -> anyhow::Error {
        let message = format!("{} has no {what}", self.repository);
        Failure::usage(
            Diagnostic::error("package_not_found", message)
                .help("check the reference; a registry may also say so of what one may not see: log in"),
        )
    }

    fn insecure(&self, what: &str) -> anyhow::Error {
        let message = format!("the registry {} {what}", self.repository.registry());
        Failure::host(
            Diagnostic::error("registry_insecure", message).help(
                "nothing was told to anybody else; ask whoever runs the registry what it is set up to say",
            ),
        )
    }

    async fn refused(&self, response: Response, what: &str) -> anyhow::Error {
        let status = response.status();
        let registry = self.repository.registry();
        let message = format!("the registry {registry} answers {status}: {what}");
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Failure::host(Diagnostic::error("registry_refused", message).help(format!(
                    "log in: `docker login {registry}`, or whatever else writes Docker's configuration"
                )))
            }
            _ => {
                let said = self.body(response, MAX_ANSWER, "a complaint").await.unwrap_or_default();
                let said: serde_json::Value = serde_json::from_slice(&said).unwrap_or_default();
                let said = said["errors"][0]["message"].as_str().unwrap_or_default();
                let said: String = said.chars().take(200).flat_map(char::escape_debug).collect();
                let said = if said.is_empty() { said } else { format!(" ({said})") };
                Failure::host(
                    Diagnostic::error("registry_failed", format!("{message}{said}"))
                        .help("try again later, or ask whoever runs the registry"),
                )
            }
        }
    }
}

impl Source for Remote<'_> {
    fn image(&mut self, digest: &Digest) -> anyhow::Result<Vec<u8>> {
        let path = format!("manifests/sha256:{digest}");
        self.runtime.block_on(self.document(&path))?.ok_or_else(|| self.missing(&format!("sha256:{digest}")))
    }

    fn blob(&mut self, blob: &Descriptor, bound: u64) -> anyhow::Result<Vec<u8>> {
        self.runtime.block_on(self.fetch_blob(blob, bound))
    }

    fn referrers(&mut self, of: &Digest) -> anyhow::Result<Vec<Descriptor>> {
        self.runtime.block_on(self.listed(of))
    }
}

/// The tag under which referrers are listed where a registry keeps no lists of them.
fn fallback(digest: &Digest) -> String {
    format!("sha256-{digest}")
}

fn index(bytes: &[u8]) -> anyhow::Result<ImageIndex> {
    ImageIndex::read(bytes).map_err(|error| invalid(format!("the list of referrers: {error}")))
}

fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    use base64::Engine as _;
    let words = Zeroizing::new(format!("{user}:{password}"));
    let encoded = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(words.as_bytes()));
    let mut header = HeaderValue::from_str(&format!("Basic {}", &*encoded)).ok()?;
    header.set_sensitive(true);
    Some(header)
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn chain(error: &reqwest::Error) -> String {
    let mut words = String::new();
    // The error's own words hold the whole address, with what was said in it.
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        words = format!("{words}{}{error}", if words.is_empty() { "" } else { ": " });
        source = error.source();
    }
    if words.is_empty() { "no answer came".to_owned() } else { words }
}

#[cfg(test)]
mod tests;

//! The network as requests meet it: what names mean, and which certificates are believed. Knows no
//! rule: whoever asks has judged, or will judge, what comes back.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use wasmtime_wasi_http::Error;

/// Addresses of one name that are looked at; a name server can give thousands.
const MAX_ADDRESSES: usize = 16;

/// Turns names into addresses: the machine's own way, or a test's.
pub trait Resolver: Send + Sync {
    /// The addresses of `name`, which is in lower case and no address itself.
    fn resolve(&self, name: &str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;
}

/// What the machine's own configuration says, `/etc/hosts` included.
struct System;

impl Resolver for System {
    fn resolve(&self, name: &str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Where requests go out. Cloning shares it. No proxy is ever used, whatever the environment says.
#[derive(Clone)]
pub struct Network {
    resolver: Arc<dyn Resolver>,
    /// Made when the first https request is: a machine without certificates can do without.
    tls: Arc<OnceLock<Result<Arc<ClientConfig>, rustls::Error>>>,
    stand_in: Option<Arc<dyn StandIn>>,
}

/// Answers requests in place of the network: a test's.
pub trait StandIn: Send + Sync {
    /// What is answered to a request that a rule allowed, by its method and whole URL; `None`: nobody is there.
    fn answer(&self, request: &str) -> Option<StoodIn>;
}

/// An answer that came from no other host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoodIn {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// Certificates that nobody can be believed by.
#[derive(Debug, thiserror::Error)]
#[error("these are no certificates to believe servers by: {0}")]
pub struct CertificateError(rustls::Error);

impl Network {
    /// The machine's names, and the certificates that the machine believes, or those of
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    pub fn system() -> Self {
        Self { resolver: Arc::new(System), tls: Arc::default(), stand_in: None }
    }

    /// With other names.
    #[must_use]
    pub fn with_resolver(self, resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, ..self }
    }

    /// No network at all: whatever is asked, `stand_in` answers it. No name is looked up, so that none is
    /// refused for where it leads.
    #[must_use]
    pub fn with_stand_in(self, stand_in: Arc<dyn StandIn>) -> Self {
        Self { stand_in: Some(stand_in), ..self }
    }

    /// Who answers in place of the network.
    pub(super) fn stand_in(&self) -> Option<&Arc<dyn StandIn>> {
        self.stand_in.as_ref()
    }

    /// Believing servers by these certificates (DER) and no others.
    ///
    /// # Errors
    /// Where one is none.
    pub fn with_certificates(self, certificates: &[&[u8]]) -> Result<Self, CertificateError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(CertificateDer::from_slice(certificate).into_owned()).map_err(CertificateError)?;
        }
        let config = builder().map_err(CertificateError)?.with_root_certificates(roots);
        let tls = OnceLock::from(Ok(finish(config.with_no_client_auth())));
        Ok(Self { tls: Arc::new(tls), ..self })
    }

    pub(super) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Error> {
        let failed = || Error::DnsError { rcode: None, info_code: None };
        let mut addresses = self.resolver.resolve(name).await.map_err(|_| failed())?;
        addresses.truncate(MAX_ADDRESSES);
        if addresses.is_empty() { Err(failed()) } else { Ok(addresses) }
    }

    pub(super) fn tls(&self) -> Result<Arc<ClientConfig>, Error> {
        let made =
            self.tls.get_or_init(|| Ok(finish(builder()?.with_platform_verifier()?.with_no_client_auth())));
        made.clone().map_err(|_| Error::ConfigurationError)
    }
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

fn finish(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

//! The broker's side of TLS: certificates by name, client certificates, and reading them anew while it runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use crate::config::{ClientCertificates, TlsOptions};

/// What is wrong with the files that `[tls]` names.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{setting}: cannot read {}: {reason}. It has to be a PEM file", path.display())]
    Read { setting: &'static str, path: PathBuf, reason: String },
    #[error("tls.certificates: there is no certificate in {}; it has to be a PEM file", .0.display())]
    NoCertificate(PathBuf),
    #[error("the key {} does not belong to the certificate {}: {reason}", key.display(), certificate.display())]
    WrongKey { certificate: PathBuf, key: PathBuf, reason: rustls::Error },
    #[error("tls.client_ca: {} cannot be used: {reason}", path.display())]
    ClientCa { path: PathBuf, reason: String },
    #[error("TLS cannot be set up: {0}")]
    Other(#[from] rustls::Error),
}

/// The TLS configuration as of now.
pub struct Tls {
    options: TlsOptions,
    /// Held to copy or replace it.
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    pub fn load(options: &TlsOptions) -> Result<Tls, TlsError> {
        let current = RwLock::new(Arc::new(server_config(options)?));
        Ok(Tls { options: options.clone(), current })
    }

    /// For a new connection.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.read().clone()
    }

    /// Reads the files again. On an error everything stays as it is.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(server_config(&self.options)?);
        *self.current.write() = fresh;
        Ok(())
    }
}

fn server_config(options: &TlsOptions) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let certificates = options.certificates.iter().zip(&options.keys);
    let certificates = certificates
        .map(|(certificate, key)| certified_key(certificate, key, &provider))
        .collect::<Result<_, _>>()?;
    let verifier = client_verifier(options, &provider)?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(ByName(certificates)));
    Ok(config)
}

fn certified_key(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates("tls.certificates", certificate)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(certificate.to_owned()));
    }
    let der = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("tls.keys", key, error))?;
    let certified = CertifiedKey::from_der(chain, der, provider);
    certified.map(Arc::new).map_err(|reason| TlsError::WrongKey {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        reason,
    })
}

fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|error| unreadable(setting, path, error))
}

fn unreadable(setting: &'static str, path: &Path, error: rustls::pki_types::pem::Error) -> TlsError {
    TlsError::Read { setting, path: path.to_owned(), reason: error.to_string() }
}

fn client_verifier(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let path = &options.client_ca;
    if path.as_os_str().is_empty() {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let unusable = |reason: String| TlsError::ClientCa { path: path.clone(), reason };
    let mut roots = RootCertStore::empty();
    for authority in certificates("tls.client_ca", path)? {
        roots.add(authority).map_err(|error| unusable(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = match options.client_certificates {
        ClientCertificates::Optional => builder.allow_unauthenticated(),
        ClientCertificates::Required => builder,
    };
    builder.build().map_err(|error| unusable(error.to_string()))
}

/// Picks the certificate that has the name the client asks for (SNI), else the first.
#[derive(Debug)]
struct ByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let named = wanted.and_then(|name| self.0.iter().find(|certified| has_name(certified, &name)));
        named.or(self.0.first()).cloned()
    }
}

fn has_name(certified: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = certified.end_entity_cert().and_then(ParsedCertificate::try_from);
    parsed.is_ok_and(|parsed| rustls::client::verify_server_name(&parsed, name).is_ok())
}

//! The `[tls]` section of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ConfigError;

/// Certificates and what is asked of clients, for the listeners of `listen_tls` and `listen_wss`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsOptions {
    /// PEM files, each a certificate with its chain. The first is for clients that ask for no name, or for one that
    /// no certificate has.
    pub certificates: Vec<PathBuf>,
    /// PEM files, one for each certificate.
    pub keys: Vec<PathBuf>,
    /// A PEM file with the authorities whose client certificates are accepted; empty: no client certificates.
    pub client_ca: PathBuf,
    pub client_certificates: ClientCertificates,
    /// Where SASL EXTERNAL finds the user's name in the client's certificate.
    pub login_from: LoginFrom,
    pub login_san_type: SanType,
    /// Which of the alternative names of that type; 0 is the first.
    pub login_san_index: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    #[default]
    Optional,
    Required,
}

/// Names as in RabbitMQ's `ssl_cert_login_from`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginFrom {
    #[default]
    CommonName,
    DistinguishedName,
    SubjectAlternativeName,
}

/// Kinds of subject alternative names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SanType {
    #[default]
    Dns,
    Ip,
    Email,
    Uri,
}

impl TlsOptions {
    pub(super) fn check(&self, is_needed: bool) -> Result<(), ConfigError> {
        if self.certificates.len() != self.keys.len() {
            return Err(ConfigError::invalid(
                "tls.keys",
                format!(
                    "there are {} for {} certificates; give one key for each, in the same order",
                    self.keys.len(),
                    self.certificates.len()
                ),
            ));
        }
        if is_needed && self.certificates.is_empty() {
            return Err(ConfigError::invalid(
                "tls.certificates",
                "it is empty, and listen_tls or listen_wss needs one; give a PEM file here and its key in tls.keys",
            ));
        }
        if self.client_certificates == ClientCertificates::Required && self.client_ca.as_os_str().is_empty() {
            return Err(ConfigError::invalid(
                "tls.client_ca",
                "it is empty, and tls.client_certificates is \"required\"; give the PEM file of the authorities \
                 whose certificates are good",
            ));
        }
        Ok(())
    }
}

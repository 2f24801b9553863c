//! Certificates for a broker, from an authority of the test's own.

use std::fmt::Display;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// A folder with a certificate for `localhost`, its key, and the authority that signed it.
pub struct Certificates {
    folder: TempDir,
}

impl Default for Certificates {
    fn default() -> Certificates {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        let certificates = Certificates { folder };
        certificates.renew();
        certificates
    }
}

impl Certificates {
    /// Puts a new certificate, by a new authority, in the place of the old one.
    pub fn renew(&self) {
        let mut authority = made(CertificateParams::new([]));
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = made(CertifiedIssuer::self_signed(authority, made(KeyPair::generate())));
        let key = made(KeyPair::generate());
        let server = made(CertificateParams::new(["localhost".to_owned()]));
        let certificate = made(server.signed_by(&key, &issuer));
        self.write("ca.pem", &issuer.pem());
        self.write("server.pem", &certificate.pem());
        self.write("server.key", &key.serialize_pem());
    }

    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Lets a broker listen with TLS on a port of the kernel's choice.
    pub fn broker_config(&self) -> String {
        let folder = self.folder.path().display();
        format!(
            "listen_tls = ['127.0.0.1:0']\n[tls]\ncertificates = ['{folder}/server.pem']\nkeys = ['{folder}/server.key']\n"
        )
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }
}

fn made<T>(result: Result<T, impl Display>) -> T {
    result.unwrap_or_else(|error| panic!("cannot make a certificate: {error}"))
}

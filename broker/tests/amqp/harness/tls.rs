//! Certificates made for a test, and clients over TLS.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use broker::config::{Config, Protocol};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use super::{Client, Login, Socket, TestBroker};

/// A certificate authority, and a folder for what it signs.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// A certificate and its key, as PEM files.
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
    der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

impl Default for Authority {
    fn default() -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, dir }
    }
}

impl Authority {
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate for these host names, with that common name.
    pub fn sign(&self, common_name: &str, hosts: &[&str]) -> Identity {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.issuer).unwrap();
        let file = |kind: &str| self.dir.path().join(format!("{common_name}.{kind}.pem"));
        let identity = Identity {
            certificate: file("certificate"),
            key: file("key"),
            der: signed.der().clone(),
            key_der: key.serialize_der(),
        };
        std::fs::write(&identity.certificate, signed.pem()).unwrap();
        std::fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }

    /// How a client that trusts this authority connects.
    pub fn client_config(&self, identity: Option<&Identity>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = PrivateKeyDer::try_from(identity.key_der.clone()).unwrap();
                builder.with_client_auth_cert(vec![identity.der.clone()], key).unwrap()
            }
        }
    }
}

impl Identity {
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

pub type TlsSocket = StreamOwned<ClientConnection, TcpStream>;

impl Socket for TlsSocket {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}

/// Listens with TLS only, with this certificate.
pub fn tls_listener(config: &mut Config, identity: &Identity) {
    config.listen_tls = std::mem::take(&mut config.listen);
    config.tls.certificates = vec![identity.certificate.clone()];
    config.tls.keys = vec![identity.key.clone()];
}

/// A socket that has done nothing yet but connect; the handshake comes with the first bytes.
pub fn tls_socket(addr: SocketAddr, name: &str, config: ClientConfig) -> TlsSocket {
    tls_over(TcpStream::connect(addr).unwrap(), name, config)
}

pub fn tls_over(socket: TcpStream, name: &str, config: ClientConfig) -> TlsSocket {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(session, socket)
}

impl TestBroker {
    /// An open connection of `guest` by TLS to `localhost`, with channel 1 open.
    pub fn connect_by_tls(&self, authority: &Authority) -> Client {
        let addr = self.addr_of(Protocol::Amqps);
        let mut client = Client::on(tls_socket(addr, "localhost", authority.client_config(None)));
        client.finish_opening(&Login::default());
        client.open_channel(1);
        client
    }
}

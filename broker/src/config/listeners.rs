//! Where the broker listens, and for what.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Config, ConfigError};

/// What a listener's clients speak below AMQP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Amqp,
    Amqps,
    Ws,
    Wss,
}

impl Protocol {
    pub fn uri_scheme(self) -> &'static str {
        match self {
            Protocol::Amqp => "amqp",
            Protocol::Amqps => "amqps",
            Protocol::Ws => "ws",
            Protocol::Wss => "wss",
        }
    }

    pub fn uses_tls(self) -> bool {
        matches!(self, Protocol::Amqps | Protocol::Wss)
    }

    pub fn uses_web_socket(self) -> bool {
        matches!(self, Protocol::Ws | Protocol::Wss)
    }
}

/// One address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    pub protocol: Protocol,
    pub address: SocketAddr,
    /// Every connection begins with a PROXY protocol header.
    pub expects_proxy: bool,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.protocol.uri_scheme(), self.address)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebSocketOptions {
    /// Pages of other sites that may connect, besides those of this machine; `*` is every page.
    pub origins: Vec<String>,
    pub message_bytes_max: usize,
}

impl Default for WebSocketOptions {
    fn default() -> WebSocketOptions {
        WebSocketOptions { origins: Vec::new(), message_bytes_max: 1 << 20 }
    }
}

impl Config {
    /// All of them, plain ones first.
    pub fn listeners(&self) -> impl Iterator<Item = Listener> {
        let of = |protocol, addresses: &[SocketAddr]| {
            addresses.iter().map(move |&address| (protocol, address)).collect::<Vec<_>>()
        };
        let all = [
            of(Protocol::Amqp, &self.listen),
            of(Protocol::Amqps, &self.listen_tls),
            of(Protocol::Ws, &self.listen_ws),
            of(Protocol::Wss, &self.listen_wss),
        ];
        all.into_iter().flatten().map(|(protocol, address)| Listener {
            protocol,
            address,
            expects_proxy: self.proxy_protocol.contains(&address),
        })
    }

    pub(super) fn check_listeners(&self) -> Result<(), ConfigError> {
        if self.listeners().next().is_none() {
            return Err(ConfigError::invalid(
                "listen",
                "it is empty, and so are listen_tls, listen_ws and listen_wss; give an address such as 127.0.0.1:5672",
            ));
        }
        let is_listened_on = |address| self.listeners().any(|listener| listener.address == address);
        match self.proxy_protocol.iter().find(|&&address| !is_listened_on(address)) {
            None => Ok(()),
            Some(address) => Err(ConfigError::invalid(
                "proxy_protocol",
                format!(
                    "nothing listens on {address}; give an address of listen, listen_tls, listen_ws or listen_wss"
                ),
            )),
        }
    }
}

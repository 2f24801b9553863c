//! Letting people in: signing in at a broker, making accounts, and starting a broker where there is none.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use shared::client::{ConnectError, Options, connect};

use crate::embedded::Embedded;
use crate::session::SessionConfig;
use crate::store::state_dir;
use crate::tui::{Choice, Gate, Refusal, sentence};

const TIMEOUT: Duration = Duration::from_secs(10);

/// A broker that was started here ends with it.
pub struct Door {
    data_dir: PathBuf,
    embedded: Option<Embedded>,
    /// Who was let in last: with an account that is there.
    let_in: Option<Choice>,
}

impl Door {
    pub fn new(data_dir: PathBuf) -> Self {
        Door { data_dir, embedded: None, let_in: None }
    }

    /// The session of somebody who came through.
    pub fn session(&self, choice: Choice) -> SessionConfig {
        let has_account = self.let_in.as_ref() == Some(&choice);
        let Choice { broker, sign_up } = choice;
        let sign_up = sign_up.filter(|_| !has_account);
        SessionConfig { broker, sign_up, data_dir: self.data_dir.clone() }
    }

    pub async fn close(self) -> Result<(), String> {
        match self.embedded {
            Some(embedded) => embedded.shutdown().await.map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }
}

impl Gate for Door {
    async fn enter(&mut self, choice: &Choice) -> Result<(), Refusal> {
        let mut options = Options::new("chat-tui", env!("CARGO_PKG_VERSION"));
        options.timeout = TIMEOUT;
        options.sign_up.clone_from(&choice.sign_up);
        match connect(&choice.broker, &options).await {
            Ok(link) => {
                // The session makes a connection of its own; how this one ends is of no interest.
                let _ = link.close().await;
                self.let_in = Some(choice.clone());
                Ok(())
            }
            Err(error) => Err(refusal(error)),
        }
    }

    async fn start_broker(&mut self, choice: &Choice) -> Result<String, String> {
        if self.embedded.is_some() {
            return Err("A broker was started here already.".to_owned());
        }
        let address = local_address(&choice.broker.address())?;
        let failed = |error: crate::embedded::EmbeddedError| format!("No broker was started: {error}.");
        let mut embedded = Embedded::kept(&self.data_dir, address).await.map_err(failed)?;
        embedded.start_friend_server().await.map_err(failed)?;
        self.embedded = Some(embedded);
        Ok(format!(
            "A broker runs at {address} now, as long as this Warren does. F2 makes an account, Enter goes on."
        ))
    }

    fn knows(&self, choice: &Choice) -> bool {
        let broker = &choice.broker;
        state_dir(&self.data_dir, &broker.address(), broker.vhost(), broker.user())
            .is_ok_and(|folder| folder.exists())
    }
}

fn refusal(error: ConnectError) -> Refusal {
    match error {
        ConnectError::Unreachable { address, reason } => Refusal {
            reason: format!(
                "There is no broker at {address} ({reason}). Correct the address, or start one there with the program \"broker\"."
            ),
            no_broker: true,
        },
        error @ ConnectError::Timeout { .. } => {
            Refusal { reason: sentence(&error.to_string(), None), no_broker: true }
        }
        ConnectError::LoginRefused { user, .. } => Refusal {
            reason: format!(
                "Wrong password, or there is no account {user} yet. Try again; F2 makes an account."
            ),
            no_broker: false,
        },
        ConnectError::SignUpRefused { user, text } => {
            // Before the dash stands what programs go by.
            let why = text.split_once(" - ").map_or(text.as_str(), |(_, why)| why).trim_end_matches('.');
            Refusal {
                reason: format!("The broker does not make the account {user}: {why}."),
                no_broker: false,
            }
        }
        error => Refusal { reason: sentence(&error.to_string(), None), no_broker: false },
    }
}

/// Where a broker of this process can listen: on this machine, for it alone.
fn local_address(address: &str) -> Result<SocketAddr, String> {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "5672"));
    let host = match host.trim_matches(['[', ']']) {
        "localhost" => Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
        host => host.parse().ok().filter(IpAddr::is_loopback),
    };
    match (host, port.parse()) {
        (Some(host), Ok(port)) => Ok(SocketAddr::new(host, port)),
        _ => Err(format!(
            "A broker can be started on this machine only, not at {address}: write 127.0.0.1:5672 as the broker."
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_started_for_this_machine_alone() {
        for (given, want) in
            [("localhost:5672", "127.0.0.1:5672"), ("127.0.0.2:1", "127.0.0.2:1"), ("[::1]:2", "[::1]:2")]
        {
            assert_eq!(local_address(given).unwrap().to_string(), want);
        }
        for given in ["example.org:5672", "0.0.0.0:5672", "10.0.0.1:5672"] {
            assert!(local_address(given).unwrap_err().contains("this machine only"), "{given}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_sentences() {
        let address = "example.org:5671".to_owned();
        let told = |error| refusal(error).reason;
        let text = "this port is for TLS: connect with amqps://".to_owned();
        let unwelcome = told(ConnectError::Unwelcome { address: address.clone(), text });
        assert!(unwelcome.starts_with("The broker at example.org:5671 does not take"), "{unwelcome}");
        let late = told(ConnectError::Timeout { address, after: Duration::from_secs(9) });
        assert_eq!(late, "The broker at example.org:5671 did not answer within 9 s.");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn strangers_make_an_account_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut door = Door::new(folder.path().to_owned());
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let choice = |password: &str, sign_up| Choice {
            broker: format!("amqp://{free}")
                .parse::<shared::client::BrokerUri>()
                .unwrap()
                .with_login("alice", password),
            sign_up,
        };
        let alice = choice("s3cret word", None);
        let refused = door.enter(&alice).await.unwrap_err();
        assert!(refused.no_broker && refused.reason.contains("no broker"), "{refused:?}");
        let told = door.start_broker(&alice).await.unwrap();
        assert!(told.contains(&free.to_string()), "{told}");
        assert!(door.start_broker(&alice).await.is_err());
        let refused = door.enter(&alice).await.unwrap_err();
        assert!(!refused.no_broker && refused.reason.contains("F2 makes"), "{refused:?}");
        let new = choice("s3cret word", Some(shared::client::SignUp::Open));
        door.enter(&new).await.unwrap();
        assert_eq!(door.session(new).sign_up, None);
        door.enter(&alice).await.unwrap();
        assert!(!door.knows(&alice));
        door.close().await.unwrap();
        // What was made is kept.
        let mut door = Door::new(folder.path().to_owned());
        door.start_broker(&alice).await.unwrap();
        door.enter(&alice).await.unwrap();
        door.close().await.unwrap();
    }
}

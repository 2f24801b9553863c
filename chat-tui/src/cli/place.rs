//! Which user at which broker, and where everything is.

use std::path::PathBuf;

use shared::client::{SignUp, UriError};

use super::account::{self, BrokerArgument};
use super::remembered::Remembered;
use super::{Arguments, Failure};
use crate::config::Account;
use crate::session::SessionConfig;
use crate::store::{default_data_dir, state_dir};

const DEFAULT_BROKER: &str = "amqp://127.0.0.1:5672/";

/// Which user at which broker, and where the local state is.
pub(super) struct Place {
    pub(super) broker: BrokerArgument,
    pub(super) user: Option<String>,
    pub(super) data_dir: PathBuf,
    password_command: Vec<String>,
}

impl Place {
    /// From the arguments and the environment, the config file, and what was used last, in this order.
    pub(super) fn new(arguments: &Arguments, account: Account) -> Result<Place, Failure> {
        let data_dir = data_dir(arguments)?;
        let last = Remembered::load(&data_dir).unwrap_or_default();
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        let uri = arguments.broker.clone().or(said(account.broker)).or(said(last.broker));
        let uri = uri.as_deref().unwrap_or(DEFAULT_BROKER);
        let mut broker: BrokerArgument = uri.parse().map_err(|error: UriError| error.to_string())?;
        if let Some(file) = &arguments.ca_file {
            broker.uri = broker.uri.with_ca_file(file).map_err(|error| error.to_string())?;
        }
        let user = arguments.user.clone().or_else(|| match broker.has_user() {
            true => None,
            false => said(account.user).or(said(last.user)),
        });
        Ok(Place { broker, user, data_dir, password_command: account.password_command })
    }

    /// Whether nobody has to be asked for name or password.
    pub(super) fn login_is_known(&self) -> bool {
        let has_password = std::env::var_os("WARREN_PASSWORD").is_some()
            || self.broker.has_password()
            || !self.password_command.is_empty();
        has_password && (self.user.is_some() || self.broker.has_user())
    }

    pub(super) fn whoami(&self) -> Result<String, Failure> {
        account::user(&self.broker, self.user.as_deref())
    }

    /// The folder with the local state.
    pub(super) fn folder(&self) -> Result<PathBuf, Failure> {
        let (uri, user) = (&self.broker.uri, account::user(&self.broker, self.user.as_deref())?);
        state_dir(&self.data_dir, &uri.address(), uri.vhost(), &user).map_err(|error| error.to_string())
    }

    pub(super) fn session(&self, sign_up: Option<SignUp>) -> Result<SessionConfig, Failure> {
        let broker =
            account::login(&self.broker, self.user.as_deref(), &self.password_command, sign_up.is_some())?;
        Ok(SessionConfig { broker, sign_up, data_dir: self.data_dir.clone() })
    }
}

fn data_dir(arguments: &Arguments) -> Result<PathBuf, Failure> {
    match &arguments.data_dir {
        Some(data_dir) => Ok(data_dir.clone()),
        None => default_data_dir().map_err(|error| error.to_string()),
    }
}

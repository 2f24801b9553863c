//! Who signed in last, and where: what the next start begins with. Never the password.

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};
use shared::client::BrokerUri;

const FILE: &str = "last-account.toml";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    pub user: String,
    /// Without a login.
    pub broker: String,
}

impl Remembered {
    /// What is known in this folder; nothing if that cannot be read: it is only a convenience.
    pub fn load(data_dir: &Path) -> Option<Remembered> {
        toml::from_str(&fs::read_to_string(data_dir.join(FILE)).ok()?).ok()
    }

    pub fn of(broker: &BrokerUri) -> Remembered {
        Remembered { user: broker.user().to_owned(), broker: broker.without_login() }
    }

    /// Keeps it, whole or not at all.
    pub fn save(&self, data_dir: &Path) -> io::Result<()> {
        if Remembered::load(data_dir).as_ref() == Some(self) {
            return Ok(());
        }
        let text = toml::to_string(self).map_err(io::Error::other)?;
        fs::create_dir_all(data_dir)?;
        let file = tempfile::NamedTempFile::new_in(data_dir)?;
        fs::write(file.path(), text)?;
        file.persist(data_dir.join(FILE)).map_err(|error| error.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let broker: BrokerUri = "amqps://alice:s3cret@example.org:5673/chat".parse().unwrap();
        Remembered::of(&broker).save(folder.path()).unwrap();
        let kept = fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(!kept.contains("s3cret"), "{kept}");
        let found = Remembered::load(folder.path()).unwrap();
        assert_eq!((found.user.as_str(), found.broker.as_str()), ("alice", "amqps://example.org:5673/chat"));
        let again: BrokerUri = found.broker.parse().unwrap();
        assert_eq!(again.with_login("alice", "s3cret"), broker);
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Remembered::load(folder.path()), None);
        fs::write(folder.path().join(FILE), "user = ").unwrap();
        assert_eq!(Remembered::load(folder.path()), None);
    }
}

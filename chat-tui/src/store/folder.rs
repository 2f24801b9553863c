//! Where a user's state lives: `<data dir>/<broker>/<user>/`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::StoreError;

/// Longest folder name; file systems allow 255 bytes.
const NAME_BYTES_MAX: usize = 200;

/// `$XDG_DATA_HOME/warren`, usually `~/.local/share/warren`.
pub fn default_data_dir() -> Result<PathBuf, StoreError> {
    use etcetera::BaseStrategy;
    let strategy = etcetera::choose_base_strategy().map_err(|_| StoreError::NoHome)?;
    Ok(strategy.data_dir().join("warren"))
}

/// The folder of `user` at the broker `address` (`host:port`), in `vhost`. Distinct users and brokers get distinct
/// folders.
pub fn state_dir(data_dir: &Path, address: &str, vhost: &str, user: &str) -> Result<PathBuf, StoreError> {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let broker = format!("{}+{}+{}", escape(&host.to_ascii_lowercase()), escape(port), escape(vhost));
    let user = escape(user);
    if broker.len() > NAME_BYTES_MAX || user.len() > NAME_BYTES_MAX {
        return Err(StoreError::NameTooLong);
    }
    Ok(data_dir.join(broker).join(user))
}

/// Creates the folder, readable by its owner alone.
pub fn create_private(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
    }
    #[cfg(not(unix))]
    fs::create_dir_all(dir)
}

/// Keeps lower-case letters, digits, `-`, `_` and inner dots; every other byte becomes `%xx`. Upper-case letters are
/// escaped too, for file systems that do not tell `A` from `a`.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for (position, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => escaped.push(byte as char),
            b'.' if position > 0 => escaped.push('.'),
            _ => escaped.push_str(&format!("%{byte:02x}")),
        }
    }
    if escaped.is_empty() {
        // "" must not collapse two path components into one.
        escaped.push('%');
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_cannot_leave_the_data_folder_or_meet() {
        let mut seen = HashSet::new();
        for user in ["alice", "Alice", "a/b", "a%2fb", "..", ".", "", "a.b", "%", "ü", "a b", "a\0b", "con:1"]
        {
            let dir = state_dir(Path::new("/data"), "localhost:5672", "/", user).unwrap();
            assert_eq!(dir.components().count(), 4, "{user:?} became {dir:?}");
            assert!(dir.starts_with("/data/localhost+5672+%2f"));
            assert!(!dir.to_str().unwrap().contains(".."), "{user:?} became {dir:?}");
            assert!(seen.insert(dir.to_str().unwrap().to_lowercase()), "{user:?} shares {dir:?}");
        }
    }

    #[test]
    fn brokers_are_told_apart() {
        let dir = |address, vhost| state_dir(Path::new("/d"), address, vhost, "al").unwrap();
        let all = [dir("h:1", "/"), dir("h:1", ""), dir("h:2", "/"), dir("g:1", "/"), dir("[::1]:1", "/")];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert_eq!(dir("HOST:1", "/"), dir("host:1", "/"));
    }

    #[test]
    fn a_name_longer_than_a_folder_name_is_refused() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert!(matches!(state_dir(Path::new("/d"), "h:1", "/", &long), Err(StoreError::NameTooLong)));
    }
}

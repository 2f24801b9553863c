//! The secret that all workers of one broker share: it names the inboxes and the request queue.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use shared::topology::RequestQueue;
use thiserror::Error;
use uuid::Uuid;

const VERSION: u32 = 1;
const SECRET_BYTES: usize = 32;
const FILE_BYTES_MAX: u64 = 64 * 1024;
const HEADER: &str = "\
# The secret of the friend servers. Every worker of the same broker needs this very file.
# Who reads it can write to every inbox. Without it, everybody gets a new inbox and requests
# that wait in the old ones are lost. Keep a copy in a safe place.
";

/// `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    key: [u8; SECRET_BYTES],
    request_queue: RequestQueue,
}

#[derive(Debug, Error)]
pub enum SecretError {
    #[error("the secret file {} cannot be {action}: {error}", .path.display())]
    Io { path: PathBuf, action: &'static str, error: io::Error },
    #[error(
        "the secret file {} may be read by others (mode {mode:03o}). If nobody has read it yet, run \
         `chmod 600 {}`; otherwise replace it",
        .path.display(), .path.display()
    )]
    Permissions { path: PathBuf, mode: u32 },
    #[error(
        "the secret file {} is damaged: {reason}. Restore it from a copy; if there is none, remove it, \
         and all users get new inboxes",
        .path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    #[error("the system gives no random numbers for a secret: {0}")]
    Random(getrandom::Error),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    version: u32,
    secret: String,
    request_queue: String,
}

impl Secret {
    /// Reads the file, or makes one with a new secret. Workers that start at the same time with the
    /// same path agree on one secret.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        if let Some(secret) = Self::load(path)? {
            return Ok(secret);
        }
        Self::generate()?.store_unless_present(path)?;
        Self::load(path)?.ok_or_else(|| SecretError::Io {
            path: path.to_owned(),
            action: "read just after it was made",
            error: io::ErrorKind::NotFound.into(),
        })
    }

    /// The key for [`shared::topology::inbox_name`].
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    pub fn request_queue(&self) -> &RequestQueue {
        &self.request_queue
    }

    fn generate() -> Result<Self, SecretError> {
        let mut key = [0; SECRET_BYTES];
        getrandom::fill(&mut key).map_err(SecretError::Random)?;
        Ok(Self { key, request_queue: RequestQueue::generate() })
    }

    /// `None` if there is no file.
    fn load(path: &Path) -> Result<Option<Self>, SecretError> {
        let failed = |error| SecretError::Io { path: path.to_owned(), action: "read", error };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretError::Permissions { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        let damaged = |reason| SecretError::Damaged { path: path.to_owned(), reason };
        Self::parse(&text).map(Some).map_err(damaged)
    }

    fn parse(text: &str) -> Result<Self, String> {
        // The whole error would show the line it stumbled over, which may be the secret.
        let contents: Contents = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if contents.version != VERSION {
            return Err(format!("its version is {}, not {VERSION}", contents.version));
        }
        let key = HEXLOWER
            .decode(contents.secret.as_bytes())
            .ok()
            .and_then(|key| key.try_into().ok())
            .ok_or_else(|| format!("the secret is not {SECRET_BYTES} bytes in hexadecimal"))?;
        let request_queue = RequestQueue::parse(&contents.request_queue)
            .ok_or("the name of the request queue is not one that a friend server makes")?;
        Ok(Self { key, request_queue })
    }

    fn to_text(&self) -> String {
        let contents = Contents {
            version: VERSION,
            secret: HEXLOWER.encode(&self.key),
            request_queue: self.request_queue.as_str().to_owned(),
        };
        // A number and two strings without anything to escape.
        let Contents { version, secret, request_queue } = contents;
        format!("{HEADER}version = {version}\nsecret = \"{secret}\"\nrequest_queue = \"{request_queue}\"\n")
    }

    /// Writes a temporary file and links it to `path`, which fails if somebody else was first.
    fn store_unless_present(&self, path: &Path) -> Result<(), SecretError> {
        let failed = |error| SecretError::Io { path: path.to_owned(), action: "made", error };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let temporary = folder.join(format!(".secret-{}", Uuid::new_v4()));
        let linked = self.write_new(&temporary).and_then(|()| fs::hard_link(&temporary, path));
        let removed = fs::remove_file(&temporary);
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            linked => linked.map_err(failed)?,
        }
        removed.map_err(failed)?;
        // Without this, a power cut could take the name away after inboxes were named by the secret.
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    fn write_new(&self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(self.to_text().as_bytes())?;
        file.sync_all()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Barrier;

    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("warren/friend-server/secret.toml");
        (folder, path)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn the_first_start_makes_the_file_and_later_ones_read_it() {
        let (_folder, path) = folder();
        let secret = Secret::load_or_create(&path).unwrap();
        assert_eq!(Secret::load_or_create(&path).unwrap(), secret);
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary file is left: {left:?}");
        assert_ne!(secret.key(), [0; SECRET_BYTES]);
        let shown = format!("{secret:?}");
        assert!(!shown.contains(secret.request_queue().as_str()), "{shown}");
    }

    #[test]
    fn workers_that_start_together_agree() {
        for _ in 0..20 {
            let (_folder, path) = folder();
            let barrier = Barrier::new(8);
            let secrets: Vec<Secret> = std::thread::scope(|scope| {
                let start = || {
                    barrier.wait();
                    Secret::load_or_create(&path).unwrap()
                };
                let workers: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
                workers.into_iter().map(|worker| worker.join().unwrap()).collect()
            });
            assert!(secrets.iter().all(|secret| *secret == secrets[0]));
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_advice() {
        let (_folder, path) = folder();
        Secret::load_or_create(&path).unwrap();
        for loose in [0o640, 0o604, 0o610, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(loose)).unwrap();
            let error = Secret::load_or_create(&path).unwrap_err();
            assert!(matches!(error, SecretError::Permissions { mode, .. } if mode == loose));
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        Secret::load_or_create(&path).unwrap();
    }

    #[test]
    fn a_damaged_file_is_never_replaced() {
        let (_folder, path) = folder();
        let good = Secret::load_or_create(&path).unwrap().to_text();
        for (text, reason) in [
            (String::new(), "missing field `version`"),
            (good.replace("version = 1", "version = 2"), "version is 2"),
            (good.replace("secret = \"", "secret = \"zz"), "hexadecimal"),
            (good.replace("friends.", "friend."), "request queue"),
            (good[..good.len() - 60].to_owned(), ""),
        ] {
            fs::write(&path, &text).unwrap();
            let error = Secret::load_or_create(&path).unwrap_err();
            assert!(matches!(error, SecretError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
            let secret = good.lines().find(|line| line.starts_with("secret")).unwrap();
            assert!(!error.to_string().contains(&secret[10..40]), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Secret::load_or_create(&file.path().join("x/secret.toml")).unwrap_err();
        assert!(error.to_string().contains("secret.toml"), "{error}");
    }
}

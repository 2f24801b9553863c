//! Password hashes: argon2id, as PHC strings; and those of RabbitMQ that were imported, until they are replaced.
//!
//! A check costs tens of milliseconds and 19 MiB on purpose. So checks run on blocking threads, only so many at once
//! ([`Passwords::slot`]), and a password that was right is remembered as a [`Proof`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::rabbit_hash::RabbitHash;

/// What one check costs. The default is OWASP's for argon2id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub memory_kib: u32,
    pub iterations: u32,
    pub lanes: u32,
}

impl Default for Cost {
    fn default() -> Cost {
        Cost { memory_kib: 19 * 1024, iterations: 2, lanes: 1 }
    }
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("the system's random number generator failed; nothing can be kept secret without it")]
    Random,
    #[error("a stored password hash cannot be read: {0}. Set the user's password again")]
    BadHash(password_hash::Error),
    #[error("a password cannot be hashed: {0}")]
    Hash(password_hash::Error),
    #[error("the check of a password was aborted because the broker is shutting down")]
    Aborted,
}

/// Hashes and checks passwords.
#[derive(Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    /// A hash no password has, for users that do not exist: refusing them takes as long.
    nobody: Arc<str>,
    /// Of this process alone.
    proof_key: Hmac<Sha256>,
    slots: Arc<Semaphore>,
    done: Arc<AtomicU64>,
}

/// Permission to run one hash or check. Held until the blocking thread is done, also when nobody waits any more, and
/// then by whoever waited, so that the next in the queue finds the outcome recorded.
pub struct Slot(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// That a password was found right: a keyed hash of user, password and stored hash. Worthless outside this process.
#[derive(Clone, Copy)]
pub struct Proof([u8; 32]);

impl Passwords {
    /// `checks_at_once_max` bounds memory (times [`Cost::memory_kib`]) and processor use; 0: as many as there are
    /// processors.
    pub fn new(cost: Cost, checks_at_once_max: usize) -> Result<Passwords, PasswordError> {
        let slots = match checks_at_once_max {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n.min(Semaphore::MAX_PERMITS),
        };
        let params = Params::new(cost.memory_kib, cost.iterations, cost.lanes, None)
            .map_err(|e| PasswordError::Hash(e.into()))?;
        let key = password_hash::try_generate_salt().map_err(|_| PasswordError::Random)?;
        let proof_key = Hmac::new_from_slice(&key).map_err(|_| PasswordError::Random)?;
        let nobody = format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            cost.memory_kib,
            cost.iterations,
            cost.lanes,
            "A".repeat(22),
            "A".repeat(43),
        );
        Ok(Passwords {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            nobody: nobody.into(),
            proof_key,
            slots: Arc::new(Semaphore::new(slots)),
            done: Arc::default(),
        })
    }

    /// Hashes and checks done.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits for its turn, in the order of asking. Cancel safe.
    pub async fn slot(&self) -> Slot {
        match self.slots.clone().acquire_owned().await {
            Ok(permit) => Slot(permit),
            // Nothing closes the semaphore.
            Err(_) => std::future::pending().await,
        }
    }

    /// The PHC string of a password, with a new salt.
    pub async fn hash(&self, slot: Slot, password: Vec<u8>) -> Result<String, PasswordError> {
        let this = self.clone();
        let (hash, _) = blocking(slot, move || this.hash_blocking(&password)).await?;
        Ok(hash)
    }

    pub fn hash_blocking(&self, password: &[u8]) -> Result<String, PasswordError> {
        self.done.fetch_add(1, Ordering::Relaxed);
        let hash: PasswordHash = self.argon2.hash_password(password).map_err(PasswordError::Hash)?;
        Ok(hash.to_string())
    }

    /// Whether `hash` is that of `password`. `None`, for a user that does not exist or has no password, takes as
    /// long and is never right.
    pub async fn verify(
        &self,
        slot: Slot,
        password: Vec<u8>,
        hash: Option<Arc<str>>,
    ) -> Result<(bool, Slot), PasswordError> {
        let this = self.clone();
        blocking(slot, move || {
            let Some(hash) = hash else {
                this.verify_blocking(&password, &this.nobody)?;
                return Ok(false);
            };
            match RabbitHash::stored(&hash) {
                Some(imported) => {
                    // Its own check takes no time, and would tell who has an account.
                    this.verify_blocking(&password, &this.nobody)?;
                    Ok(imported.is_of(&password))
                }
                None => this.verify_blocking(&password, &hash),
            }
        })
        .await
    }

    /// Whether a password that was found right should be hashed anew: what is stored is not as slow as it could be.
    pub fn is_outdated(hash: &str) -> bool {
        RabbitHash::stored(hash).is_some()
    }

    fn verify_blocking(&self, password: &[u8], hash: &str) -> Result<bool, PasswordError> {
        self.done.fetch_add(1, Ordering::Relaxed);
        let hash = PasswordHash::new(hash).map_err(|e| PasswordError::BadHash(e.into()))?;
        match self.argon2.verify_password(password, &hash) {
            Ok(()) => Ok(true),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(e) => Err(PasswordError::BadHash(e)),
        }
    }

    pub fn proof(&self, user: &str, password: &[u8], hash: &str) -> Proof {
        Proof(self.mac(user, password, hash).finalize().into_bytes().into())
    }

    /// Whether `proof` is of exactly these. Takes the same time wherever they differ.
    pub fn proves(&self, proof: &Proof, user: &str, password: &[u8], hash: &str) -> bool {
        self.mac(user, password, hash).verify_slice(&proof.0).is_ok()
    }

    fn mac(&self, user: &str, password: &[u8], hash: &str) -> Hmac<Sha256> {
        let mut mac = self.proof_key.clone();
        // With their lengths, or "ab" + "c" would be "a" + "bc".
        for part in [user.as_bytes(), password, hash.as_bytes()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

/// Whether a hash is one that this broker makes, and not one of RabbitMQ's.
pub fn is_own_hash(hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| hash.algorithm.as_str().starts_with("argon2"))
}

async fn blocking<T: Send + 'static>(
    slot: Slot,
    work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
) -> Result<(T, Slot), PasswordError> {
    let task = tokio::task::spawn_blocking(move || Ok((work()?, slot)));
    task.await.unwrap_or(Err(PasswordError::Aborted))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 8, iterations: 1, lanes: 1 };

    fn passwords() -> Passwords {
        Passwords::new(CHEAP, 2).unwrap()
    }

    async fn verify(passwords: &Passwords, password: &[u8], hash: Option<&str>) -> bool {
        passwords.verify(passwords.slot().await, password.to_vec(), hash.map(Into::into)).await.unwrap().0
    }

    #[tokio::test]
    async fn a_hash_verifies_its_own_password_alone() {
        let passwords = passwords();
        let hash = passwords.hash(passwords.slot().await, b"correct horse".to_vec()).await.unwrap();
        assert!(verify(&passwords, b"correct horse", Some(&hash)).await);
        assert!(!verify(&passwords, b"correct horsf", Some(&hash)).await);
        assert!(!verify(&passwords, b"", Some(&hash)).await);
        assert_ne!(
            hash,
            passwords.hash_blocking(b"correct horse").unwrap(),
            "each hash has a salt of its own"
        );
    }

    #[tokio::test]
    async fn the_default_cost_is_what_the_hash_says() {
        let passwords = Passwords::new(Cost::default(), 0).unwrap();
        let hash = passwords.hash_blocking(b"x").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        // A hash made at another cost is checked at its own.
        let cheap = super::tests::passwords().hash_blocking(b"x").unwrap();
        assert!(verify(&passwords, b"x", Some(&cheap)).await);
    }

    #[tokio::test]
    async fn nobody_has_a_hash_of_the_same_cost_that_no_password_fits() {
        let passwords = passwords();
        let nobody = PasswordHash::new(&passwords.nobody).unwrap();
        let somebody = passwords.hash_blocking(b"x").unwrap();
        let somebody = PasswordHash::new(&somebody).unwrap();
        assert_eq!(nobody.params, somebody.params);
        assert_eq!(nobody.algorithm, somebody.algorithm);
        assert_eq!(nobody.version, somebody.version);
        assert_eq!(nobody.salt.map(|s| s.len()), somebody.salt.map(|s| s.len()));
        assert_eq!(nobody.hash.map(|h| h.len()), somebody.hash.map(|h| h.len()));
        assert!(!verify(&passwords, b"x", None).await);
    }

    #[tokio::test]
    async fn a_broken_hash_is_an_error_and_not_a_refusal() {
        let passwords = passwords();
        for broken in
            ["", "plain text", "$argon2id$v=19$m=8,t=1,p=1", "$scrypt$ln=1,r=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"]
        {
            let result = passwords.verify(passwords.slot().await, b"x".to_vec(), Some(broken.into())).await;
            assert!(!matches!(result, Ok((true, _))), "{broken}");
        }
        let result = passwords.verify(passwords.slot().await, b"x".to_vec(), Some("plain".into())).await;
        assert!(matches!(result, Err(PasswordError::BadHash(_))));
    }

    #[test]
    fn a_proof_is_of_user_password_and_hash_together() {
        let passwords = passwords();
        let proof = passwords.proof("alice", b"secret", "$hash");
        assert!(passwords.proves(&proof, "alice", b"secret", "$hash"));
        for (user, password, hash) in [
            ("alicf", b"secret".as_slice(), "$hash"),
            ("alice", b"secreu", "$hash"),
            ("alice", b"secret", "$hasi"),
            ("alices", b"ecret", "$hash"),
            ("alice", b"secret$", "hash"),
        ] {
            assert!(!passwords.proves(&proof, user, password, hash), "{user} {hash}");
        }
        let other_process = super::tests::passwords();
        assert!(!other_process.proves(&proof, "alice", b"secret", "$hash"));
    }

    #[tokio::test]
    async fn only_so_many_checks_run_at_once() {
        let passwords = Passwords::new(CHEAP, 2).unwrap();
        let first = passwords.slot().await;
        let _second = passwords.slot().await;
        let mut third = std::pin::pin!(passwords.slot());
        assert!(futures_poll(third.as_mut()).await.is_none());
        drop(first);
        third.await;
    }

    /// What one poll yields.
    async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match future.as_mut().poll(context) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}

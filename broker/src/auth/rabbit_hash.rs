//! Password hashes as RabbitMQ stores them: a salt of four bytes, then SHA-2 of salt and password. They come with
//! imported definitions, are checked like any other, and give way to argon2id with the next login that succeeds. Pure.

use std::fmt;

use data_encoding::BASE64;
use sha2::{Digest, Sha256, Sha512};

const SALT_BYTES: usize = 4;

/// Why a hash from a file of definitions was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RabbitHashError {
    #[error(
        "the hashing algorithm '{0}' is not known; there are {SHA256} and {SHA512}. Have the user's password set \
         again where the file is from, or give it as \"password\" in place of the hash",
        SHA256 = Algorithm::Sha256.module(), SHA512 = Algorithm::Sha512.module()
    )]
    Algorithm(String),
    #[error("the password hash is not a salt and a hash of {} in base64", .0.module())]
    Malformed(Algorithm),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    const ALL: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

    /// As files of definitions name it.
    pub fn module(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "rabbit_password_hashing_sha256",
            Algorithm::Sha512 => "rabbit_password_hashing_sha512",
        }
    }

    /// What a hash begins with that is stored here.
    fn prefix(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "$rabbit-sha256$",
            Algorithm::Sha512 => "$rabbit-sha512$",
        }
    }

    fn hash(self, salt: &[u8], password: &[u8]) -> Vec<u8> {
        match self {
            Algorithm::Sha256 => Sha256::new().chain_update(salt).chain_update(password).finalize().to_vec(),
            Algorithm::Sha512 => Sha512::new().chain_update(salt).chain_update(password).finalize().to_vec(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RabbitHash {
    algorithm: Algorithm,
    salt_and_hash: Vec<u8>,
}

impl RabbitHash {
    /// As a file of definitions has it: the algorithm's module, and salt and hash in base64.
    pub fn imported(module: &str, base64: &str) -> Result<RabbitHash, RabbitHashError> {
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.module() == module);
        let algorithm = algorithm.ok_or_else(|| RabbitHashError::Algorithm(module.to_owned()))?;
        RabbitHash::decoded(algorithm, base64).ok_or(RabbitHashError::Malformed(algorithm))
    }

    /// As it is stored here (see `Display`); `None` for what is no hash of RabbitMQ's.
    pub fn stored(text: &str) -> Option<RabbitHash> {
        Algorithm::ALL
            .into_iter()
            .find_map(|algorithm| RabbitHash::decoded(algorithm, text.strip_prefix(algorithm.prefix())?))
    }

    fn decoded(algorithm: Algorithm, base64: &str) -> Option<RabbitHash> {
        let salt_and_hash = BASE64.decode(base64.as_bytes()).ok()?;
        let bytes = SALT_BYTES + algorithm.hash(&[], &[]).len();
        (salt_and_hash.len() == bytes).then_some(RabbitHash { algorithm, salt_and_hash })
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn base64(&self) -> String {
        BASE64.encode(&self.salt_and_hash)
    }

    /// Takes the same time wherever they differ.
    pub fn is_of(&self, password: &[u8]) -> bool {
        let (salt, expected) = self.salt_and_hash.split_at(SALT_BYTES);
        let hash = self.algorithm.hash(salt, password);
        hash.iter().zip(expected).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
    }
}

impl fmt::Display for RabbitHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.algorithm.prefix(), self.base64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `secret`, out of RabbitMQ 3.10.8's `export_definitions`.
    const SECRET: &str = "y/bt/tiUa7qdBlkXhTry1EKZwd+M8Wbdy/IuOca61MHGdUrY";

    #[test]
    fn a_hash_out_of_rabbitmq_is_checked() {
        let hash = RabbitHash::imported("rabbit_password_hashing_sha256", SECRET).expect("a hash");
        assert!(hash.is_of(b"secret"));
        assert!(!hash.is_of(b"Secret") && !hash.is_of(b""));
        assert_eq!(RabbitHash::stored(&hash.to_string()), Some(hash.clone()));
        assert_eq!((hash.algorithm(), hash.base64()), (Algorithm::Sha256, SECRET.to_owned()));
    }

    #[test]
    fn sha_512_is_checked_too() {
        let salt_and_hash = [&[1, 2, 3, 4][..], &Algorithm::Sha512.hash(&[1, 2, 3, 4], b"secret")].concat();
        let base64 = BASE64.encode(&salt_and_hash);
        let hash = RabbitHash::imported("rabbit_password_hashing_sha512", &base64).expect("a hash");
        assert!(hash.is_of(b"secret") && !hash.is_of(b"secret "));
        assert_eq!(RabbitHash::stored(&hash.to_string()), Some(hash));
    }

    #[test]
    fn what_cannot_be_checked_is_refused() {
        let error = RabbitHash::imported("rabbit_password_hashing_md5", SECRET).expect_err("md5").to_string();
        assert!(error.contains(
            "'rabbit_password_hashing_md5' is not known; there are rabbit_password_hashing_sha256"
        ));
        for (module, text) in [
            ("rabbit_password_hashing_sha512", SECRET),
            ("rabbit_password_hashing_sha256", ""),
            ("rabbit_password_hashing_sha256", "y/bt"),
            ("rabbit_password_hashing_sha256", "?"),
        ] {
            assert!(
                matches!(RabbitHash::imported(module, text), Err(RabbitHashError::Malformed(_))),
                "{text}"
            );
        }
        assert_eq!(RabbitHash::stored("$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"), None);
        assert_eq!(RabbitHash::stored("$rabbit-sha256$"), None);
    }
}

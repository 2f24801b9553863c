//! One user, as a connection holds it.

use std::sync::Arc;

use parking_lot::Mutex;

use super::password::{Passwords, Proof};
use crate::capacity::Capacity;
use crate::definitions::UserRow;

/// The tag of users that may do everything, also to what is not theirs.
pub const ADMINISTRATOR: &str = "administrator";
/// The tag of users whose messages may carry any `user-id`.
pub const IMPERSONATOR: &str = "impersonator";

/// A user at one moment: a change of password or tags makes a new `User`, and the proof of the old password goes with
/// the old one.
pub struct User {
    name: String,
    /// Empty: no login with a password.
    password_hash: Arc<str>,
    tags: Vec<String>,
    /// The same for all versions of one account, and no other: a name may be deleted and made again.
    account: Arc<Account>,
    /// The same for all versions with one password, however it is hashed.
    password: Arc<Password>,
    /// Set by the last login with the right password. Held for a copy; a leaf in the lock order.
    proof: Mutex<Option<Proof>>,
}

/// Which password it is, without saying it.
#[derive(Default)]
struct Password;

/// What an account has in use, and how much it may.
#[derive(Default)]
struct Account {
    connections: Arc<Capacity>,
    channels: Arc<Capacity>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("tags", &self.tags).finish_non_exhaustive()
    }
}

impl User {
    pub fn new(row: UserRow) -> User {
        User {
            name: row.name,
            password_hash: row.password_hash.into(),
            tags: row.tags,
            account: Arc::default(),
            password: Arc::default(),
            proof: Mutex::new(None),
        }
    }

    /// The account with another password or other tags.
    pub(super) fn changed(&self, row: UserRow) -> User {
        match *row.password_hash == *self.password_hash {
            true => self.hashed_anew(row),
            false => User { account: self.account.clone(), ..User::new(row) },
        }
    }

    /// The account with the same password, whatever its hash.
    pub(super) fn hashed_anew(&self, row: UserRow) -> User {
        User { account: self.account.clone(), password: self.password.clone(), ..User::new(row) }
    }

    /// Whether the password is the same, of the same account.
    pub fn has_same_password(&self, other: &User) -> bool {
        self.is_same_account(other) && Arc::ptr_eq(&self.password, &other.password)
    }

    /// Whether both are versions of one account, and not only of the same name.
    pub fn is_same_account(&self, other: &User) -> bool {
        Arc::ptr_eq(&self.account, &other.account)
    }

    /// Open connections.
    pub fn connections(&self) -> &Arc<Capacity> {
        &self.account.connections
    }

    /// Open channels, on all connections.
    pub fn channels(&self) -> &Arc<Capacity> {
        &self.account.channels
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// May publish in others' names (`user-id`).
    pub fn is_impersonator(&self) -> bool {
        self.tags.iter().any(|tag| tag == IMPERSONATOR)
    }

    pub fn is_administrator(&self) -> bool {
        self.tags.iter().any(|tag| tag == ADMINISTRATOR)
    }

    pub(super) fn password_hash(&self) -> Option<&Arc<str>> {
        (!self.password_hash.is_empty()).then_some(&self.password_hash)
    }

    pub(super) fn row(&self) -> UserRow {
        UserRow {
            name: self.name.clone(),
            password_hash: self.password_hash.to_string(),
            tags: self.tags.clone(),
        }
    }

    /// Whether this password was found right before. Microseconds; `false` says nothing.
    pub(super) fn is_proven(&self, passwords: &Passwords, password: &[u8]) -> bool {
        let proof = *self.proof.lock();
        proof.is_some_and(|proof| passwords.proves(&proof, &self.name, password, &self.password_hash))
    }

    pub(super) fn set_proven(&self, passwords: &Passwords, password: &[u8]) {
        let proof = passwords.proof(&self.name, password, &self.password_hash);
        *self.proof.lock() = Some(proof);
    }
}

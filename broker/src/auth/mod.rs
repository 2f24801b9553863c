//! Who may log in, and what they may do: users, permissions, sign-up.
//!
//! `mechanism`, `permission`, `sign_up` and `throttle` are pure. [`Authority`] holds the users in memory and writes
//! changes through [`Definitions`].
//!
//! Against guessing:
//! - A password check is slow on purpose, and only so many run at once. A user that does not exist costs the same.
//! - Five failures of one address with one user name are free; after that each further one doubles a pause from one
//!   second to a minute. During the pause that address cannot log in with that name, not even with the right
//!   password. Fifteen minutes without a failure forget it.
//! - Fifty failures of one address, whatever the names, do the same to the whole address. Loopback is exempt from
//!   this one: all services of the machine share it.
//! - Sign-up attempts have an hourly quota for each address. A wrong invite token counts as a failed login.
//!
//! An address is an IPv4 address or an IPv6 /64.

mod admin;
pub mod certificate;
mod error;
pub mod mechanism;
mod options;
mod password;
pub mod permission;
mod rabbit_hash;
mod seed;
pub mod sign_up;
#[cfg(test)]
mod tests;
mod throttle;
pub mod topic;
mod user;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

pub use admin::{NewPassword, ReservedName, check_user_name};
pub use certificate::{CertificateError, CertificateFacts};
pub use error::{AuthError, LoadError, RefusedReason, UserError};
pub use mechanism::{EXTERNAL, PASSWORD_MECHANISMS};
pub use options::{AuthOptions, OpenFor, PlainWithoutTls, Profile, SignUpMode, SignUpOptions};
pub use password::{Cost, PasswordError, is_own_hash};
pub use permission::{Access, Pattern, PatternError, Permission};
pub use rabbit_hash::{RabbitHash, RabbitHashError};
pub use sign_up::{SignUp, SignUpError, TokenError};
pub(crate) use throttle::PeerKey;
pub use topic::TopicPermissions;
pub use user::{ADMINISTRATOR, User};

use crate::definitions::{Change, Definitions, PermissionRow, Snapshot, TopicPermissionRow};
use mechanism::{Credentials, MechanismError};
use password::Passwords;
use sign_up::SignUpRules;
use throttle::{Backoff, BackoffPolicy, Quota};
use topic::TopicPermission;

/// The vhost whose permissions a new user gets.
pub const DEFAULT_VHOST: &str = "/";

const LOGIN_BACKOFF: BackoffPolicy = BackoffPolicy {
    free: 5,
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
    forget: Duration::from_secs(15 * 60),
    keys_max: 10_000,
};

const PEER_BACKOFF: BackoffPolicy = BackoffPolicy { free: 50, ..LOGIN_BACKOFF };

/// A login waits for the end of a pause that is no longer than this, and is refused during a longer one. So who failed
/// a few times and then gets it right is let in, a little later, as by a broker without pauses; well below
/// `limits.handshake_timeout_s` and what clients wait for.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// The users and their permissions.
pub struct Authority {
    definitions: Definitions,
    options: AuthOptions,
    profile: Permission,
    sign_up_rules: SignUpRules,
    passwords: Passwords,
    /// Held for a look-up, or for a change and its submission to the definitions; no other lock of ours is taken
    /// under it.
    state: RwLock<State>,
    /// Counts changes of `state`.
    revision: AtomicU64,
    /// Held for a look-up.
    limits: Mutex<Limits>,
}

#[derive(Default)]
struct State {
    users: HashMap<String, Arc<User>>,
    /// By user, then vhost.
    permissions: HashMap<String, HashMap<String, Arc<Permission>>>,
    /// By user, then vhost; few users have any.
    topics: HashMap<String, HashMap<String, Arc<TopicPermissions>>>,
    /// Names that no new account gets; as often as it was asked for.
    reserved: Vec<String>,
}

struct Limits {
    logins: Backoff<(PeerKey, String)>,
    peers: Backoff<PeerKey>,
    sign_ups: Quota<PeerKey>,
}

impl Authority {
    /// The users of the snapshot. Where there is neither a user nor a vhost yet, first makes vhost `/` and the user
    /// `guest` with password `guest`, tag administrator and all permissions, and adds them to `snapshot`; unless
    /// `options.starts_empty`.
    ///
    /// Blocks while that password is hashed.
    pub fn load(
        snapshot: &mut Snapshot,
        definitions: Definitions,
        options: AuthOptions,
    ) -> Result<Authority, LoadError> {
        let profile = &options.sign_up.profile;
        let profile =
            Permission::new(&profile.configure, &profile.write, &profile.read, Some(&profile.publish_keys))?;
        warn_of_unanchored(&profile, "of auth.sign_up.profile");
        let passwords = Passwords::new(options.password_cost, options.password_checks_at_once_max)?;
        if snapshot.vhosts.is_empty() && snapshot.users.is_empty() && !options.starts_empty {
            seed::seed(snapshot, &definitions, &passwords)?;
        }
        let limits = Limits {
            logins: Backoff::new(LOGIN_BACKOFF),
            peers: Backoff::new(PEER_BACKOFF),
            sign_ups: Quota::new(options.sign_up.per_hour_max, LOGIN_BACKOFF.keys_max),
        };
        Ok(Authority {
            definitions,
            profile,
            sign_up_rules: SignUpRules::new(&options.sign_up)?,
            options,
            passwords,
            state: RwLock::new(State::from_rows(snapshot)),
            revision: AtomicU64::new(1),
            limits: Mutex::new(limits),
        })
    }

    /// Changes with every change of a user or permission. Read it before what is cached under it.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    pub fn user(&self, name: &str) -> Option<Arc<User>> {
        self.state.read().users.get(name).cloned()
    }

    /// Whether the account a connection logged in to still exists. A new account of the same name is another one:
    /// a connection of the old one must not reach the new one's queues.
    pub fn is_current(&self, user: &User) -> bool {
        self.state.read().users.get(user.name()).is_some_and(|current| current.is_same_account(user))
    }

    /// Whether the user's password is still the one it was in this version.
    pub fn is_current_password(&self, user: &User) -> bool {
        self.state.read().users.get(user.name()).is_some_and(|current| current.has_same_password(user))
    }

    /// Password checks and hashes done since the start, each of them slow.
    pub fn password_checks(&self) -> u64 {
        self.passwords.done()
    }

    /// What the user may do in the vhost; `None`: not even open it.
    pub fn permission(&self, user: &str, vhost: &str) -> Option<Arc<Permission>> {
        self.state.read().permissions.get(user)?.get(vhost).cloned()
    }

    /// What the user may do with routing keys in the vhost; `None`: nothing was set.
    pub fn topics(&self, user: &str, vhost: &str) -> Option<Arc<TopicPermissions>> {
        self.state.read().topics.get(user)?.get(vhost).cloned()
    }

    /// Decides a login: the `response` to a SASL mechanism, from a peer. With `sign_up` it makes the account first,
    /// and returns only when it is durable.
    ///
    /// May wait for the password checks of others: put a timeout on it. Dropped half-way it leaves nothing behind,
    /// except that a sign-up may have made its account.
    pub async fn authenticate(
        &self,
        mechanism: &str,
        response: &[u8],
        peer: IpAddr,
        sign_up: Option<SignUp>,
    ) -> Result<Arc<User>, AuthError> {
        let credentials = mechanism::credentials(mechanism, response)?;
        match sign_up {
            None => self.log_in(credentials, peer).await,
            Some(wish) => self.sign_up(credentials, peer, wish).await,
        }
    }

    /// A login by certificate (SASL EXTERNAL): `name` is proven, and the user needs no password.
    pub fn authenticate_by_certificate(
        &self,
        name: Result<String, CertificateError>,
        identity: &[u8],
        peer: IpAddr,
    ) -> Result<Arc<User>, AuthError> {
        let name = name?;
        // No identity has a NUL (RFC 4422); some clients send nothing else.
        let names_somebody = identity.iter().any(|&octet| octet != 0);
        if names_somebody && identity != name.as_bytes() {
            return Err(MechanismError::OtherIdentity.into());
        }
        let Some(user) = self.user(&name) else {
            return Err(AuthError::Refused { user: name, reason: RefusedReason::NoSuchUser });
        };
        self.refuse_if_not_loopback(&user, peer)?;
        Ok(user)
    }

    /// Whether a password may travel on a connection from there.
    pub fn takes_passwords(&self, peer: IpAddr, is_encrypted: bool) -> bool {
        is_encrypted
            || self.options.plain_without_tls == PlainWithoutTls::All
            || peer.to_canonical().is_loopback()
    }

    async fn log_in(&self, credentials: Credentials, peer: IpAddr) -> Result<Arc<User>, AuthError> {
        self.wait_for_pause(&credentials.user, peer).await?;
        let user = match self.proven(&credentials) {
            Some(user) => user,
            None => self.check_password(credentials, peer).await?,
        };
        self.refuse_if_not_loopback(&user, peer)?;
        Ok(user)
    }

    fn proven(&self, credentials: &Credentials) -> Option<Arc<User>> {
        self.user(&credentials.user).filter(|user| user.is_proven(&self.passwords, &credentials.password))
    }

    async fn check_password(
        &self,
        Credentials { user: name, password }: Credentials,
        peer: IpAddr,
    ) -> Result<Arc<User>, AuthError> {
        let slot = self.passwords.slot().await;
        // While it waited for its turn others may have failed, or have proven the same password: a thousand
        // connections of one user cost one check, and a thousand guesses at once are no more than one by one.
        self.refuse_if_paused(&name, peer)?;
        let user = self.user(&name);
        if let Some(user) = &user
            && user.is_proven(&self.passwords, &password)
        {
            return Ok(user.clone());
        }
        let hash = user.as_ref().and_then(|user| user.password_hash()).cloned();
        let has_password = hash.is_some();
        let is_outdated = hash.as_ref().is_some_and(|hash| Passwords::is_outdated(hash));
        let (is_right, slot) = self.passwords.verify(slot, password.clone(), hash).await?;
        let reason = match user {
            // Not if it was deleted meanwhile: the name may be somebody else's by now.
            Some(user) if is_right && self.is_current(&user) => {
                let user = match is_outdated {
                    true => self.hash_anew(slot, user, &password).await,
                    false => user,
                };
                user.set_proven(&self.passwords, &password);
                self.limits.lock().logins.succeeded(&(peer.into(), name));
                return Ok(user);
            }
            Some(_) if !has_password => RefusedReason::NoPassword,
            Some(_) if !is_right => RefusedReason::WrongPassword,
            _ => RefusedReason::NoSuchUser,
        };
        self.count_failure(&name, peer);
        Err(AuthError::Refused { user: name, reason })
    }

    fn refuse_if_not_loopback(&self, user: &User, peer: IpAddr) -> Result<(), AuthError> {
        let loopback_only = self.options.loopback_users.iter().any(|name| name == user.name());
        if loopback_only && !peer.to_canonical().is_loopback() {
            let user = user.name().to_owned();
            return Err(AuthError::Refused { user, reason: RefusedReason::NotLoopback });
        }
        Ok(())
    }

    /// Waits once at most: all that waited for the same end may fail there.
    async fn wait_for_pause(&self, user: &str, peer: IpAddr) -> Result<(), AuthError> {
        match self.refuse_if_paused(user, peer) {
            Err(AuthError::Throttled { retry_after, .. }) if retry_after <= LONGEST_WAIT => {
                tokio::time::sleep(retry_after).await;
                self.refuse_if_paused(user, peer)
            }
            decided => decided,
        }
    }

    fn refuse_if_paused(&self, user: &str, peer: IpAddr) -> Result<(), AuthError> {
        let now = Instant::now().into_std();
        let limits = self.limits.lock();
        let key = (PeerKey::from(peer), user.to_owned());
        match limits.logins.pause(&key, now).max(limits.peers.pause(&key.0, now)) {
            None => Ok(()),
            Some(retry_after) => Err(AuthError::Throttled { user: key.1, retry_after }),
        }
    }

    fn count_failure(&self, user: &str, peer: IpAddr) {
        let now = Instant::now().into_std();
        let mut limits = self.limits.lock();
        limits.logins.failed((peer.into(), user.to_owned()), now);
        if !peer.to_canonical().is_loopback() {
            limits.peers.failed(peer.into(), now);
        }
    }

    async fn sign_up(
        &self,
        Credentials { user: name, password }: Credentials,
        peer: IpAddr,
        wish: SignUp,
    ) -> Result<Arc<User>, AuthError> {
        self.refuse_if_paused(&name, peer)?;
        if let Err(error) = self.sign_up_rules.admit(&wish, peer) {
            if matches!(error, SignUpError::BadToken) {
                self.count_failure(&name, peer);
            }
            return Err(error.into());
        }
        sign_up::check_name(&name)?;
        sign_up::check_password(&name, &password)?;
        let quota = self.limits.lock().sign_ups.take(peer.into(), Instant::now().into_std());
        quota.map_err(|retry_after| SignUpError::TooMany { retry_after })?;
        if self.state.read().is_taken(&name) {
            return Err(SignUpError::NameTaken { name }.into());
        }
        let slot = self.passwords.slot().await;
        let password_hash = self.passwords.hash(slot, password.clone()).await?;
        let user = self.create_from_profile(name, password_hash).await?;
        user.set_proven(&self.passwords, &password);
        Ok(user)
    }
}

impl State {
    /// Whether a new account must not have the name.
    fn is_taken(&self, name: &str) -> bool {
        self.users.contains_key(name) || self.reserved.iter().any(|reserved| reserved == name)
    }

    fn from_rows(snapshot: &Snapshot) -> State {
        let users = snapshot.users.iter().map(|row| (row.name.clone(), Arc::new(User::new(row.clone()))));
        let mut state = State { users: users.collect(), ..State::default() };
        for row in &snapshot.permissions {
            match permission_of(row) {
                Ok(permission) => state.set_permission(&row.user, &row.vhost, Arc::new(permission)),
                Err(e) => tracing::error!(
                    "user '{}' has no permissions in vhost '{}' until they are set again: {e}",
                    row.user,
                    row.vhost
                ),
            }
        }
        for row in &snapshot.topic_permissions {
            state.load_topic_permission(row);
        }
        for row in &snapshot.user_limits {
            if let Some(user) = state.users.get(&row.user) {
                user.connections().set_max(row.connections_max);
                user.channels().set_max(row.channels_max);
            }
        }
        state
    }

    /// One that cannot be read allows nothing.
    fn load_topic_permission(&mut self, row: &TopicPermissionRow) {
        let permission = TopicPermission::new(row.clone()).or_else(|e| {
            tracing::error!(
                "user '{}' may use no routing key on exchange '{}' in vhost '{}' until that is set again: {e}",
                row.user,
                row.exchange,
                row.vhost
            );
            TopicPermission::new(TopicPermissionRow { write: "^$".into(), read: "^$".into(), ..row.clone() })
        });
        if let Ok(permission) = permission {
            self.topics_mut(&row.user, &row.vhost).set(permission);
        }
    }

    fn topics_mut(&mut self, user: &str, vhost: &str) -> &mut TopicPermissions {
        let vhosts = self.topics.entry(user.to_owned()).or_default();
        Arc::make_mut(vhosts.entry(vhost.to_owned()).or_default())
    }

    fn set_permission(&mut self, user: &str, vhost: &str, permission: Arc<Permission>) {
        self.permissions.entry(user.to_owned()).or_default().insert(vhost.to_owned(), permission);
    }

    fn remove_permission(&mut self, user: &str, vhost: &str) {
        if let Some(vhosts) = self.permissions.get_mut(user) {
            vhosts.remove(vhost);
        }
    }
}

fn warn_of_unanchored(permission: &Permission, of: &str) {
    for (kind, pattern) in permission.unanchored() {
        tracing::warn!(
            "the {kind} pattern '{pattern}' {of} is unanchored: it matches in the middle of names too. Begin it with \
             ^ if that is not meant"
        );
    }
}

fn permission_of(row: &PermissionRow) -> Result<Permission, PatternError> {
    Permission::new(&row.configure, &row.write, &row.read, row.publish_keys.as_deref())
}

fn permission_row(user: &str, vhost: &str, permission: &Permission) -> PermissionRow {
    PermissionRow {
        user: user.to_owned(),
        vhost: vhost.to_owned(),
        configure: permission.configure.text().to_owned(),
        write: permission.write.text().to_owned(),
        read: permission.read.text().to_owned(),
        publish_keys: permission.publish_keys.as_ref().map(|pattern| pattern.text().to_owned()),
    }
}

//! Changes of users and permissions.
//!
//! Each is in force when its method returns, and durable once its ticket is committed.

use super::password::Slot;
use super::*;
use crate::definitions::{Ticket, UserLimitsRow, UserRow};

impl Authority {
    /// A new user without permissions. No rule for names but the protocol's: this is for operators.
    pub async fn add_user(&self, name: &str, password: &str, tags: Vec<String>) -> Result<Ticket, UserError> {
        check_user_name(name)?;
        if self.state.read().is_taken(name) {
            return Err(UserError::Exists(name.to_owned()));
        }
        let password_hash = self.hash(password).await?;
        let row = UserRow { name: name.to_owned(), password_hash, tags };
        let mut state = self.state.write();
        // Again: the hash took its time.
        if state.is_taken(name) {
            return Err(UserError::Exists(name.to_owned()));
        }
        state.users.insert(name.to_owned(), Arc::new(User::new(row.clone())));
        Ok(self.submit(Change::PutUser(row)))
    }

    /// Makes a user, or gives the one that is there this password and these tags. Connections stay open.
    pub async fn put_user(
        &self,
        name: &str,
        password: &NewPassword,
        tags: Vec<String>,
    ) -> Result<Ticket, UserError> {
        check_user_name(name)?;
        let password_hash = match password {
            NewPassword::Unchanged => None,
            NewPassword::Hash(hash) => Some(hash.clone()),
            NewPassword::Plain(password) => Some(self.hash(password).await?),
        };
        let mut state = self.state.write();
        let known = state.users.get(name).cloned();
        if known.is_none() && state.is_taken(name) {
            return Err(UserError::Exists(name.to_owned()));
        }
        let known_hash = || known.as_ref().map_or_else(String::new, |user| user.row().password_hash);
        let row =
            UserRow { name: name.to_owned(), password_hash: password_hash.unwrap_or_else(known_hash), tags };
        let user = match &known {
            Some(user) => user.changed(row.clone()),
            None => User::new(row.clone()),
        };
        state.users.insert(name.to_owned(), Arc::new(user));
        Ok(self.submit(Change::PutUser(row)))
    }

    /// Of all users, by name.
    pub fn user_rows(&self) -> Vec<UserRow> {
        self.list_users().iter().map(|user| user.row()).collect()
    }

    /// Keeps the name from being given to a new account as long as the guard lives: for as long as there is
    /// something of the old one's that a new one could reach.
    pub fn reserve_name(&self, name: &str) -> ReservedName<'_> {
        self.state.write().reserved.push(name.to_owned());
        ReservedName { authority: self, name: name.to_owned() }
    }

    /// The user's permissions go too. The caller deletes the user's queues, whose rows go with this ticket, and
    /// closes the user's connections ([`Authority::is_current`]): `Broker::delete_user` does.
    pub fn delete_user(&self, name: &str) -> Result<Ticket, UserError> {
        let mut state = self.state.write();
        if state.users.remove(name).is_none() {
            return Err(UserError::NoSuchUser(name.to_owned()));
        }
        state.permissions.remove(name);
        state.topics.remove(name);
        Ok(self.submit(Change::DeleteUser { name: name.to_owned() }))
    }

    pub async fn change_password(&self, name: &str, password: &str) -> Result<Ticket, UserError> {
        if self.user(name).is_none() {
            return Err(UserError::NoSuchUser(name.to_owned()));
        }
        let password_hash = self.hash(password).await?;
        self.replace_user(name, |row| row.password_hash = password_hash)
    }

    /// From now on no password is right.
    pub fn clear_password(&self, name: &str) -> Result<Ticket, UserError> {
        self.replace_user(name, |row| row.password_hash.clear())
    }

    pub fn set_tags(&self, name: &str, tags: Vec<String>) -> Result<Ticket, UserError> {
        self.replace_user(name, |row| row.tags = tags)
    }

    /// By name.
    pub fn list_users(&self) -> Vec<Arc<User>> {
        let mut users: Vec<_> = self.state.read().users.values().cloned().collect();
        users.sort_unstable_by(|a, b| a.name().cmp(b.name()));
        users
    }

    /// Replaces what the user may do in the vhost, which has to exist.
    pub fn set_permissions(
        &self,
        user: &str,
        vhost: &str,
        permission: Permission,
    ) -> Result<Ticket, UserError> {
        warn_of_unanchored(&permission, &format!("of user '{user}' in vhost '{vhost}'"));
        let row = permission_row(user, vhost, &permission);
        let mut state = self.state.write();
        if !state.users.contains_key(user) {
            return Err(UserError::NoSuchUser(user.to_owned()));
        }
        state.set_permission(user, vhost, Arc::new(permission));
        Ok(self.submit(Change::PutPermission(row)))
    }

    /// The user cannot open the vhost any more.
    pub fn clear_permissions(&self, user: &str, vhost: &str) -> Result<Ticket, UserError> {
        let mut state = self.state.write();
        if !state.users.contains_key(user) {
            return Err(UserError::NoSuchUser(user.to_owned()));
        }
        state.remove_permission(user, vhost);
        Ok(self.submit(Change::DeletePermission { user: user.to_owned(), vhost: vhost.to_owned() }))
    }

    /// By user and vhost.
    pub fn list_permissions(&self) -> Vec<PermissionRow> {
        let state = self.state.read();
        let mut rows: Vec<_> = state
            .permissions
            .iter()
            .flat_map(|(user, vhosts)| vhosts.iter().map(move |(vhost, p)| permission_row(user, vhost, p)))
            .collect();
        rows.sort_unstable();
        rows
    }

    /// Replaces what the user may do with routing keys on an exchange.
    pub fn set_topic_permission(&self, row: TopicPermissionRow) -> Result<Ticket, UserError> {
        let permission = TopicPermission::new(row.clone())?;
        let mut state = self.state.write();
        if !state.users.contains_key(&row.user) {
            return Err(UserError::NoSuchUser(row.user));
        }
        state.topics_mut(&row.user, &row.vhost).set(permission);
        Ok(self.submit(Change::PutTopicPermission(row)))
    }

    /// For one exchange or all: every routing key is allowed again.
    pub fn clear_topic_permissions(
        &self,
        user: &str,
        vhost: &str,
        exchange: Option<&str>,
    ) -> Result<Ticket, UserError> {
        let mut state = self.state.write();
        if !state.users.contains_key(user) {
            return Err(UserError::NoSuchUser(user.to_owned()));
        }
        state.topics_mut(user, vhost).clear(exchange);
        Ok(self.submit(Change::DeleteTopicPermissions {
            user: user.to_owned(),
            vhost: vhost.to_owned(),
            exchange: exchange.map(str::to_owned),
        }))
    }

    /// By user, vhost and exchange.
    pub fn list_topic_permissions(&self) -> Vec<TopicPermissionRow> {
        let state = self.state.read();
        let topics = state.topics.values().flat_map(HashMap::values);
        let mut rows: Vec<_> = topics.flat_map(|topics| topics.rows().cloned()).collect();
        rows.sort_unstable();
        rows
    }

    /// Changes how much the user may use: `change` gets what counts now.
    pub fn change_limits(
        &self,
        user: &str,
        change: impl FnOnce(&mut UserLimitsRow),
    ) -> Result<Ticket, UserError> {
        let state = self.state.write();
        let Some(account) = state.users.get(user) else {
            return Err(UserError::NoSuchUser(user.to_owned()));
        };
        let mut row = limits_of(account);
        change(&mut row);
        account.connections().set_max(row.connections_max);
        account.channels().set_max(row.channels_max);
        Ok(self.submit(Change::PutUserLimits(row)))
    }

    /// Of every user, also of those without any.
    pub fn list_limits(&self) -> Vec<UserLimitsRow> {
        self.list_users().iter().map(|user| limits_of(user)).collect()
    }

    /// To be called when a vhost is deleted; the rows go with the vhost's.
    pub fn forget_vhost(&self, vhost: &str) {
        let mut state = self.state.write();
        for vhosts in state.permissions.values_mut() {
            vhosts.remove(vhost);
        }
        for vhosts in state.topics.values_mut() {
            vhosts.remove(vhost);
        }
        self.changed();
    }

    /// A user with the permissions of the profile. Returns when both are durable; takes them back if they cannot be.
    pub(super) async fn create_from_profile(
        &self,
        name: String,
        password_hash: String,
    ) -> Result<Arc<User>, SignUpError> {
        let row = UserRow { name: name.clone(), password_hash, tags: Vec::new() };
        let user = Arc::new(User::new(row.clone()));
        let permission = permission_row(&name, DEFAULT_VHOST, &self.profile);
        let ticket = {
            let mut state = self.state.write();
            if state.is_taken(&name) {
                return Err(SignUpError::NameTaken { name });
            }
            state.users.insert(name.clone(), user.clone());
            state.set_permission(&name, DEFAULT_VHOST, Arc::new(self.profile.clone()));
            self.submit(Change::Batch(vec![Change::PutUser(row), Change::PutPermission(permission)]))
        };
        if let Err(error) = self.definitions.wait(ticket).await {
            self.take_back(&user);
            return Err(error.into());
        }
        Ok(user)
    }

    fn take_back(&self, user: &Arc<User>) {
        let mut state = self.state.write();
        if state.users.get(user.name()).is_some_and(|current| Arc::ptr_eq(current, user)) {
            state.users.remove(user.name());
            state.permissions.remove(user.name());
            state.topics.remove(user.name());
            self.changed();
        }
    }

    async fn hash(&self, password: &str) -> Result<String, UserError> {
        if password.is_empty() {
            return Err(UserError::EmptyPassword);
        }
        let slot = self.passwords.slot().await;
        Ok(self.passwords.hash(slot, password.into()).await?)
    }

    /// Replaces an imported hash by one of ours, now that the password is known. Nothing waits for it to be durable:
    /// the old one is as right.
    pub(super) async fn hash_anew(&self, slot: Slot, user: Arc<User>, password: &[u8]) -> Arc<User> {
        let password_hash = match self.passwords.hash(slot, password.to_vec()).await {
            Ok(password_hash) => password_hash,
            Err(error) => {
                tracing::warn!("the imported password hash of user '{}' stays: {error}", user.name());
                return user;
            }
        };
        let mut state = self.state.write();
        match state.users.get_mut(user.name()) {
            // Nobody has changed it meanwhile.
            Some(current) if Arc::ptr_eq(current, &user) => {
                let row = UserRow { password_hash, ..user.row() };
                *current = Arc::new(user.hashed_anew(row.clone()));
                let changed = current.clone();
                self.submit(Change::PutUser(row));
                changed
            }
            _ => user,
        }
    }

    fn replace_user(&self, name: &str, change: impl FnOnce(&mut UserRow)) -> Result<Ticket, UserError> {
        let mut state = self.state.write();
        let Some(user) = state.users.get_mut(name) else {
            return Err(UserError::NoSuchUser(name.to_owned()));
        };
        let mut row = user.row();
        change(&mut row);
        *user = Arc::new(user.changed(row.clone()));
        Ok(self.submit(Change::PutUser(row)))
    }

    /// Called with the state locked for writing, so that the rows change in the order memory does.
    fn submit(&self, change: Change) -> Ticket {
        self.changed();
        self.definitions.submit(change)
    }

    fn changed(&self) {
        self.revision.fetch_add(1, Ordering::Release);
    }
}

/// What becomes of the password of a user who is imported.
#[derive(Clone, PartialEq, Eq)]
pub enum NewPassword {
    /// Somebody new gets none.
    Unchanged,
    /// As it is stored; empty: no password is right.
    Hash(String),
    Plain(String),
}

/// As good as a secret.
impl std::fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NewPassword::Unchanged => "Unchanged",
            NewPassword::Hash(_) => "Hash",
            NewPassword::Plain(_) => "Plain",
        })
    }
}

/// What the protocol and logs can bear.
pub fn check_user_name(name: &str) -> Result<(), UserError> {
    let is_long = name.len() > mechanism::USER_NAME_BYTES_MAX;
    if name.is_empty() || is_long || name.contains(char::is_control) {
        return Err(UserError::BadName);
    }
    Ok(())
}

fn limits_of(user: &User) -> UserLimitsRow {
    UserLimitsRow {
        user: user.name().to_owned(),
        connections_max: user.connections().max(),
        channels_max: user.channels().max(),
    }
}

/// See [`Authority::reserve_name`].
pub struct ReservedName<'a> {
    authority: &'a Authority,
    name: String,
}

impl Drop for ReservedName<'_> {
    fn drop(&mut self) {
        let mut state = self.authority.state.write();
        if let Some(at) = state.reserved.iter().position(|name| *name == self.name) {
            state.reserved.swap_remove(at);
        }
    }
}

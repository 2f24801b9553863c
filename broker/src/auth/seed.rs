//! The first user of a new data folder.

use super::password::{PasswordError, Passwords};
use super::permission::Permission;
use super::user::ADMINISTRATOR;
use super::{DEFAULT_VHOST, permission_row};
use crate::definitions::{Change, Definitions, Snapshot, UserRow, VhostRow};

/// As every AMQP client expects to find it. The password is no secret, so by default (`auth.loopback_users`) this
/// user may log in from loopback alone.
const GUEST: &str = "guest";

/// Adds vhost `/` and `guest` to the snapshot, and stores them in one transaction. Nothing waits for it: a broker
/// that ends before it is durable starts with an empty folder once more.
pub fn seed(
    snapshot: &mut Snapshot,
    definitions: &Definitions,
    passwords: &Passwords,
) -> Result<(), PasswordError> {
    let vhost = VhostRow { description: "Default virtual host".to_owned(), ..VhostRow::named(DEFAULT_VHOST) };
    let user = UserRow {
        name: GUEST.to_owned(),
        password_hash: passwords.hash_blocking(GUEST.as_bytes())?,
        tags: vec![ADMINISTRATOR.to_owned()],
    };
    let permission = permission_row(GUEST, DEFAULT_VHOST, &Permission::full());
    definitions.submit(Change::Batch(vec![
        Change::PutVhost(vhost.clone()),
        Change::PutUser(user.clone()),
        Change::PutPermission(permission.clone()),
    ]));
    snapshot.vhosts.push(vhost);
    snapshot.users.push(user);
    snapshot.permissions.push(permission);
    tracing::info!(
        "new data folder: made vhost '/' and user 'guest' with password 'guest', for logins from this machine"
    );
    Ok(())
}

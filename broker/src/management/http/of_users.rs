//! `GET` of vhosts, users, and what they may do.

use std::sync::Arc;

use hyper::Response;

use crate::broker::Broker;
use crate::management::list::{limits, users};

use super::body::Body;
use super::listing::{Wanted, array, one};
use super::not_found;

pub async fn answer(broker: &Arc<Broker>, path: &[&str], wanted: Wanted) -> Response<Body> {
    let of = broker.clone();
    match *path {
        ["vhosts"] => array(users::API_VHOSTS, wanted.without_nulls(), move || users::vhosts(&of)).await,
        ["vhosts", vhost] => one(users::API_VHOSTS, &wanted.without_nulls(), broker.vhost(vhost).as_ref()),
        ["users"] => array(users::API_USERS, wanted, move || users::users(&of)).await,
        ["users", user] => one(users::API_USERS, &wanted, broker.authority.user(user).as_ref()),
        ["permissions"] => permissions(of, wanted, None, None).await,
        ["vhosts", vhost, "permissions"] if broker.vhost(vhost).is_some() => {
            permissions(of, wanted, Some(vhost), None).await
        }
        ["users", user, "permissions"] if broker.authority.user(user).is_some() => {
            permissions(of, wanted, None, Some(user)).await
        }
        ["permissions", vhost, user] => {
            let found = users::permission(broker, vhost, user);
            one(users::PERMISSIONS.columns, &wanted.without_nulls(), found.as_ref())
        }
        ["topic-permissions"] => topics(of, wanted, None, None).await,
        ["vhosts", vhost, "topic-permissions"] if broker.vhost(vhost).is_some() => {
            topics(of, wanted, Some(vhost), None).await
        }
        ["users", user, "topic-permissions"] if broker.authority.user(user).is_some() => {
            topics(of, wanted, None, Some(user)).await
        }
        ["topic-permissions", vhost, user] => topics(of, wanted, Some(vhost), Some(user)).await,
        ["vhost-limits"] => {
            array(limits::API_VHOSTS, wanted, move || {
                limits::vhosts(&of, None).collect::<Vec<_>>().into_iter()
            })
            .await
        }
        ["vhost-limits", vhost] => {
            let rows: Vec<_> = limits::vhosts(broker, Some(vhost)).collect();
            array(limits::API_VHOSTS, wanted, move || rows.into_iter()).await
        }
        ["user-limits"] => {
            array(limits::API_USERS, wanted, move || limits::users(&of, None).collect::<Vec<_>>().into_iter())
                .await
        }
        ["user-limits", user] => {
            let rows: Vec<_> = limits::users(broker, Some(user)).collect();
            array(limits::API_USERS, wanted, move || rows.into_iter()).await
        }
        _ => not_found(),
    }
}

async fn permissions(
    broker: Arc<Broker>,
    wanted: Wanted,
    vhost: Option<&str>,
    user: Option<&str>,
) -> Response<Body> {
    let is_of = is_of(vhost, user);
    let all = move || broker.authority.list_permissions().into_iter();
    let rows = move || all().filter(move |row| is_of(&row.vhost, &row.user));
    array(users::PERMISSIONS.columns, wanted.without_nulls(), rows).await
}

async fn topics(
    broker: Arc<Broker>,
    wanted: Wanted,
    vhost: Option<&str>,
    user: Option<&str>,
) -> Response<Body> {
    let is_of = is_of(vhost, user);
    let all = move || broker.authority.list_topic_permissions().into_iter();
    let rows = move || all().filter(move |row| is_of(&row.vhost, &row.user));
    array(limits::TOPICS.columns, wanted, rows).await
}

/// Whether something is of a vhost, of a user, or of any.
fn is_of(vhost: Option<&str>, user: Option<&str>) -> impl Fn(&str, &str) -> bool + Send + 'static {
    let (vhost, user) = (vhost.map(str::to_owned), user.map(str::to_owned));
    move |of_vhost, of_user| {
        vhost.as_ref().is_none_or(|vhost| vhost == of_vhost)
            && user.as_ref().is_none_or(|user| user == of_user)
    }
}

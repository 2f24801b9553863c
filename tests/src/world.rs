//! A broker, friend servers, and the people who use them.

use crate::{Broker, BrokerConfig, ChatUser, FriendServer};

pub struct World {
    pub friend_servers: Vec<FriendServer>,
    // Dropped last: the folders of all others are in its.
    pub broker: Broker,
}

impl World {
    /// One broker and one friend server.
    pub fn new() -> World {
        World::with_friend_servers(1)
    }

    pub fn with_friend_servers(count: usize) -> World {
        let broker = Broker::configured(&BrokerConfig::default());
        let friend_servers = (0..count).map(|_| FriendServer::start(&broker)).collect();
        World { friend_servers, broker }
    }

    pub fn user(&self, name: &str) -> ChatUser {
        ChatUser::signed_up(&self.broker, name)
    }

    pub fn users<const N: usize>(&self, names: [&str; N]) -> [ChatUser; N] {
        names.map(|name| self.user(name))
    }

    /// Two users who are friends.
    pub fn friends(&self, one: &str, other: &str) -> (ChatUser, ChatUser) {
        let (one, other) = (self.user(one), self.user(other));
        one.becomes_friend_of(&other);
        (one, other)
    }
}

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

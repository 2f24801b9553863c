//! Whether there is room for all that a file of definitions asks for: limits are not to be met in the middle.

use hashbrown::{HashMap, HashSet};

use crate::management::show;
use crate::vhost::{DestinationName, Topology, Vhost, predeclared_count};

use super::check::Checker;
use super::document::{BindingEntry, Document};
use super::import::is_bound;

/// What a vhost is to get.
#[derive(Default)]
struct New<'a> {
    queues: usize,
    /// Of queues, those that belong to a user.
    owned: HashMap<&'a str, usize>,
    exchanges: usize,
    /// They may be there already, or come twice.
    bindings: Vec<&'a BindingEntry>,
}

impl<'a> Checker<'a> {
    pub(super) fn room(&self, document: &'a Document, possible: &[bool]) {
        let limits = &self.broker.config.limits;
        for (vhost, new) in self.by_vhost(document, possible) {
            let known = self.broker.vhost(vhost);
            let here = |count: fn(&Topology) -> usize| known.as_ref().map_or(0, |known| count(&known.read()));
            let set = document
                .vhost_limits
                .iter()
                .rev()
                .find_map(|(_, of, limits)| limits[1].filter(|_| of == vhost));
            let set = set.unwrap_or_else(|| known.as_ref().and_then(|known| known.limits().queues_max));
            let queues_max = set.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
            let queues_max = queues_max.min(limits.queues_per_vhost_max);
            self.has_room("queue", vhost, new.queues, here(|topology| topology.queues.len()), queues_max);
            for (user, count) in new.owned {
                let owned = |known: &Vhost| known.read().owned.get(user).copied().unwrap_or(0);
                let (here, max) = (known.as_deref().map_or(0, owned), limits.owned_queues_per_user_max);
                if here + count > max {
                    self.findings.wrong(format!(
                        "queues: {count} new ones of user '{user}' beside {here} are more than the owned queue limit of \
                         vhost '{vhost}', which is {max}"
                    ));
                }
            }
            let exchanges = match &known {
                Some(known) => known.read().exchanges.len(),
                None => predeclared_count(),
            };
            self.has_room("exchange", vhost, new.exchanges, exchanges, limits.exchanges_per_vhost_max);
            let (bindings, max) = (here(Topology::binding_count), limits.bindings_per_vhost_max);
            // Which of them are new takes a while to say.
            if bindings + new.bindings.len() > max {
                let new = new_bindings(known.as_deref(), &new.bindings);
                self.has_room("binding", vhost, new, bindings, max);
            }
        }
    }

    fn by_vhost(&self, document: &'a Document, possible: &[bool]) -> HashMap<&'a str, New<'a>> {
        let mut new: HashMap<&str, New<'_>> = HashMap::new();
        for (&(vhost, name), &owner) in &self.queues {
            if self.broker.vhost(vhost).is_none_or(|vhost| vhost.queue(name).is_err()) {
                let new = new.entry(vhost).or_default();
                new.queues += 1;
                if let Some(owner) = owner {
                    *new.owned.entry(owner).or_default() += 1;
                }
            }
        }
        for (&(vhost, name), &(_, is_delayed)) in &self.exchanges {
            if self.broker.vhost(vhost).is_none_or(|vhost| vhost.exchange(name).is_err()) {
                let new = new.entry(vhost).or_default();
                new.exchanges += 1;
                // The one in which messages wait.
                new.queues += usize::from(is_delayed);
            }
        }
        for (binding, _) in document.bindings.iter().zip(possible).filter(|(_, possible)| **possible) {
            new.entry(&binding.vhost).or_default().bindings.push(binding);
        }
        new
    }

    fn has_room(&self, what: &str, vhost: &str, new: usize, here: usize, max: usize) {
        if new > 0 && here + new > max {
            self.findings.wrong(format!(
                "{what}s: {new} new ones beside {here} are more than the {what} limit of vhost '{vhost}', which is {max}"
            ));
        }
    }
}

fn new_bindings(vhost: Option<&Vhost>, wanted: &[&BindingEntry]) -> usize {
    let mut new: HashSet<(&str, &DestinationName, &str, String)> = HashSet::new();
    for entry in wanted {
        if vhost.is_none_or(|vhost| !is_bound(vhost, entry)) {
            let arguments = show::table(&entry.arguments).to_string();
            new.insert((&entry.source, &entry.destination, &entry.routing_key, arguments));
        }
    }
    new.len()
}

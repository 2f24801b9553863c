//! What has a name, by name. Pure.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::DefaultHashBuilder;

use crate::prefetch::prefetch_first;

/// Places to begin with; a power of two, as their number always is.
const PLACES_MIN: usize = 8;

/// A queue, for instance.
pub trait Named {
    fn name(&self) -> &str;
}

/// Open addressing, linear probing. Not a table of a library, for where a name would stand can be fetched ahead here. The
/// name itself stands in the value, its hash here: looking for another name touches no value, and neither does growing.
pub struct ByName<T> {
    /// At least a quarter of them empty.
    places: Box<[Option<Place<T>>]>,
    len: usize,
    hasher: DefaultHashBuilder,
}

struct Place<T> {
    hash: u64,
    value: Arc<T>,
}

impl<T> Default for ByName<T> {
    fn default() -> ByName<T> {
        ByName { places: Box::default(), len: 0, hasher: DefaultHashBuilder::default() }
    }
}

impl<T: Named> ByName<T> {
    /// What the others want of a name.
    #[inline]
    pub fn hash(&self, name: &[u8]) -> u64 {
        self.hasher.hash_one(name)
    }

    /// Has the place brought to the processor's cache where the value stands whose name has this hash.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        // Nothing is there while there is no place.
        prefetch_first(self.places.as_ptr().wrapping_add(self.home(hash)));
    }

    /// The value whose name has this hash, without a look at the value itself.
    #[inline]
    pub fn probable(&self, hash: u64) -> Option<&Arc<T>> {
        self.find(hash, |_| true).map(|(_, value)| value)
    }

    #[inline]
    pub fn get(&self, name: &str) -> Option<&Arc<T>> {
        self.find(self.hash(name.as_bytes()), |value| *value.name() == *name).map(|(_, value)| value)
    }

    /// Puts it in the place of the one that has its name.
    pub fn insert(&mut self, value: Arc<T>) {
        let hash = self.hash(value.name().as_bytes());
        if let Some((at, _)) = self.find(hash, |there| there.name() == value.name()) {
            self.places[at] = Some(Place { hash, value });
            return;
        }
        if (self.len + 1) * 4 > self.places.len() * 3 {
            self.resize((self.places.len() * 2).max(PLACES_MIN));
        }
        self.settle(Place { hash, value });
        self.len += 1;
    }

    pub fn remove(&mut self, name: &str) -> Option<Arc<T>> {
        let (at, _) = self.find(self.hash(name.as_bytes()), |value| *value.name() == *name)?;
        let removed = self.places[at].take()?;
        self.close_gap(at);
        self.len -= 1;
        if self.len * 8 < self.places.len() && self.places.len() > PLACES_MIN {
            self.resize(self.places.len() / 2);
        }
        Some(removed.value)
    }

    pub fn values(&self) -> impl Iterator<Item = &Arc<T>> {
        self.places.iter().flatten().map(|place| &place.value)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Where a search begins.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        hash as usize & self.places.len().wrapping_sub(1)
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    #[inline]
    fn find(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<(usize, &Arc<T>)> {
        let mut at = self.home(hash);
        while let Some(place) = self.places.get(at)?.as_ref() {
            if place.hash == hash && is_it(&place.value) {
                return Some((at, &place.value));
            }
            at = self.next(at);
        }
        None
    }

    /// Puts it where it is found; it must not be there yet.
    fn settle(&mut self, place: Place<T>) {
        let mut at = self.home(place.hash);
        while self.places[at].is_some() {
            at = self.next(at);
        }
        self.places[at] = Some(place);
    }

    /// A search ends at an empty place: what stands behind a new one and was sought past it moves up.
    fn close_gap(&mut self, mut gap: usize) {
        let mask = self.places.len() - 1;
        let mut at = self.next(gap);
        while let Some(place) = &self.places[at] {
            let from_home = at.wrapping_sub(self.home(place.hash)) & mask;
            if from_home >= (at.wrapping_sub(gap) & mask) {
                self.places[gap] = self.places[at].take();
                gap = at;
            }
            at = self.next(at);
        }
    }

    fn resize(&mut self, places: usize) {
        let places = (0..places).map(|_| None).collect();
        for place in std::mem::replace(&mut self.places, places).into_iter().flatten() {
            self.settle(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use hashbrown::HashMap;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Thing {
        name: String,
        number: usize,
    }

    impl Named for Thing {
        fn name(&self) -> &str {
            &self.name
        }
    }

    proptest! {
        /// A third of the steps removes, so that the table grows, shrinks and has its gaps closed, also across its end.
        #[test]
        fn it_does_what_a_map_does(steps in prop::collection::vec((0..3usize, 0..120usize), 0..600)) {
            let mut table = ByName::default();
            let mut map = HashMap::new();
            for (number, (kind, name)) in steps.into_iter().enumerate() {
                let name = name.to_string();
                if kind == 0 {
                    prop_assert_eq!(table.remove(&name), map.remove(&name));
                } else {
                    let thing = Arc::new(Thing { name: name.clone(), number });
                    table.insert(thing.clone());
                    map.insert(name, thing);
                }
                prop_assert_eq!(table.len(), map.len());
            }
            for name in (0..120).map(|name: usize| name.to_string()) {
                prop_assert_eq!(table.get(&name), map.get(&name));
                prop_assert_eq!(table.probable(table.hash(name.as_bytes())), map.get(&name));
            }
            prop_assert!(table.values().all(|thing| map.get(&thing.name) == Some(thing)));
            prop_assert_eq!(table.values().count(), map.len());
        }
    }

    #[test]
    fn it_gives_its_places_back() {
        let mut table = ByName::default();
        let things: Vec<_> = (0..1000).map(|n| Arc::new(Thing { name: n.to_string(), number: n })).collect();
        things.iter().for_each(|thing| table.insert(thing.clone()));
        let most = table.places.len();
        things.iter().for_each(|thing| assert!(table.remove(&thing.name).is_some()));
        assert!(table.places.len() <= PLACES_MIN, "{} places of {most}", table.places.len());
        assert!(table.get("7").is_none());
    }
}

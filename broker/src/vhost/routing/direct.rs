//! Direct exchanges: the routing key equals the binding key.

use hashbrown::HashMap;

pub struct Direct<D> {
    by_key: HashMap<Box<str>, Vec<D>>,
}

impl<D> Default for Direct<D> {
    fn default() -> Direct<D> {
        Direct { by_key: HashMap::new() }
    }
}

impl<D: Eq> Direct<D> {
    pub fn bind(&mut self, key: &str, destination: D) {
        match self.by_key.get_mut(key) {
            Some(destinations) => destinations.push(destination),
            None => {
                self.by_key.insert(key.into(), vec![destination]);
            }
        }
    }

    pub fn unbind(&mut self, key: &str, destination: &D) {
        if let Some(destinations) = self.by_key.get_mut(key) {
            destinations.retain(|d| d != destination);
            if destinations.is_empty() {
                self.by_key.remove(key);
            }
        }
    }

    pub fn route(&self, key: &str) -> &[D] {
        self.by_key.get(key).map_or(&[], Vec::as_slice)
    }
}

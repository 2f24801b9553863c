//! Fanout exchanges: every destination, once, however many keys it is bound with.

pub struct Fanout<D> {
    /// Destination and the number of its bindings.
    destinations: Vec<(D, usize)>,
}

impl<D> Default for Fanout<D> {
    fn default() -> Fanout<D> {
        Fanout { destinations: Vec::new() }
    }
}

impl<D: Eq> Fanout<D> {
    pub fn bind(&mut self, destination: D) {
        match self.destinations.iter_mut().find(|(d, _)| *d == destination) {
            Some((_, count)) => *count += 1,
            None => self.destinations.push((destination, 1)),
        }
    }

    pub fn unbind(&mut self, destination: &D) {
        let Some(at) = self.destinations.iter().position(|(d, _)| d == destination) else { return };
        self.destinations[at].1 -= 1;
        if self.destinations[at].1 == 0 {
            self.destinations.remove(at);
        }
    }

    pub fn route(&self) -> impl Iterator<Item = &D> {
        self.destinations.iter().map(|(d, _)| d)
    }
}

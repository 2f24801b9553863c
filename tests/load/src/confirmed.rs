//! Which publishes are confirmed. Brokers may confirm in any order, one by one and several at once mixed.

use std::collections::BTreeSet;

#[derive(Default)]
pub struct Confirmed {
    /// All up to this number.
    up_to: u64,
    /// Single ones behind it.
    beyond: BTreeSet<u64>,
}

impl Confirmed {
    pub fn count(&self) -> u64 {
        self.up_to + self.beyond.len() as u64
    }

    pub fn add(&mut self, tag: u64, multiple: bool) {
        if multiple && tag > self.up_to {
            self.up_to = tag;
            self.beyond = self.beyond.split_off(&(tag + 1));
        } else if tag == self.up_to + 1 {
            self.up_to = tag;
        } else if tag > self.up_to {
            self.beyond.insert(tag);
        }
        while !self.beyond.is_empty() && self.beyond.remove(&(self.up_to + 1)) {
            self.up_to += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_publish_counts_once_in_whatever_order() {
        let mut confirmed = Confirmed::default();
        let count = |confirmed: &mut Confirmed, tag, multiple| {
            confirmed.add(tag, multiple);
            confirmed.count()
        };
        assert_eq!(count(&mut confirmed, 2, false), 1);
        assert_eq!(count(&mut confirmed, 5, false), 2);
        assert_eq!(count(&mut confirmed, 5, false), 2);
        assert_eq!(count(&mut confirmed, 1, false), 3);
        assert_eq!(count(&mut confirmed, 4, true), 5);
        assert_eq!(count(&mut confirmed, 3, false), 5);
        assert_eq!(count(&mut confirmed, 6, true), 6);
        assert_eq!(confirmed.up_to, 6);
    }
}

//! Topic exchanges: `*` stands for one word, `#` for any number of them (AMQP 0-9-1 §3.1.3.3).
//!
//! The binding keys form a trie whose nodes live in one vector. A routing key is matched by following a set
//! of nodes word by word, each node at most once per word, so the cost is bounded by words times nodes
//! whatever the patterns are; `#.#.#` is no attack.

use hashbrown::HashMap;

type NodeId = u32;

pub struct Topic<D> {
    nodes: Vec<Node<D>>,
    free: Vec<NodeId>,
}

struct Node<D> {
    words: HashMap<Box<str>, NodeId>,
    /// `*`
    star: Option<NodeId>,
    /// `#`: this child stays on for any further words.
    hash: Option<NodeId>,
    is_hash: bool,
    destinations: Vec<D>,
}

impl<D> Node<D> {
    fn new(is_hash: bool) -> Node<D> {
        Node { words: HashMap::new(), star: None, hash: None, is_hash, destinations: Vec::new() }
    }

    fn child(&self, word: &str) -> Option<NodeId> {
        match word {
            "*" => self.star,
            "#" => self.hash,
            word => self.words.get(word).copied(),
        }
    }

    fn is_unused(&self) -> bool {
        self.words.is_empty() && self.star.is_none() && self.hash.is_none() && self.destinations.is_empty()
    }
}

const ROOT: NodeId = 0;

/// Up to this size looking through a set costs less than sorting it.
const SMALL_SET: usize = 16;

impl<D> Default for Topic<D> {
    fn default() -> Topic<D> {
        Topic { nodes: vec![Node::new(false)], free: Vec::new() }
    }
}

impl<D: Eq> Topic<D> {
    pub fn bind(&mut self, pattern: &str, destination: D) {
        let mut at = ROOT;
        for word in words(pattern) {
            at = match self.node(at).child(word) {
                Some(child) => child,
                None => self.add_child(at, word),
            };
        }
        self.node_mut(at).destinations.push(destination);
    }

    fn add_child(&mut self, parent: NodeId, word: &str) -> NodeId {
        let node = Node::new(word == "#");
        let id = match self.free.pop() {
            Some(id) => {
                *self.node_mut(id) = node;
                id
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as NodeId
            }
        };
        let parent = self.node_mut(parent);
        match word {
            "*" => parent.star = Some(id),
            "#" => parent.hash = Some(id),
            word => {
                parent.words.insert(word.into(), id);
            }
        }
        id
    }

    pub fn unbind(&mut self, pattern: &str, destination: &D) {
        let mut path = vec![];
        let mut at = ROOT;
        for word in words(pattern) {
            let Some(child) = self.node(at).child(word) else { return };
            path.push((at, word));
            at = child;
        }
        self.node_mut(at).destinations.retain(|d| d != destination);
        for (parent, word) in path.into_iter().rev() {
            if !self.node(at).is_unused() {
                return;
            }
            self.free.push(at);
            let node = self.node_mut(parent);
            match word {
                "*" => node.star = None,
                "#" => node.hash = None,
                word => {
                    node.words.remove(word);
                }
            }
            at = parent;
        }
    }

    pub fn route(&self, key: &str, found: &mut impl FnMut(&D)) {
        let mut now = Vec::with_capacity(8);
        let mut next = Vec::with_capacity(8);
        self.enter(ROOT, &mut now);
        for word in words(key) {
            next.clear();
            for &id in &now {
                let node = self.node(id);
                if node.is_hash {
                    self.enter(id, &mut next);
                }
                if let Some(star) = node.star {
                    self.enter(star, &mut next);
                }
                if let Some(&child) = node.words.get(word) {
                    self.enter(child, &mut next);
                }
            }
            if next.len() > SMALL_SET {
                next.sort_unstable();
                next.dedup();
            }
            std::mem::swap(&mut now, &mut next);
            if now.is_empty() {
                return;
            }
        }
        now.sort_unstable();
        now.dedup();
        for id in now {
            self.node(id).destinations.iter().for_each(&mut *found);
        }
    }

    /// Adds a node, and what its `#` child matches without any further word. Small sets are kept free of
    /// doubles here, larger ones by their owner.
    fn enter(&self, mut id: NodeId, set: &mut Vec<NodeId>) {
        loop {
            if set.len() <= SMALL_SET && set.contains(&id) {
                return;
            }
            set.push(id);
            match self.node(id).hash {
                Some(hash) => id = hash,
                None => return,
            }
        }
    }

    fn node(&self, id: NodeId) -> &Node<D> {
        &self.nodes[id as usize]
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node<D> {
        &mut self.nodes[id as usize]
    }
}

/// Words are separated by dots; the empty key has no words.
fn words(key: &str) -> impl Iterator<Item = &str> {
    let empty = key.is_empty();
    key.split('.').filter(move |_| !empty)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn routed(topic: &Topic<&'static str>, key: &str) -> Vec<&'static str> {
        let mut found = Vec::new();
        topic.route(key, &mut |d| found.push(*d));
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn the_patterns_of_the_specification() {
        let mut topic = Topic::default();
        for pattern in ["*.stock.#", "usd.stock", "#", "usd.*", "*", "a.#.b", "#.#", "x.#"] {
            topic.bind(pattern, pattern);
        }
        assert_eq!(routed(&topic, "usd.stock"), ["#", "#.#", "*.stock.#", "usd.*", "usd.stock"]);
        assert_eq!(routed(&topic, "eur.stock.db"), ["#", "#.#", "*.stock.#"]);
        assert_eq!(routed(&topic, "stock.nasdaq"), ["#", "#.#"]);
        assert_eq!(routed(&topic, "a.b"), ["#", "#.#", "a.#.b"]);
        assert_eq!(routed(&topic, "a.b.c.b"), ["#", "#.#", "a.#.b"]);
        assert_eq!(routed(&topic, "a.b.c"), ["#", "#.#"]);
        assert_eq!(routed(&topic, "x"), ["#", "#.#", "*", "x.#"]);
        assert_eq!(routed(&topic, ""), ["#", "#.#"]);
    }

    #[test]
    fn unbinding_frees_the_nodes() {
        let mut topic = Topic::default();
        topic.bind("a.b.c", 1);
        topic.bind("a.b", 2);
        topic.unbind("a.b.c", &1);
        topic.unbind("a.b", &2);
        assert!(topic.node(ROOT).is_unused());
        assert_eq!(topic.free.len(), 3);
        topic.bind("x.#", 3);
        assert_eq!(topic.nodes.len(), 4);
    }

    #[test]
    fn many_hashes_cost_no_more_than_words_times_nodes() {
        let mut topic = Topic::default();
        topic.bind(&["#"; 120].join(".a."), 1);
        let mut found = 0;
        topic.route(&["a"; 127].join("."), &mut |_| found += 1);
        assert_eq!(found, 1);
    }

    /// The definition itself, slow and obvious.
    fn matches(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (Some((&"#", rest)), _) => matches(rest, key) || (!key.is_empty() && matches(pattern, &key[1..])),
            (Some((&word, rest)), Some((&first, key))) => {
                (word == "*" || word == first) && matches(rest, key)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            patterns in proptest::collection::vec(proptest::collection::vec("[ab*#]", 1..5), 1..8),
            key in proptest::collection::vec("[ab]", 1..6),
        ) {
            let mut topic = Topic::default();
            for (number, pattern) in patterns.iter().enumerate() {
                topic.bind(&pattern.join("."), number);
            }
            let mut found = Vec::new();
            topic.route(&key.join("."), &mut |d| found.push(*d));
            found.sort_unstable();
            found.dedup();
            let key: Vec<&str> = key.iter().map(String::as_str).collect();
            let expected: Vec<usize> = patterns.iter().enumerate().filter(|(_, pattern)| {
                let pattern: Vec<&str> = pattern.iter().map(String::as_str).collect();
                matches(&pattern, &key)
            }).map(|(number, _)| number).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

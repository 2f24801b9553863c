//! The queues that are a connection's alone (`exclusive`), and go when it closes.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::queue::Queue;

/// Those to begin with that are not looked at again.
const ROOM_MIN: usize = 4;

#[derive(Default)]
pub struct OwnQueues(HashMap<Arc<str>, Arc<Queue>>);

impl OwnQueues {
    /// One more, in place of any of its name. Queues may go before their connection (`x-expires`, an operator): those that
    /// did are looked for when there is no room left, and then room is made for as many again.
    pub fn add(&mut self, queue: Arc<Queue>) {
        if self.0.len() == self.0.capacity() {
            self.0.retain(|_, known| !known.is_deleted());
            self.0.reserve(self.0.len().max(ROOM_MIN));
        }
        self.0.insert(queue.spec.name.clone(), queue);
    }

    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    pub fn take_all(&mut self) -> impl Iterator<Item = Arc<Queue>> + use<> {
        std::mem::take(&mut self.0).into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::tests::queues;

    #[test]
    fn those_that_are_gone_are_forgotten_and_the_others_are_not() {
        let mut own = OwnQueues::default();
        let (queues, _dir) = queues(1000);
        let (mut staying, mut room) = (Vec::new(), 0);
        for (number, queue) in queues.iter().enumerate() {
            own.add(queue.clone());
            room = room.max(own.0.capacity());
            match number % 100 {
                7 => staying.push(queue.name()),
                _ => assert!(queue.delete(|_| Ok::<(), ()>(())).is_ok()),
            }
        }
        assert!(room < 100, "room for {room}");
        own.remove(staying.remove(0));
        let left: Vec<_> = own.take_all().filter(|queue| !queue.is_deleted()).collect();
        assert_eq!(left.len(), staying.len());
        assert!(left.iter().all(|queue| staying.contains(&queue.name())));
    }
}

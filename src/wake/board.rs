//! What each queue has on the wire, as the leader shows it to sessions.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering, fence};

/// As many queues as there can be messages on the wire: the limit of `hooks.max_in_flight`.
pub const MOST_SHOWN: usize = 4096;

/// How often a reader tries to read between two changes before it takes what it has.
const TRIES: usize = 100;

/// Written by the leader alone. Readers see one state of it as a whole.
pub struct Board {
    /// Odd while the leader writes.
    version: AtomicU32,
    count: AtomicU32,
    entries: [Entry; MOST_SHOWN],
}

struct Entry {
    queue_id: AtomicI64,
    in_flight: AtomicU32,
}

impl Board {
    /// Shows nothing any more. What a leader that was killed left half written is whole then.
    pub fn clear(&self) {
        self.show([]);
    }

    /// Shows these queues, each once, and no others.
    pub fn show(&self, queues: impl IntoIterator<Item = (i64, u32)>) {
        let version = self.version.load(Ordering::Relaxed) | 1;
        self.version.store(version, Ordering::Relaxed);
        fence(Ordering::Release);
        let mut count = 0;
        for (entry, (queue_id, in_flight)) in self.entries.iter().zip(queues) {
            entry.queue_id.store(queue_id, Ordering::Relaxed);
            entry.in_flight.store(in_flight, Ordering::Relaxed);
            count += 1;
        }
        self.count.store(count, Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Release);
    }

    /// The queues that have something on the wire, and how many messages.
    pub fn read(&self) -> Vec<(i64, u32)> {
        for _ in 0..TRIES {
            let (shown, is_whole) = self.look();
            if is_whole {
                return shown;
            }
            // The leader may be waiting for this very processor.
            std::thread::yield_now();
        }
        self.look().0
    }

    /// What is shown, and whether the leader wrote nothing meanwhile.
    fn look(&self) -> (Vec<(i64, u32)>, bool) {
        let before = self.version.load(Ordering::Acquire);
        let count = usize::try_from(self.count.load(Ordering::Relaxed)).unwrap_or(0);
        let shown = self.entries.iter().take(count).map(|entry| {
            let in_flight = entry.in_flight.load(Ordering::Relaxed);
            (entry.queue_id.load(Ordering::Relaxed), in_flight)
        });
        let shown = shown.collect();
        fence(Ordering::Acquire);
        let is_whole = before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before;
        (shown, is_whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board() -> Box<Board> {
        Box::new(Board {
            version: AtomicU32::new(0),
            count: AtomicU32::new(0),
            entries: std::array::from_fn(|_| Entry {
                queue_id: AtomicI64::new(0),
                in_flight: AtomicU32::new(0),
            }),
        })
    }

    #[test]
    fn shows_what_was_written_last() {
        let board = board();
        assert_eq!(board.read(), []);
        board.show([(7, 1), (8, 2)]);
        assert_eq!(board.read(), [(7, 1), (8, 2)]);
        board.show([(8, 3)]);
        assert_eq!(board.read(), [(8, 3)]);
        board.clear();
        assert_eq!(board.read(), []);
    }

    #[test]
    fn has_room_for_all_that_can_be_on_the_wire_and_no_more() {
        let board = board();
        board.show((0..10_000).map(|id| (id, 1)));
        assert_eq!(board.read().len(), MOST_SHOWN);
    }

    #[test]
    fn what_a_killed_leader_left_half_written_is_read_and_then_replaced() {
        let board = board();
        board.show([(7, 1)]);
        board.version.fetch_add(1, Ordering::Relaxed);
        assert_eq!(board.read(), [(7, 1)]);
        board.show([(8, 1)]);
        assert_eq!(board.version.load(Ordering::Relaxed) % 2, 0);
        assert_eq!(board.read(), [(8, 1)]);
    }

    /// The counts of each state are all the same number.
    #[test]
    fn reader_sees_one_state_as_a_whole() {
        let board = board();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..20_000 {
                    board.show((0..8).map(|id| (id, round)));
                }
            });
            for _ in 0..20_000 {
                let (shown, is_whole) = board.look();
                let first = shown.first().map(|(_, count)| *count);
                assert!(
                    !is_whole || shown.iter().all(|(_, count)| Some(*count) == first),
                    "{shown:?}"
                );
            }
        });
    }
}

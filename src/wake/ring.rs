//! A bounded queue in shared memory: many backends write at commit, the leader reads.
//!
//! Dmitry Vyukov's bounded queue, on atomics alone, because a commit callback must neither wait nor
//! fail. When it is full a flag says so and the reader looks at everything instead.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use crate::fault;

/// Entries of one ring; a power of two.
const ENTRIES: usize = 512;

/// What a commit tells the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// `hooks.queue.id`; `hooks.cron.id` with [`Note::CRON_CHANGED`], the transaction with [`Note::PREPARED`].
    pub queue_id: i64,
    /// Lowest `due_at` among the messages committed, in PostgreSQL's microseconds, or
    /// [`Note::QUEUE_CHANGED`], [`Note::CRON_CHANGED`] or [`Note::PREPARED`].
    pub due_at: i64,
}

impl Note {
    /// In place of a due time: the queue itself was made, changed or dropped.
    pub const QUEUE_CHANGED: i64 = i64::MIN;

    /// In place of a due time: an entry of `hooks.cron` was made, changed or dropped.
    pub const CRON_CHANGED: i64 = i64::MIN + 1;

    /// In place of a due time: a transaction of this id was prepared, and no commit will tell of it.
    pub const PREPARED: i64 = i64::MIN + 2;

    /// The earliest due time there is.
    pub const EARLIEST: i64 = i64::MIN + 3;

    /// Whether both tell the same kind of thing about the same object.
    pub fn repeats(&self, other: &Note) -> bool {
        let kind = |note: &Note| note.due_at.min(Note::EARLIEST);
        self.queue_id == other.queue_id && kind(self) == kind(other)
    }
}

struct Entry {
    turn: AtomicUsize,
    queue_id: AtomicI64,
    due_at: AtomicI64,
}

/// The queue. All zero bytes are not a valid ring: call [`Ring::clear`] first.
pub struct Ring {
    head: AtomicUsize,
    tail: AtomicUsize,
    overflowed: AtomicBool,
    entries: [Entry; ENTRIES],
}

impl Ring {
    /// Empties the ring. Only while nobody else uses it.
    pub fn clear(&self) {
        for (turn, entry) in self.entries.iter().enumerate() {
            entry.turn.store(turn, Ordering::Relaxed);
        }
        self.head.store(0, Ordering::Relaxed);
        self.tail.store(0, Ordering::Relaxed);
        self.overflowed.store(false, Ordering::Release);
    }

    /// Adds a note, or sets the overflow flag when there is no room.
    pub fn push(&self, note: Note) {
        if fault::strikes("notes: room") {
            return self.overflow();
        }
        let mut tail = self.tail.load(Ordering::Relaxed);
        loop {
            let entry = &self.entries[tail % ENTRIES];
            let turn = entry.turn.load(Ordering::Acquire);
            if turn == tail {
                match self
                    .tail
                    .compare_exchange_weak(tail, tail + 1, Ordering::Relaxed, Ordering::Relaxed)
                {
                    Ok(_) => {
                        entry.queue_id.store(note.queue_id, Ordering::Relaxed);
                        entry.due_at.store(note.due_at, Ordering::Relaxed);
                        entry.turn.store(tail + 1, Ordering::Release);
                        return;
                    }
                    Err(now) => tail = now,
                }
            } else if turn < tail {
                self.overflow();
                return;
            } else {
                tail = self.tail.load(Ordering::Relaxed);
            }
        }
    }

    /// Has the reader look at everything.
    pub fn overflow(&self) {
        self.overflowed.store(true, Ordering::Release);
    }

    /// Takes the oldest note. One reader at a time.
    pub fn pop(&self) -> Option<Note> {
        let head = self.head.load(Ordering::Relaxed);
        let entry = &self.entries[head % ENTRIES];
        if entry.turn.load(Ordering::Acquire) != head + 1 {
            return None;
        }
        let note = Note {
            queue_id: entry.queue_id.load(Ordering::Relaxed),
            due_at: entry.due_at.load(Ordering::Relaxed),
        };
        entry.turn.store(head + ENTRIES, Ordering::Release);
        self.head.store(head + 1, Ordering::Relaxed);
        Some(note)
    }

    /// Whether there is something to read.
    pub fn has_news(&self) -> bool {
        let head = self.head.load(Ordering::Relaxed);
        let oldest = &self.entries[head % ENTRIES];
        oldest.turn.load(Ordering::Acquire) == head + 1 || self.overflowed.load(Ordering::Relaxed)
    }

    /// Whether notes were dropped since the last call.
    pub fn take_overflow(&self) -> bool {
        self.overflowed.load(Ordering::Relaxed) && self.overflowed.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn ring() -> Arc<Ring> {
        let ring = Ring {
            head: AtomicUsize::new(7),
            tail: AtomicUsize::new(9),
            overflowed: AtomicBool::new(true),
            entries: [const {
                Entry {
                    turn: AtomicUsize::new(0),
                    queue_id: AtomicI64::new(0),
                    due_at: AtomicI64::new(0),
                }
            }; ENTRIES],
        };
        ring.clear();
        Arc::new(ring)
    }

    #[test]
    fn notes_come_out_in_the_order_they_went_in() {
        let ring = ring();
        for round in 0..5 {
            for n in 0..ENTRIES as i64 {
                ring.push(Note {
                    queue_id: round,
                    due_at: n,
                });
            }
            for n in 0..ENTRIES as i64 {
                assert_eq!(
                    ring.pop(),
                    Some(Note {
                        queue_id: round,
                        due_at: n
                    })
                );
            }
            assert_eq!(ring.pop(), None);
        }
        assert!(!ring.take_overflow());
    }

    #[test]
    fn full_ring_raises_the_overflow_flag_once() {
        let ring = ring();
        for n in 0..=ENTRIES as i64 {
            ring.push(Note {
                queue_id: n,
                due_at: 0,
            });
        }
        assert!(ring.take_overflow());
        assert!(!ring.take_overflow());
        assert_eq!(std::iter::from_fn(|| ring.pop()).count(), ENTRIES);
    }

    #[test]
    fn no_note_is_lost_between_many_writers_unless_overflow_says_so() {
        let ring = ring();
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let ring = Arc::clone(&ring);
                std::thread::spawn(move || {
                    for n in 0..20_000 {
                        ring.push(Note {
                            queue_id: writer,
                            due_at: n,
                        });
                    }
                })
            })
            .collect();
        let (mut seen, mut last, mut overflowed) = (0_u64, [-1_i64; 4], false);
        while writers.iter().any(|writer| !writer.is_finished()) || seen == 0 {
            while let Some(note) = ring.pop() {
                let last = &mut last[usize::try_from(note.queue_id).unwrap()];
                assert!(note.due_at > *last, "a writer's notes keep their order");
                *last = note.due_at;
                seen += 1;
            }
            overflowed |= ring.take_overflow();
        }
        seen += std::iter::from_fn(|| ring.pop()).count() as u64;
        overflowed |= ring.take_overflow();
        assert!(seen == 80_000 || overflowed, "{seen} notes seen without overflow");
    }
}

//! Tests of queues: a session asks, the leader makes an attempt and answers, all in shared memory.
//!
//! A session cannot have the leader see a message before it has committed it, and a function cannot commit.
//! So nothing of a test is a row. There are few slots, as people ask; each is taken by one session at a time.
//! The state of a slot is one number: a ticket, which nobody else ever has, and a phase. Whoever changes it
//! compares first, so that a session that gave up, or died, and a leader that answers too late, change
//! nothing for the next one.

use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Duration;

use pgrx::pg_sys;

use super::shared::set_latch;
use crate::domain::trial::MAX_BYTES;

/// Tests at the same time, in all databases.
const SLOTS: usize = 8;

/// A session that does not look for so long after the time it wanted to wait is gone.
const GRACE_US: i64 = 60_000_000;

/// How far a test is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Free = 0,
    /// The session writes the question.
    Asking = 1,
    Asked = 2,
    /// The leader makes the attempt.
    Taken = 3,
    /// The leader writes the answer.
    Answering = 4,
    Answered = 5,
}

const PHASES: u64 = 8;

fn state(ticket: u64, phase: Phase) -> u64 {
    ticket * PHASES + phase as u64
}

struct Slot {
    state: AtomicU64,
    database: AtomicU32,
    /// When it may be taken from a session that is gone, in PostgreSQL's microseconds.
    lapses_at: AtomicI64,
    asker: AtomicPtr<pg_sys::Latch>,
    length: AtomicUsize,
    bytes: [AtomicU8; MAX_BYTES],
}

impl Slot {
    fn is(&self, ticket: u64, phase: Phase) -> bool {
        self.state.load(Ordering::Acquire) == state(ticket, phase)
    }

    fn go(&self, ticket: u64, from: Phase, to: Phase) -> bool {
        self.state
            .compare_exchange(
                state(ticket, from),
                state(ticket, to),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    fn write(&self, bytes: &[u8]) {
        self.length.store(bytes.len().min(MAX_BYTES), Ordering::Relaxed);
        for (place, byte) in self.bytes.iter().zip(bytes) {
            place.store(*byte, Ordering::Relaxed);
        }
    }

    /// What was written, if the slot is in this state all the time.
    fn read(&self, ticket: u64, phase: Phase) -> Option<Vec<u8>> {
        let length = self.length.load(Ordering::Relaxed).min(MAX_BYTES);
        let bytes = self.bytes[..length]
            .iter()
            .map(|byte| byte.load(Ordering::Relaxed));
        let bytes = bytes.collect();
        fence(Ordering::Acquire);
        self.is(ticket, phase).then_some(bytes)
    }
}

/// All slots. All zero bytes are valid: no test is under way.
pub struct Trials {
    next_ticket: AtomicU64,
    slots: [Slot; SLOTS],
}

/// What the leader took on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    slot: usize,
    number: u64,
}

impl Trials {
    /// How many there can be at the same time.
    pub const MOST: usize = SLOTS;

    /// Makes fresh shared memory valid.
    pub fn clear(&self) {
        self.next_ticket.store(1, Ordering::Relaxed);
        for slot in &self.slots {
            slot.state.store(0, Ordering::Relaxed);
            slot.asker.store(ptr::null_mut(), Ordering::Relaxed);
        }
    }

    /// Asks the leader of a database, for a session that waits for so long. `None` when all slots are in use.
    pub fn ask(&self, database: u32, question: &[u8], wait: Duration, now: i64) -> Option<Asked<'_>> {
        let number = self.next_ticket.fetch_add(1, Ordering::Relaxed);
        let slot = self.slots.iter().find(|slot| {
            let seen = slot.state.load(Ordering::Acquire);
            let lapsed =
                || seen % PHASES >= Phase::Asked as u64 && slot.lapses_at.load(Ordering::Relaxed) < now;
            let is_free = seen % PHASES == Phase::Free as u64 || lapsed();
            is_free
                && slot
                    .state
                    .compare_exchange(
                        seen,
                        state(number, Phase::Asking),
                        Ordering::AcqRel,
                        Ordering::Relaxed,
                    )
                    .is_ok()
        })?;
        let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        slot.lapses_at.store(
            now.saturating_add(wait).saturating_add(GRACE_US),
            Ordering::Relaxed,
        );
        slot.database.store(database, Ordering::Relaxed);
        // SAFETY: MyLatch is set for the life of the process, and points into shared memory.
        slot.asker.store(unsafe { pg_sys::MyLatch }, Ordering::Relaxed);
        slot.write(question);
        slot.go(number, Phase::Asking, Phase::Asked);
        Some(Asked { slot, number })
    }

    /// Whether somebody asks the leader of this database.
    pub fn is_asked(&self, database: u32) -> bool {
        self.slots.iter().any(|slot| {
            slot.state.load(Ordering::Acquire) % PHASES == Phase::Asked as u64
                && slot.database.load(Ordering::Relaxed) == database
        })
    }

    /// Takes on what the leader of this database is asked.
    pub fn take(&self, database: u32) -> Vec<(Ticket, Vec<u8>)> {
        let mut taken = Vec::new();
        for (index, slot) in self.slots.iter().enumerate() {
            let seen = slot.state.load(Ordering::Acquire);
            let number = seen / PHASES;
            if seen != state(number, Phase::Asked) || slot.database.load(Ordering::Relaxed) != database {
                continue;
            }
            if slot.go(number, Phase::Asked, Phase::Taken)
                && let Some(question) = slot.read(number, Phase::Taken)
            {
                taken.push((Ticket { slot: index, number }, question));
            }
        }
        taken
    }

    /// Answers. Nothing happens when nobody waits for it any more.
    pub fn answer(&self, ticket: Ticket, answer: &[u8]) {
        let slot = &self.slots[ticket.slot];
        if slot.go(ticket.number, Phase::Taken, Phase::Answering) {
            slot.write(answer);
            slot.go(ticket.number, Phase::Answering, Phase::Answered);
            set_latch(&slot.asker);
        }
    }
}

/// A question that was asked. Dropped, it is taken back.
pub struct Asked<'a> {
    slot: &'a Slot,
    number: u64,
}

impl Asked<'_> {
    /// The answer, once it is there.
    pub fn answer(&self) -> Option<Vec<u8>> {
        if !self.slot.is(self.number, Phase::Answered) {
            return None;
        }
        self.slot.read(self.number, Phase::Answered)
    }

    /// Whether the leader has it in hand.
    pub fn is_taken(&self) -> bool {
        !self.slot.is(self.number, Phase::Asked)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        // While the leader writes its answer the slot is left to lapse.
        for phase in [Phase::Asked, Phase::Taken, Phase::Answered] {
            self.slot.go(self.number, phase, Phase::Free);
        }
    }
}

/// Sleeps until the latch of this session is set or the time is over. A cancelled session does not return.
pub fn wait(longest: Duration) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    let millis = i64::try_from(longest.as_micros().div_ceil(1000)).unwrap_or(i64::MAX);
    // SAFETY: waits on the latch of this process.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as i32, millis, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pgrx::check_for_interrupts!();
}

//! What the processes share: which databases have the extension, who works there, what was committed.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, Ordering, fence};

use pgrx::pg_sys;

use super::board::Board;
use super::probes::Probes;
use super::ring::Ring;
use super::trial::Trials;
use crate::domain::hold::Hold;

/// Databases of one cluster that can have a worker.
pub const MAX_DATABASES: usize = 128;
/// Workers of one database; the upper bound of `hooks.workers`.
pub const MAX_WORKERS: usize = 8;

/// What `hooks.release()` takes at most, in microseconds.
const LONGEST_RELEASE: i64 = 600_000_000;

/// Whether a database has the extension, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Nobody has looked since it was announced.
    Unknown,
    /// A worker found it.
    Present,
    /// A worker found that it is not there, and ended.
    Absent,
}

/// What is known of the extension, with the number of announcements so far: who looked before the last
/// one must not have the last word.
struct Knowledge(AtomicU32);

impl Knowledge {
    const STATES: u32 = 4;

    fn get(&self) -> Extension {
        match self.0.load(Ordering::Acquire) % Knowledge::STATES {
            1 => Extension::Present,
            2 => Extension::Absent,
            _ => Extension::Unknown,
        }
    }

    fn announce(&self) {
        let next = |known: u32| Some((known - known % Knowledge::STATES).wrapping_add(Knowledge::STATES));
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next);
    }

    fn conclude(&self, begun: Look, found: bool) {
        let announced = begun.0 - begun.0 % Knowledge::STATES;
        let concluded = announced + if found { 1 } else { 2 };
        let _ = self
            .0
            .compare_exchange(begun.0, concluded, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// That somebody has begun to look for the extension.
#[derive(Clone, Copy)]
pub struct Look(u32);

/// One worker process.
pub struct WorkerEntry {
    /// Process id; 0 for a free entry.
    pub pid: AtomicI32,
    /// When it began, in PostgreSQL's microseconds.
    pub started_at: AtomicI64,
}

/// One database with the extension.
pub struct Database {
    /// Oid of the database; 0 for a free entry.
    pub oid: AtomicU32,
    knowledge: Knowledge,
    /// Grows whenever a queue is made, changed or dropped; what backends cache is valid for one value.
    pub generation: AtomicI64,
    pub leader_pid: AtomicI32,
    /// When the leader became leader, in PostgreSQL's microseconds.
    pub leader_since: AtomicI64,
    /// Messages handed to the I/O threads whose result is not recorded.
    pub in_flight: AtomicU32,
    /// The same by queue.
    pub board: Board,
    /// The process that has the lead and sends nothing, and why.
    held_pid: AtomicI32,
    hold: AtomicU32,
    /// No worker is to be here until then, in PostgreSQL's microseconds.
    released_until: AtomicI64,
    pub workers: [WorkerEntry; MAX_WORKERS],
    pub notes: Ring,
    leader_latch: AtomicPtr<pg_sys::Latch>,
}

impl Database {
    /// Whether the database has the extension, as far as known.
    pub fn extension(&self) -> Extension {
        self.knowledge.get()
    }

    /// Somebody has to look for the extension.
    pub fn announce(&self) {
        self.knowledge.announce();
    }

    /// To be called before looking for the extension.
    pub fn begin_look(&self) -> Look {
        Look(self.knowledge.0.load(Ordering::Acquire))
    }

    /// Notes what was found. Counts for nothing when the extension was announced meanwhile.
    pub fn conclude(&self, begun: Look, found: bool) {
        self.knowledge.conclude(begun, found);
    }

    /// Has the launcher know that the extension is there, after an announcement of which nobody knew that.
    pub fn confirm(&self, begun: Look) {
        if self.extension() == Extension::Unknown {
            self.conclude(begun, true);
            super::wake_launcher();
        }
    }

    /// Wakes the leader, if one leads.
    pub fn wake_leader(&self) {
        // Either we see the latch here, or the leader that sets it sees our note: see `lead`.
        fence(Ordering::SeqCst);
        set_latch(&self.leader_latch);
    }

    /// Announces this process as the leader: its pid, since when, and the latch that wakes it.
    pub fn lead(&self, since: i64) {
        self.held_pid.store(0, Ordering::Relaxed);
        self.in_flight.store(0, Ordering::Relaxed);
        self.board.clear();
        self.leader_since.store(since, Ordering::Relaxed);
        // SAFETY: MyProcPid and MyLatch are set for the life of the process; MyLatch points into the
        // PGPROC array in shared memory, which every process maps at the same address.
        unsafe {
            self.leader_pid.store(pg_sys::MyProcPid, Ordering::Relaxed);
            self.leader_latch.store(pg_sys::MyLatch, Ordering::Release);
        }
        fence(Ordering::SeqCst);
    }

    /// Takes the announcement back. Nothing happens when another process leads by now.
    pub fn stop_leading(&self, pid: i32) {
        if self.leader_pid.load(Ordering::Relaxed) == pid {
            self.leader_latch.store(ptr::null_mut(), Ordering::Release);
            self.leader_pid.store(0, Ordering::Relaxed);
            self.in_flight.store(0, Ordering::Relaxed);
            self.board.clear();
        }
    }

    /// Announces that this process, which has the lead, sends nothing. Whoever would wake the leader wakes it.
    pub fn hold(&self, hold: Hold) {
        self.hold.store(hold.code(), Ordering::Relaxed);
        // SAFETY: as for `lead`.
        unsafe {
            self.held_pid.store(pg_sys::MyProcPid, Ordering::Release);
            self.leader_latch.store(pg_sys::MyLatch, Ordering::Release);
        }
        fence(Ordering::SeqCst);
    }

    /// Which process is held, and why, if one is.
    pub fn held(&self) -> Option<(i32, Hold)> {
        let pid = self.held_pid.load(Ordering::Acquire);
        let hold = Hold::from_code(self.hold.load(Ordering::Relaxed));
        hold.filter(|_| pid != 0).map(|hold| (pid, hold))
    }

    /// Keeps workers from starting until then, in PostgreSQL's microseconds.
    pub fn release_until(&self, until: i64) {
        self.released_until.store(until, Ordering::Release);
    }

    /// How many microseconds no worker is to be here yet; 0 for none.
    pub fn released_for(&self, now: i64) -> u64 {
        let left = self.released_until.load(Ordering::Acquire).saturating_sub(now);
        // More is left only if the clock was set back. Then nobody knows how long it was to last.
        if left > LONGEST_RELEASE {
            return 0;
        }
        u64::try_from(left).unwrap_or(0)
    }

    /// Enters this process as a worker; `None` when there are too many.
    pub fn enter_worker(&self, pid: i32, started_at: i64) -> Option<&WorkerEntry> {
        let free = |entry: &&WorkerEntry| {
            entry
                .pid
                .compare_exchange(0, pid, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        };
        let entry = self.workers.iter().find(free)?;
        entry.started_at.store(started_at, Ordering::Relaxed);
        Some(entry)
    }

    /// Removes a process from the workers.
    pub fn leave_worker(&self, pid: i32) {
        self.stop_leading(pid);
        if self.held_pid.load(Ordering::Relaxed) == pid {
            self.leader_latch.store(ptr::null_mut(), Ordering::Release);
            self.held_pid.store(0, Ordering::Relaxed);
        }
        for entry in &self.workers {
            let _ = entry
                .pid
                .compare_exchange(pid, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Gives the entry up, for a database that no longer exists.
    pub fn free(&self) {
        self.clear();
    }

    /// Worker processes there are.
    pub fn worker_count(&self) -> usize {
        self.workers
            .iter()
            .filter(|entry| entry.pid.load(Ordering::Acquire) != 0)
            .count()
    }

    /// The workers beyond so many that neither lead nor are held. None while nobody does: one of them is about to.
    pub fn surplus(&self, wanted: usize) -> Vec<i32> {
        let chief = match self.leader_pid.load(Ordering::Acquire) {
            0 => self.held_pid.load(Ordering::Acquire),
            leader => leader,
        };
        let pids = self.workers.iter().map(|entry| entry.pid.load(Ordering::Acquire));
        let followers: Vec<i32> = pids.filter(|pid| ![0, chief].contains(pid)).collect();
        if chief == 0 || followers.len() < wanted {
            return Vec::new();
        }
        followers[wanted.saturating_sub(1)..].to_vec()
    }

    fn clear(&self) {
        self.knowledge.0.store(0, Ordering::Relaxed);
        self.generation.store(0, Ordering::Relaxed);
        self.leader_pid.store(0, Ordering::Relaxed);
        self.leader_since.store(0, Ordering::Relaxed);
        self.leader_latch.store(ptr::null_mut(), Ordering::Relaxed);
        self.in_flight.store(0, Ordering::Relaxed);
        self.board.clear();
        self.held_pid.store(0, Ordering::Relaxed);
        self.hold.store(0, Ordering::Relaxed);
        self.released_until.store(0, Ordering::Relaxed);
        for worker in &self.workers {
            worker.pid.store(0, Ordering::Relaxed);
            worker.started_at.store(0, Ordering::Relaxed);
        }
        self.notes.clear();
        self.oid.store(0, Ordering::Release);
    }
}

/// The whole shared state.
pub struct Shared {
    launcher_latch: AtomicPtr<pg_sys::Latch>,
    claiming: AtomicBool,
    /// Set when a database found no free entry.
    pub databases_exhausted: AtomicBool,
    pub trials: Trials,
    pub probes: Probes,
    pub databases: [Database; MAX_DATABASES],
}

impl Shared {
    /// Makes fresh shared memory valid.
    pub fn clear(&self) {
        self.launcher_latch.store(ptr::null_mut(), Ordering::Relaxed);
        self.claiming.store(false, Ordering::Relaxed);
        self.databases_exhausted.store(false, Ordering::Relaxed);
        self.trials.clear();
        self.probes.clear();
        for database in &self.databases {
            database.clear();
        }
    }

    /// The entry of a database that has one.
    pub fn find(&self, oid: u32) -> Option<&Database> {
        self.databases
            .iter()
            .find(|database| database.oid.load(Ordering::Acquire) == oid)
    }

    /// The entry of a database, made when it has none; `None` when all entries are taken.
    pub fn find_or_claim(&self, oid: u32) -> Option<&Database> {
        // Held for some hundred loads at most, and nothing in between can fail or be interrupted.
        while self.claiming.swap(true, Ordering::Acquire) {
            std::hint::spin_loop();
        }
        let found = self.find(oid).or_else(|| self.find(0));
        match found {
            Some(database) => database.oid.store(oid, Ordering::Release),
            None => self.databases_exhausted.store(true, Ordering::Relaxed),
        }
        self.claiming.store(false, Ordering::Release);
        found
    }

    /// Names this process as the launcher, to be woken by [`Shared::wake_launcher`].
    pub fn launch(&self) {
        self.probes.clear();
        // SAFETY: as for `Database::lead`.
        self.launcher_latch
            .store(unsafe { pg_sys::MyLatch }, Ordering::Release);
    }

    /// Wakes the launcher, if it runs.
    pub fn wake_launcher(&self) {
        set_latch(&self.launcher_latch);
    }
}

pub fn set_latch(latch: &AtomicPtr<pg_sys::Latch>) {
    let latch = latch.load(Ordering::Acquire);
    if !latch.is_null() {
        // SAFETY: it points to the latch of a PGPROC in shared memory, which is never freed. If its
        // process has ended and another got the place, that one wakes once for nothing.
        unsafe { pg_sys::SetLatch(latch) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_that_began_before_an_announcement_counts_for_nothing() {
        let knowledge = Knowledge(AtomicU32::new(0));
        let look = || Look(knowledge.0.load(Ordering::Relaxed));
        assert_eq!(knowledge.get(), Extension::Unknown);
        knowledge.conclude(look(), false);
        assert_eq!(knowledge.get(), Extension::Absent);
        let begun = look();
        knowledge.announce();
        knowledge.conclude(begun, false);
        assert_eq!(knowledge.get(), Extension::Unknown);
        knowledge.conclude(look(), true);
        assert_eq!(knowledge.get(), Extension::Present);
        knowledge.conclude(look(), true);
        assert_eq!(knowledge.get(), Extension::Present);
        knowledge.announce();
        assert_eq!(knowledge.get(), Extension::Unknown);
    }

    #[test]
    fn announcements_may_be_counted_for_ever() {
        let knowledge = Knowledge(AtomicU32::new(u32::MAX - 1));
        knowledge.announce();
        assert_eq!(knowledge.get(), Extension::Unknown);
        knowledge.conclude(Look(knowledge.0.load(Ordering::Relaxed)), true);
        assert_eq!(knowledge.get(), Extension::Present);
    }
}

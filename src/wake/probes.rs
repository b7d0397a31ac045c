//! Databases of which the launcher waits to hear whether they have the extension. One that has it gets an entry; of one
//! that does not, this is all that tells a worker that looked from one that could not.

use std::sync::atomic::{AtomicU32, Ordering};

/// Databases looked into at the same time.
pub const MAX_PROBES: usize = 4;

/// Oids of databases that were not answered for; 0 for a free place. Only the launcher begins.
pub struct Probes([AtomicU32; MAX_PROBES]);

impl Probes {
    /// Waits for nothing any more.
    pub fn clear(&self) {
        for place in &self.0 {
            place.store(0, Ordering::Relaxed);
        }
    }

    /// A worker is to be started in this database.
    pub fn begin(&self, oid: u32) {
        if self.place_of(oid).is_none()
            && let Some(free) = self.place_of(0)
        {
            free.store(oid, Ordering::Release);
        }
    }

    /// The worker has looked, and has left an entry if there is something to serve.
    pub fn answer(&self, oid: u32) {
        self.give_up(oid);
    }

    /// The worker has ended. Whether it had not answered.
    pub fn give_up(&self, oid: u32) -> bool {
        let ended = |place: &AtomicU32| {
            place
                .compare_exchange(oid, 0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        };
        self.0.iter().any(ended)
    }

    fn place_of(&self, oid: u32) -> Option<&AtomicU32> {
        self.0.iter().find(|place| place.load(Ordering::Acquire) == oid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probes() -> Probes {
        Probes([const { AtomicU32::new(0) }; MAX_PROBES])
    }

    #[test]
    fn worker_that_ended_without_an_answer_is_told_from_one_that_answered() {
        let probes = probes();
        probes.begin(7);
        probes.begin(8);
        probes.answer(7);
        assert!(!probes.give_up(7));
        assert!(probes.give_up(8));
        assert!(!probes.give_up(8), "once");
    }

    #[test]
    fn database_takes_one_place_however_often_it_is_looked_into() {
        let probes = probes();
        for _ in 0..10 {
            probes.begin(7);
        }
        for oid in 8..8 + MAX_PROBES as u32 {
            probes.begin(oid);
        }
        assert!(probes.give_up(7) && !probes.give_up(7));
        assert!(
            probes.give_up(10) && !probes.give_up(11),
            "there was no room for the last"
        );
    }
}

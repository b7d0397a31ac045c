//! Watching transactions that were prepared: COMMIT PREPARED runs in any session and calls nothing of ours, so
//! the leader looks whether they are still there.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Leader;
use crate::domain::time::Timestamp;
use crate::session::{self, Failure};
use crate::store;

/// How often to look while one is watched.
const POLL: Duration = Duration::from_millis(500);

/// Transactions that may have stored messages and were not finished when last looked at.
pub struct Prepared {
    watched: BTreeSet<u32>,
    /// Some may be missing among them: nothing is known at first, and notes may have had no room.
    all: bool,
    next_look: Timestamp,
}

/// Whether transactions that were prepared are so no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    None,
    /// One that was watched.
    Watched,
    /// Nobody knew which to watch.
    Perhaps,
}

impl Prepared {
    pub fn begin() -> Prepared {
        Prepared {
            watched: BTreeSet::new(),
            all: true,
            next_look: Timestamp::MIN,
        }
    }

    /// One with messages was prepared.
    pub fn watch(&mut self, transaction: i64) {
        if let Ok(transaction) = transaction.try_into() {
            self.watched.insert(transaction);
        }
    }

    /// Any may have been prepared.
    pub fn watch_all(&mut self) {
        self.all = true;
        self.look_at_once();
    }

    /// The time for the next look may have been reckoned by another clock.
    pub fn look_at_once(&mut self) {
        self.next_look = Timestamp::MIN;
    }

    pub fn next_look(&self) -> Timestamp {
        if self.all || !self.watched.is_empty() {
            self.next_look
        } else {
            Timestamp::MAX
        }
    }

    /// Takes over what is prepared now.
    fn see(&mut self, now_prepared: BTreeSet<u32>) -> Finished {
        let finished = if !self.watched.is_subset(&now_prepared) {
            Finished::Watched
        } else if self.all {
            Finished::Perhaps
        } else {
            Finished::None
        };
        if self.all {
            self.watched = now_prepared;
        } else {
            self.watched
                .retain(|transaction| now_prepared.contains(transaction));
        }
        self.all = false;
        finished
    }
}

impl Leader {
    /// Whether transactions that were prepared are so no longer. Asked before the tables are read, so that what it
    /// committed is seen then.
    pub fn has_prepared_finished(&mut self, now: Timestamp) -> Result<Finished, Failure> {
        if now < self.prepared.next_look() {
            return Ok(Finished::None);
        }
        let now_prepared = self.transaction(c"pg_hooks: looking at prepared transactions", |client| {
            store::prepared_transactions(client)
        })?;
        self.prepared.next_look = session::now().after(POLL);
        let finished = self.prepared.see(now_prepared);
        if finished != Finished::None {
            // What backends remember of queues and of rights on them may be out of date as well.
            self.database.generation.fetch_add(1, Ordering::AcqRel);
        }
        Ok(finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_was_finished_before_the_first_look_is_noticed_while_another_stays() {
        let mut prepared = Prepared::begin();
        assert_eq!(prepared.see([7].into()), Finished::Perhaps);
        assert_eq!(prepared.see([7].into()), Finished::None);
        prepared.watch(8);
        assert_eq!(
            prepared.see([7].into()),
            Finished::Watched,
            "8 came and went between two looks"
        );
        assert_eq!(prepared.see([7].into()), Finished::None);
    }

    #[test]
    fn what_others_prepare_is_watched_only_where_notes_may_be_missing() {
        let mut prepared = Prepared::begin();
        prepared.see(BTreeSet::new());
        assert_eq!(prepared.next_look(), Timestamp::MAX);
        assert_eq!(prepared.see([7].into()), Finished::None);
        assert_eq!(prepared.see(BTreeSet::new()), Finished::None, "7 stored nothing");
        prepared.watch_all();
        assert_eq!(prepared.see([9].into()), Finished::Perhaps);
        assert_eq!(
            prepared.see(BTreeSet::new()),
            Finished::Watched,
            "9 may have stored something"
        );
    }

    #[test]
    fn one_that_is_known_to_have_finished_is_told_of_also_when_others_may_have() {
        let mut prepared = Prepared::begin();
        prepared.watch(8);
        assert_eq!(prepared.see(BTreeSet::new()), Finished::Watched);
    }
}

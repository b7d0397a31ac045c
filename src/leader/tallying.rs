//! Folding what was counted into the tables of statistics.
//!
//! Each transaction that records something logs its counts with it, so that none is lost or counted
//! twice, whatever crashes. Some time later they are folded into rows that are updated: the fewer
//! updates, the fewer dead rows that everybody has to pass while an old snapshot is held.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Leader;
use crate::domain::tally::Tally;
use crate::domain::time::Timestamp;
use crate::log;
use crate::session::{self, Failure};
use crate::store::{self, Buried, Logged};

/// Counts wait so long for others to be folded with them.
const FOLD_AFTER: Duration = Duration::from_secs(1);
const MINUTE_MICROS: i64 = 60_000_000;

/// What was counted and is not folded.
pub struct Tallying {
    /// By the minute in which they were logged.
    minutes: BTreeMap<Timestamp, Tally>,
    /// In `hooks.tally_log`: up to here all is folded, and up to there it is in `minutes`.
    folded: i64,
    logged: i64,
    /// The first that this leader logged.
    first: Option<i64>,
    /// Whether what the last leader left was read.
    recovered: bool,
    /// When to fold; [`Timestamp::MAX`] when there is nothing.
    pub fold_at: Timestamp,
    /// The minute in which activity was noted last.
    noted: Timestamp,
}

/// Dead letters by queue.
pub fn dead_among(buried: &[Buried]) -> Tally {
    let mut tally = Tally::default();
    for letter in buried {
        tally.of(letter.queue_id).dead += 1;
    }
    tally
}

impl Tallying {
    pub fn begin(now: Timestamp) -> Tallying {
        Tallying {
            minutes: BTreeMap::new(),
            folded: 0,
            logged: 0,
            first: None,
            recovered: false,
            fold_at: now,
            noted: Timestamp::MIN,
        }
    }

    /// Takes over what was logged, once that is committed.
    pub fn take(&mut self, logged: Option<Logged>) {
        let Some(logged) = logged else { return };
        if self.fold_at == Timestamp::MAX {
            self.fold_at = logged.at.after(FOLD_AFTER);
        }
        self.first.get_or_insert(logged.id);
        self.merge(logged);
    }

    fn merge(&mut self, logged: Logged) {
        self.logged = self.logged.max(logged.id);
        self.minutes
            .entry(minute_of(logged.at))
            .or_default()
            .merge(&logged.tally);
    }
}

fn minute_of(at: Timestamp) -> Timestamp {
    Timestamp(at.0 - at.0.rem_euclid(MINUTE_MICROS))
}

impl Leader {
    /// Folds what was counted. What fails is tried again, with what was counted meanwhile.
    pub fn fold(&mut self, now: Timestamp) -> Result<(), Failure> {
        if !self.tallying.recovered {
            self.recover_counts()?;
        }
        let tallying = &self.tallying;
        let note = minute_of(now) != tallying.noted;
        self.transaction(c"pg_hooks: folding counts", |client| {
            if !tallying.minutes.is_empty() {
                store::fold(client, &tallying.minutes, tallying.folded, tallying.logged)?;
            }
            if note {
                store::note_activity(client)?;
            }
            Ok(())
        })?;
        self.tallying.minutes.clear();
        self.tallying.folded = self.tallying.logged;
        self.tallying.noted = minute_of(now);
        self.tallying.fold_at = Timestamp::MAX;
        Ok(())
    }

    /// Reads what the last leader logged and did not fold.
    fn recover_counts(&mut self) -> Result<(), Failure> {
        let before = self.tallying.first.unwrap_or(i64::MAX);
        let left = self.transaction(c"pg_hooks: reading counts", |client| {
            store::unfolded(client, before)
        })?;
        for logged in left {
            self.tallying.merge(logged);
        }
        self.tallying.recovered = true;
        Ok(())
    }

    /// Folds what is left; if that fails, the next leader does it.
    pub fn fold_at_the_end(&mut self) {
        if let Err(failure) = self.fold(session::now()) {
            log::leaves_counts(failure);
        }
    }
}

//! Removing what has served its time, some at a time: days of the history, rows of it that are in no day's
//! partition, dead letters, idempotency keys, secrets past their grace, events that nothing tells of, counts
//! of times past. And making the partitions of the days to come.

use pgrx::PgSqlErrorCode;

use super::Leader;
use crate::domain::time::Timestamp;
use crate::session::Failure;
use crate::store::{self, Day};
use crate::{guc, log};

/// Readers that come and go without a gap would keep a day for ever. After so many refusals, every so many times, the
/// worker queues for the locks, as long as it ever waits for one; who comes then waits as long behind it.
const PATIENCE: (u32, u32) = (100, 20);

/// What is left to look at until the next rescan.
pub struct Tidying {
    /// Whether to ask for the days whose partition is to be made or dropped, and those asked for.
    calendar: bool,
    days: Vec<Day>,
    /// Drops in a row that locks of readers were in the way of.
    refused: u32,
    history: bool,
    dead_letters: bool,
    keys: bool,
    events: bool,
    /// Events up to this id were looked at.
    after: i64,
    counts: bool,
    /// Totals of queues up to this id were looked at.
    totals_after: i64,
}

impl Tidying {
    pub fn begin() -> Tidying {
        Tidying {
            calendar: true,
            days: Vec::new(),
            refused: 0,
            history: true,
            dead_letters: true,
            keys: true,
            events: true,
            after: i64::MIN,
            counts: true,
            totals_after: i64::MIN,
        }
    }

    /// Asks for another look; it goes on where the last one paused.
    pub fn ask(&mut self) {
        self.calendar = true;
        self.history = true;
        self.dead_letters = true;
        self.keys = true;
        self.events = true;
        self.counts = true;
    }

    fn is_patient(&self) -> bool {
        let (refusals, every) = PATIENCE;
        self.refused >= refusals && self.refused.is_multiple_of(every)
    }

    /// What is next is left for another time.
    fn put_off(&mut self) {
        let parts = [
            &mut self.history,
            &mut self.dead_letters,
            &mut self.keys,
            &mut self.events,
            &mut self.counts,
        ];
        if let Some(part) = parts.into_iter().find(|part| **part) {
            *part = false;
        }
    }

    pub fn is_under_way(&self) -> bool {
        self.calendar
            || !self.days.is_empty()
            || self.history
            || self.dead_letters
            || self.keys
            || self.events
            || self.counts
    }
}

impl Leader {
    /// One step. A step that finds nothing to remove is the last one until the next rescan, so that a
    /// long stretch of events that must stay costs little.
    ///
    /// What somebody has locked is left for another time.
    pub fn tidy(&mut self) -> Result<(), Failure> {
        if self.tidying.calendar || !self.tidying.days.is_empty() {
            return self.turn_days();
        }
        self.tidy_some().or_else(|failure| match failure.code {
            PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE => {
                self.tidying.put_off();
                Ok(())
            }
            _ => Err(failure),
        })
    }

    /// Makes the partitions that are missing before anything is recorded.
    pub fn begin_history(&mut self) {
        while self.tidying.calendar || !self.tidying.days.is_empty() {
            if let Err(failure) = self.turn_days() {
                log::could_not_look_at_days(failure);
            }
        }
    }

    /// Makes or drops the partition of one day. One that cannot be dropped, as somebody's view needs it,
    /// stops no other.
    pub fn turn_days(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.tidying.calendar) {
            self.tidying.days = self.transaction(c"pg_hooks: looking at days of the history", |client| {
                store::history_work(client, guc::retention())
            })?;
        }
        let Some(day) = self.tidying.days.pop() else {
            return Ok(());
        };
        let patient = self.tidying.is_patient();
        let turned = self.transaction(c"pg_hooks: turning days of the history", |client| {
            store::turn_day(client, &day, patient)
        });
        match turned {
            Err(failure) if failure.code == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE => {
                self.tidying.refused = self.tidying.refused.saturating_add(u32::from(day.is_over));
                Ok(())
            }
            Err(failure) => {
                self.leave_if_extension_is_gone(&failure);
                log::could_not_turn_day(day, failure);
                Ok(())
            }
            Ok(()) => {
                if day.is_over {
                    self.tidying.refused = 0;
                }
                Ok(())
            }
        }
    }

    fn tidy_some(&mut self) -> Result<(), Failure> {
        if self.tidying.history {
            let gone = self.transaction(c"pg_hooks: removing history", |client| {
                store::forget_history(client, guc::retention())
            })?;
            self.tidying.history = gone > 0;
        } else if self.tidying.dead_letters {
            let gone = self.transaction(c"pg_hooks: removing dead letters", |client| {
                store::forget_dead_letters(client, guc::retention())
            })?;
            self.tidying.dead_letters = !gone.is_empty();
            for queue_id in gone {
                // Messages of its ordering key may have waited for it.
                self.scheduler.note_due(queue_id, Timestamp::MIN);
            }
        } else if self.tidying.keys {
            let gone = self.transaction(c"pg_hooks: removing idempotency keys and secrets", |client| {
                store::forget_secrets(client)?;
                store::forget_keys(client)
            })?;
            self.tidying.keys = gone > 0;
        } else if self.tidying.events && !self.had_queues {
            // While a dump is being restored, events come before the messages that tell of them.
            self.tidying.events = false;
        } else if self.tidying.events {
            let after = self.tidying.after;
            let (last, gone) = self.transaction(c"pg_hooks: removing events", |client| {
                store::forget_events(client, after)
            })?;
            self.tidying.after = last.unwrap_or(i64::MIN);
            self.tidying.events = last.is_some() && gone > 0;
        } else if self.tidying.counts {
            self.tidying.counts = self.tidy_counts()?;
        }
        Ok(())
    }

    /// Returns whether there may be more to do now.
    fn tidy_counts(&mut self) -> Result<bool, Failure> {
        let after = self.tidying.totals_after;
        let (done, last) = self.transaction(c"pg_hooks: tidying counts", |client| {
            store::note_activity(client)?;
            let added = store::add_cancelled(client)?;
            let merged = store::merge_minutes(client)?;
            let gone = store::forget_hours(client)?;
            Ok((
                added + merged + gone,
                store::forget_dropped_queues(client, after)?,
            ))
        })?;
        self.tidying.totals_after = last.unwrap_or(i64::MIN);
        Ok(done > 0)
    }
}

//! Removing what has served its time, some at a time: days of the history, rows of it that are in no day's
//! partition, dead letters, idempotency keys, secrets past their grace, events that nothing tells of, counts
//! of times past. And making the partitions of the days to come.

use std::time::Duration;

use pgrx::PgSqlErrorCode;

use super::Leader;
use crate::domain::time::Timestamp;
use crate::session::Failure;
use crate::store::{self, Day};
use crate::{guc, log};

/// Readers that come and go without a gap would keep a day for ever. After so many refusals, every so many times, the
/// worker queues for the locks, as long as it ever waits for one; who comes then waits as long behind it.
const PATIENCE: (u32, u32) = (100, 20);

/// A part that failed rests for so long, whatever else there is to tidy; twice as long each further time.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// What goes row by row, in the order in which it is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    History,
    DeadLetters,
    Keys,
    Events,
    Counts,
}

impl Part {
    const ALL: [Part; 5] = [
        Part::History,
        Part::DeadLetters,
        Part::Keys,
        Part::Events,
        Part::Counts,
    ];

    fn name(self) -> &'static str {
        match self {
            Part::History => "removing history",
            Part::DeadLetters => "removing dead letters",
            Part::Keys => "removing idempotency keys and secrets",
            Part::Events => "removing events",
            Part::Counts => "tidying counts",
        }
    }
}

/// Every so many looks at idempotency keys begin with the first.
const KEYS_LOOKS: u32 = 20;

struct Trouble {
    part: Part,
    rest: Duration,
    rest_until: Timestamp,
}

/// What is left to look at until the next rescan.
pub struct Tidying {
    /// Whether to ask for the days whose partition is to be made or dropped, and those asked for.
    calendar: bool,
    days: Vec<Day>,
    /// Drops in a row that locks of readers were in the way of.
    refused: u32,
    /// What is still to be looked at, the next one last.
    parts: Vec<Part>,
    /// Parts that failed when they were last done.
    troubles: Vec<Trouble>,
    /// Idempotency keys that ended before this are gone, but for those that were locked or came late.
    keys_from: Timestamp,
    /// Looks at them since one that began with the first.
    keys_looks: u32,
    /// Events up to this id were looked at.
    after: i64,
    /// Totals of queues up to this id were looked at.
    totals_after: i64,
}

impl Tidying {
    pub fn begin() -> Tidying {
        Tidying {
            calendar: true,
            days: Vec::new(),
            refused: 0,
            parts: Part::ALL.into_iter().rev().collect(),
            troubles: Vec::new(),
            keys_from: Timestamp::MIN,
            keys_looks: 0,
            after: i64::MIN,
            totals_after: i64::MIN,
        }
    }

    /// Asks for another look, but at what rests; it goes on where the last one paused.
    pub fn ask(&mut self, now: Timestamp) {
        self.calendar = true;
        self.keys_looks = (self.keys_looks + 1) % KEYS_LOOKS;
        if self.keys_looks == 0 {
            self.keys_from = Timestamp::MIN;
        }
        let troubles = &self.troubles;
        let rests = |part: &Part| troubles.iter().any(|t| t.part == *part && now < t.rest_until);
        self.parts = Part::ALL.into_iter().rev().filter(|part| !rests(part)).collect();
    }

    /// The clock was set back: what rests does not rest the longer for it.
    pub fn set_back(&mut self, now: Timestamp) {
        for trouble in &mut self.troubles {
            trouble.rest_until = now.min(trouble.rest_until);
        }
        self.keys_from = Timestamp::MIN;
    }

    /// A part failed. Returns how long it rests.
    fn rest(&mut self, part: Part, now: Timestamp) -> Duration {
        let before = self.troubles.iter().find(|trouble| trouble.part == part);
        let rest = before.map_or(FIRST_REST, |trouble| LONGEST_REST.min(trouble.rest * 2));
        self.be_well(part);
        self.troubles.push(Trouble {
            part,
            rest,
            rest_until: now.after(rest),
        });
        rest
    }

    /// A part did not fail.
    fn be_well(&mut self, part: Part) {
        self.troubles.retain(|trouble| trouble.part != part);
    }

    fn is_patient(&self) -> bool {
        let (refusals, every) = PATIENCE;
        self.refused >= refusals && self.refused.is_multiple_of(every)
    }

    pub fn is_under_way(&self) -> bool {
        self.calendar || !self.days.is_empty() || !self.parts.is_empty()
    }
}

impl Leader {
    /// One step. A step that finds nothing to remove is the last one until the next rescan, so that a
    /// long stretch of events that must stay costs little.
    ///
    /// What somebody has locked is left for another time, and what fails rests, so that neither stops the
    /// other parts, nor what else the leader follows.
    pub fn tidy(&mut self, now: Timestamp) {
        if self.tidying.calendar || !self.tidying.days.is_empty() {
            return self.turn_days();
        }
        let Some(part) = self.tidying.parts.last().copied() else {
            return;
        };
        let has_more = match self.tidy_some(part) {
            Ok(has_more) => {
                self.tidying.be_well(part);
                has_more
            }
            Err(failure) if failure.code == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE => false,
            Err(failure) => {
                let rest = self.tidying.rest(part, now);
                self.report(&failure, || log::rests(part.name(), rest.as_millis(), &failure));
                false
            }
        };
        if !has_more {
            self.tidying.parts.pop();
        }
    }

    /// Makes the partitions that are missing before anything is recorded.
    pub fn begin_history(&mut self) {
        while self.tidying.calendar || !self.tidying.days.is_empty() {
            self.turn_days();
        }
    }

    /// Makes or drops the partition of one day. One that cannot be dropped, as somebody's view needs it,
    /// stops no other.
    fn turn_days(&mut self) {
        if std::mem::take(&mut self.tidying.calendar) {
            let work = self.transaction(c"pg_hooks: looking at days of the history", |client| {
                store::history_work(client, guc::retention())
            });
            self.tidying.days = work.unwrap_or_else(|failure| {
                self.report(&failure, || log::could_not_look_at_days(&failure));
                Vec::new()
            });
        }
        let Some(day) = self.tidying.days.pop() else {
            return;
        };
        let patient = self.tidying.is_patient();
        let turned = self.transaction(c"pg_hooks: turning days of the history", |client| {
            store::turn_day(client, &day, patient)
        });
        match turned {
            Err(failure) if failure.code == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE => {
                self.tidying.refused = self.tidying.refused.saturating_add(u32::from(day.is_over));
            }
            Err(failure) => {
                self.report(&failure, || log::could_not_turn_day(day, &failure));
            }
            Ok(()) => {
                if day.is_over {
                    self.tidying.refused = 0;
                }
            }
        }
    }

    /// Returns whether there may be more of it to do now.
    fn tidy_some(&mut self, part: Part) -> Result<bool, Failure> {
        match part {
            Part::History => {
                let gone = self.transaction(c"pg_hooks: removing history", |client| {
                    store::forget_history(client, guc::retention())
                })?;
                Ok(gone > 0)
            }
            Part::DeadLetters => {
                let gone = self.transaction(c"pg_hooks: removing dead letters", |client| {
                    store::forget_dead_letters(client, guc::retention())
                })?;
                for queue_id in &gone {
                    // Messages of its ordering key may have waited for it.
                    self.scheduler.note_due(*queue_id, Timestamp::MIN);
                }
                Ok(!gone.is_empty())
            }
            Part::Keys => {
                let from = self.tidying.keys_from;
                let gone =
                    self.transaction(c"pg_hooks: removing idempotency keys and secrets", |client| {
                        store::forget_secrets(client)?;
                        store::forget_keys(client, from)
                    })?;
                self.tidying.keys_from = gone.unwrap_or(from);
                Ok(gone.is_some())
            }
            // While a dump is being restored, events come before the messages that tell of them.
            Part::Events if !self.had_queues => Ok(false),
            Part::Events => {
                let after = self.tidying.after;
                let (last, gone) = self.transaction(c"pg_hooks: removing events", |client| {
                    store::forget_events(client, after)
                })?;
                self.tidying.after = last.unwrap_or(i64::MIN);
                Ok(last.is_some() && gone > 0)
            }
            Part::Counts => self.tidy_counts(),
        }
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

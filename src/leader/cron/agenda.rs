//! The entries of `hooks.cron` in memory, in the order of their next runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pgrx::pg_sys;

use crate::domain::cron::{CronError, Due, MissedPolicy, Schedule, due};
use crate::domain::time::Timestamp;
use crate::session::{ServerZone, UnknownZone};
use crate::store::{CronRow, Run};

/// Longest rest of an entry that cannot run, in seconds.
const LONGEST_REST: u64 = 60;

/// What the leader knows of the entries.
#[derive(Default)]
pub struct Agenda {
    entries: BTreeMap<i64, Known>,
    /// The entries that wait for a run, by when to look at them.
    order: BTreeSet<(Timestamp, i64)>,
}

/// One row, as far as it is read.
struct Known {
    version: pg_sys::TransactionId,
    /// `None` when nothing is to be done until the row changes.
    entry: Option<Entry>,
}

struct Entry {
    planned: Timestamp,
    /// As planned, or later while it rests.
    looked_at: Timestamp,
    /// How often in a row it could not run.
    failures: u32,
    schedule: Schedule,
    zone: ServerZone,
    missed: MissedPolicy,
    missed_limit: usize,
    publishes: bool,
}

impl Agenda {
    /// When the first entry is to run.
    pub fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Whether this version of the row is known.
    pub fn knows(&self, row: &CronRow) -> bool {
        self.entries
            .get(&row.id)
            .is_some_and(|known| known.version == row.version)
    }

    /// Takes a row over, in place of what was known of it.
    ///
    /// # Errors
    /// The row is not valid; it does nothing until it changes.
    pub fn put(&mut self, row: CronRow) -> Result<(), String> {
        self.remove(row.id);
        let (id, version) = (row.id, row.version);
        let entry = row.planned.map(|planned| read(row, planned)).transpose();
        let (entry, result) = match entry {
            Ok(entry) => (entry, Ok(())),
            Err(problem) => (None, Err(problem)),
        };
        if let Some(entry) = &entry {
            self.order.insert((entry.looked_at, id));
        }
        self.entries.insert(id, Known { version, entry });
        result
    }

    /// Forgets a row that is gone, or is to be read again.
    pub fn remove(&mut self, id: i64) {
        let known = self.entries.remove(&id);
        if let Some(entry) = known.and_then(|known| known.entry) {
            self.order.remove(&(entry.looked_at, id));
        }
    }

    /// Has an entry that could not run at `now` do nothing for a while, or until its row changes: for a
    /// second, and twice as long after each further failure, up to a minute. Returns how long.
    pub fn rest(&mut self, id: i64, now: Timestamp) -> Option<Duration> {
        let entry = self.entries.get_mut(&id)?.entry.as_mut()?;
        let pause = Duration::from_secs((1 << entry.failures.min(6)).min(LONGEST_REST));
        self.order.remove(&(entry.looked_at, id));
        entry.failures += 1;
        entry.looked_at = now.after(pause);
        self.order.insert((entry.looked_at, id));
        Some(pause)
    }

    /// The clock was set back: entries that rest do so for a minute more at most, or until they are planned.
    pub fn set_back(&mut self, now: Timestamp) {
        let at_most = now.after(Duration::from_secs(LONGEST_REST));
        for (id, known) in &mut self.entries {
            let Some(entry) = known.entry.as_mut().filter(|entry| entry.failures > 0) else {
                continue;
            };
            self.order.remove(&(entry.looked_at, *id));
            entry.looked_at = entry.planned.max(at_most.min(entry.looked_at));
            self.order.insert((entry.looked_at, *id));
        }
    }

    /// An entry ran; its row has a new version.
    pub fn advance(&mut self, id: i64, version: pg_sys::TransactionId, next: Option<Timestamp>) {
        let Some(known) = self.entries.get_mut(&id) else {
            return;
        };
        known.version = version;
        let Some(entry) = &mut known.entry else { return };
        self.order.remove(&(entry.looked_at, id));
        match next {
            Some(next) => {
                (entry.planned, entry.looked_at, entry.failures) = (next, next, 0);
                self.order.insert((next, id));
            }
            None => known.entry = None,
        }
    }

    /// Forgets the rows within these bounds that are not among those seen, which are in order.
    pub fn forget_gone(&mut self, after: i64, last: i64, seen: &[CronRow]) {
        let gone = |id: &&i64| seen.binary_search_by_key(*id, |row| row.id).is_err();
        let bounds = (std::ops::Bound::Excluded(after), std::ops::Bound::Included(last));
        let gone: Vec<i64> = self
            .entries
            .range(bounds)
            .map(|(id, _)| id)
            .filter(gone)
            .copied()
            .collect();
        for id in gone {
            self.remove(id);
        }
    }

    /// What is to be done at `now`: of at most `max_entries`, and stopping at so many ticks.
    pub fn due(&self, now: Timestamp, max_entries: usize, max_ticks: usize) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut ticks = 0;
        for (_, id) in self.order.range(..=(now, i64::MAX)).take(max_entries) {
            let Some(entry) = self.entries.get(id).and_then(|known| known.entry.as_ref()) else {
                continue;
            };
            let Entry {
                planned,
                schedule,
                zone,
                missed,
                missed_limit,
                publishes,
                ..
            } = entry;
            let Due {
                ticks: of_entry,
                next,
            } = due(schedule, zone, *planned, now, *missed, *missed_limit);
            ticks += of_entry.len();
            if ticks > max_ticks && !runs.is_empty() {
                break;
            }
            runs.push(Run {
                id: *id,
                planned: *planned,
                next,
                ticks: of_entry,
                publishes: *publishes,
            });
        }
        runs
    }
}

fn read(row: CronRow, planned: Timestamp) -> Result<Entry, String> {
    Ok(Entry {
        planned,
        looked_at: planned,
        failures: 0,
        schedule: row
            .schedule
            .parse()
            .map_err(|error: CronError| error.to_string())?,
        zone: ServerZone::named(&row.timezone).map_err(|unknown: UnknownZone| unknown.to_string())?,
        // Of several missed ticks the first would stand in the way of the others.
        missed: match row.missed {
            MissedPolicy::All if !row.overlaps => MissedPolicy::Once,
            policy => policy,
        },
        missed_limit: row.missed_limit,
        publishes: row.publishes,
    })
}

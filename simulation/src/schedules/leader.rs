//! The table, the leader, and what must hold of each tick.

use std::collections::BTreeSet;
use std::time::Duration;

use super::vocabulary::{ENTRIES, Entry, Event, Setup};
use crate::defects::{Defect, is_planted};
use crate::domain::cron::{Due, MissedPolicy, ON_TIME, Schedule, Tick, Zone, due};
use crate::domain::time::Timestamp;
use crate::rule;

const SECOND: i64 = 1_000_000;
/// 2026-03-28, a day before clocks in Europe go forward.
const BEGINNING: Timestamp = Timestamp(1_774_656_000 * SECOND);
/// 2026-03-29, 01:00 UTC.
const SUMMER: Timestamp = Timestamp(1_774_746_000 * SECOND);

/// UTC, or an hour and in summer two hours east of it.
struct Place {
    has_summer: bool,
}

impl Zone for Place {
    fn utc_offset(&self, at: Timestamp) -> i32 {
        match self.has_summer {
            false => 0,
            true if at < SUMMER => 3600,
            true => 7200,
        }
    }
}

/// A row of `hooks.cron`, and what became of it.
struct Row {
    entry: Entry,
    schedule: Schedule,
    /// What it waits for; `None` while it is paused.
    planned: Option<Timestamp>,
    /// Changes whenever a user changes the row.
    version: u32,
    /// Ticks that made a message since then.
    ran: BTreeSet<Timestamp>,
}

/// Everything.
pub struct World {
    now: Timestamp,
    rows: Vec<Row>,
    /// What the leader has read: what each row waits for, and with which schedule.
    known: Vec<Option<(Timestamp, Entry, u32)>>,
}

impl World {
    pub fn new(setup: &Setup) -> World {
        let mut world = World {
            now: BEGINNING,
            rows: Vec::new(),
            known: Vec::new(),
        };
        for entry in setup.entries {
            let row = Row {
                entry,
                schedule: parse(entry),
                planned: None,
                version: 0,
                ran: BTreeSet::new(),
            };
            world.rows.push(row);
        }
        for at in 0..ENTRIES {
            world.plan_next(at);
        }
        world.read();
        world
    }

    pub fn happens(&mut self, event: &Event) {
        match *event {
            Event::Look => self.look(false),
            Event::LookAndDie => self.look(true),
            Event::Die | Event::Tell => self.read(),
            Event::Advance { ms } => self.now = Timestamp(self.now.0 + i64::from(ms) * 1000),
            Event::Jump { s } => self.now = Timestamp(self.now.0 + i64::from(s) * SECOND),
            Event::Plan { entry, in_s } => {
                let at = Timestamp(self.now.0 + i64::from(in_s) * SECOND);
                let row = &mut self.rows[usize::from(entry) % ENTRIES];
                if row.planned.is_some() {
                    row.planned = Some(at);
                    row.changed();
                }
            }
            Event::Replace { entry, with } => {
                let at = usize::from(entry) % ENTRIES;
                self.rows[at].entry = with;
                self.rows[at].schedule = parse(with);
                self.plan_next(at);
            }
            Event::Pause { entry } => {
                let row = &mut self.rows[usize::from(entry) % ENTRIES];
                row.planned = None;
                row.changed();
            }
            Event::Resume { entry } => {
                let at = usize::from(entry) % ENTRIES;
                if self.rows[at].planned.is_none() {
                    self.plan_next(at);
                }
            }
        }
    }

    fn plan_next(&mut self, at: usize) {
        let row = &mut self.rows[at];
        row.planned = row.schedule.next_after(self.now, &row.entry.place());
        row.changed();
    }

    /// The leader reads all rows, as after a start and when it hears of changes.
    fn read(&mut self) {
        let known = |row: &Row| Some((row.planned?, row.entry, row.version));
        self.known = self.rows.iter().map(known).collect();
    }

    /// The leader does what has come, as far as it knows.
    pub fn look(&mut self, dies: bool) {
        for at in 0..ENTRIES {
            let Some((planned, entry, version)) = self.known[at].filter(|(planned, ..)| *planned <= self.now)
            else {
                continue;
            };
            let limit = usize::from(entry.missed_limit) + usize::from(is_planted(Defect::OneRunMore));
            let mut done = due(
                &parse(entry),
                &entry.place(),
                planned,
                self.now,
                entry.missed,
                limit,
            );
            if is_planted(Defect::RunsAhead) {
                let late = false;
                let at = self.now.after(Duration::from_secs(1));
                done.ticks.push(Tick { at, late });
            }
            if is_planted(Defect::NextRunMissed) {
                done.next = done.next.map(|next| next.after(Duration::from_secs(1)));
            }
            check_due(entry, planned, self.now, &done);
            if dies {
                continue;
            }
            let row = &mut self.rows[at];
            // The statement that stores the ticks looks at the plan alone.
            if row.planned == Some(planned) {
                for tick in &done.ticks {
                    let is_new = row.ran.insert(tick.at) || row.version != version;
                    rule!(is_new, "no tick runs twice", "entry {at} at {:?}", tick.at);
                }
                if !is_planted(Defect::PlanNotMoved) {
                    row.planned = done.next;
                }
            }
            self.known[at] = row.planned.map(|planned| (planned, row.entry, row.version));
        }
        if dies {
            self.read();
        }
    }
}

impl Row {
    /// A user changed it: what ran before says nothing of what is to run now.
    fn changed(&mut self) {
        self.version += 1;
        self.ran.clear();
    }
}

impl Entry {
    fn place(self) -> Place {
        Place {
            has_summer: self.has_summer,
        }
    }

    /// The runs from one time to another, both included, by adding up seconds.
    fn runs_between(self, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        let (period, phase) = self.runs.period_and_phase();
        let first = (from.0 - phase * SECOND).div_euclid(SECOND * period);
        let last = (to.0 - phase * SECOND).div_euclid(SECOND * period);
        let runs = (first..=last).map(|n| Timestamp((n * period + phase) * SECOND));
        runs.filter(|run| *run >= from).collect()
    }
}

fn parse(entry: Entry) -> Schedule {
    entry
        .runs
        .expression()
        .parse()
        .expect("an expression that is valid")
}

/// What runs is what the policy says of all that was to run, and then the first run after now is waited for.
fn check_due(entry: Entry, planned: Timestamp, now: Timestamp, done: &Due) {
    let mut runs = entry.runs_between(planned, now);
    let limit = usize::from(entry.missed_limit);
    let keeps = if entry.missed == MissedPolicy::All {
        limit
    } else {
        1
    };
    // A time that a user chose is a run, before all others, if these leave room.
    if runs.first() != Some(&planned) && runs.len() < keeps {
        runs.insert(0, planned);
    }
    let latest = runs.last().copied();
    let is_late = |run: Timestamp| Some(run) != latest || now.since(run) >= ON_TIME;
    let mut expected: Vec<Tick> = runs
        .iter()
        .map(|run| Tick {
            at: *run,
            late: is_late(*run),
        })
        .collect();
    expected.drain(..expected.len().saturating_sub(keeps));
    if entry.missed == MissedPolicy::Skip {
        expected.retain(|tick| !tick.late);
    }
    rule!(
        done.ticks == expected,
        "missed runs are made up for as the policy says",
        "{:?} instead of {expected:?}",
        done.ticks
    );
    rule!(
        done.ticks.iter().all(|tick| planned <= tick.at && tick.at <= now),
        "a tick lies between what was planned and now"
    );
    let (period, _) = entry.runs.period_and_phase();
    let soon = Timestamp(now.0 + 1);
    let next = entry
        .runs_between(soon, Timestamp(now.0 + period * SECOND))
        .first()
        .copied();
    rule!(
        done.next == next,
        "an entry waits for its first run after now",
        "{:?} instead of {next:?}",
        done.next
    );
}

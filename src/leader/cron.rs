//! Schedules: making the messages of ticks.
//!
//! The entries are in memory, so that nothing is asked until a tick comes. A tick is one transaction that
//! stores its message and plans the next, if the row still waits for this one: so it makes one message,
//! whoever led before and wherever the clock goes.

mod agenda;

use pgrx::prelude::*;

use self::agenda::Agenda;
use super::{LOCK_POLL, Leader};
use crate::domain::time::Timestamp;
use crate::session::{self, Failure};
use crate::store::{self, CronRow, Ran, Run};
use crate::{log, worker};

/// Entries handled in one transaction: some milliseconds. In between, deliveries go on.
const SLICE: usize = 500;
/// Ticks of one transaction, unless one entry alone has more.
const MAX_TICKS: usize = 1000;

/// What the leader knows of schedules. All of it can be lost: the table says what is to be done.
pub struct Cron {
    agenda: Agenda,
    /// Rows to read, as a commit told of them.
    changed: Vec<i64>,
    /// Rows that were locked or replaced when their tick came, and when to read them again.
    held_up: Vec<i64>,
    held_up_until: Timestamp,
    /// Rows up to this id were surveyed; `None` when no survey is under way.
    surveyed: Option<i64>,
    /// Something happened meanwhile that asks for another one.
    again: bool,
    /// After a failed transaction nothing is done until then.
    pub rest_until: Timestamp,
}

impl Cron {
    /// Nothing is known, and a first survey is under way.
    pub fn begin() -> Cron {
        Cron {
            agenda: Agenda::default(),
            changed: Vec::new(),
            held_up: Vec::new(),
            held_up_until: Timestamp::MIN,
            surveyed: Some(i64::MIN),
            again: false,
            rest_until: Timestamp::MIN,
        }
    }

    /// A commit changed this row.
    pub fn note_changed(&mut self, id: i64) {
        self.changed.push(id);
    }

    /// Asks for a look at all rows that begins now or later.
    pub fn ask_survey(&mut self) {
        match self.surveyed {
            // It has not looked at anything yet, and so will see everything.
            Some(i64::MIN) => {}
            Some(_) => self.again = true,
            None => self.surveyed = Some(i64::MIN),
        }
    }

    /// When there is something to do.
    pub fn next_look(&self) -> Timestamp {
        let mut at = self.agenda.next().unwrap_or(Timestamp::MAX);
        if !self.held_up.is_empty() {
            at = at.min(self.held_up_until);
        }
        if self.surveyed.is_some() || !self.changed.is_empty() {
            at = Timestamp::MIN;
        }
        at.max(self.rest_until)
    }

    /// The clock was set back: what rests does not rest the longer for it.
    pub fn set_back(&mut self, now: Timestamp) {
        self.held_up_until = now.min(self.held_up_until);
        self.rest_until = now.min(self.rest_until);
        self.agenda.set_back(now);
    }

    fn take_over(&mut self, row: CronRow) {
        let id = row.id;
        if let Err(problem) = self.agenda.put(row) {
            log::schedule_invalid(id, problem);
        }
    }
}

impl Leader {
    /// Follows what changed, and handles some of the ticks that have come.
    pub fn run_cron(&mut self, now: Timestamp) -> Result<(), Failure> {
        if !self.cron.held_up.is_empty() && now >= self.cron.held_up_until {
            let held_up = std::mem::take(&mut self.cron.held_up);
            self.cron.changed.extend(held_up);
        }
        self.load_changed_cron()?;
        self.survey_cron()?;
        let runs = self.cron.agenda.due(now, SLICE, MAX_TICKS);
        self.tick(runs, now)
    }

    fn load_changed_cron(&mut self) -> Result<(), Failure> {
        if self.cron.changed.is_empty() {
            return Ok(());
        }
        let ids = self.cron.changed.clone();
        let rows = self.transaction(c"pg_hooks: loading changed schedules", |client| {
            store::load_cron(client, ids)
        })?;
        for id in std::mem::take(&mut self.cron.changed) {
            self.cron.agenda.remove(id);
        }
        for row in rows {
            self.cron.take_over(row);
        }
        Ok(())
    }

    /// Looks at some rows more when a survey is under way.
    fn survey_cron(&mut self) -> Result<(), Failure> {
        let Some(after) = self.cron.surveyed else {
            return Ok(());
        };
        let limit = i32::try_from(SLICE).unwrap_or(i32::MAX);
        let rows = self.transaction(c"pg_hooks: looking at schedules", |client| {
            store::survey_cron(client, after, limit)
        })?;
        let is_last = rows.len() < SLICE;
        let last = rows.last().filter(|_| !is_last).map_or(i64::MAX, |row| row.id);
        self.cron.agenda.forget_gone(after, last, &rows);
        for row in rows {
            if !self.cron.agenda.knows(&row) {
                self.cron.take_over(row);
            }
        }
        self.cron.surveyed = (!is_last).then_some(last);
        if is_last && std::mem::take(&mut self.cron.again) {
            self.cron.ask_survey();
        }
        Ok(())
    }

    /// A batch that fails is halved until the entry that cannot run is alone. That one rests, and is tried
    /// again: an id may be taken, or a setting wrong, for a while only.
    fn tick(&mut self, mut runs: Vec<Run>, now: Timestamp) -> Result<(), Failure> {
        if runs.is_empty() {
            return Ok(());
        }
        match self.store_ticks(&runs, now) {
            Ok(ran) => {
                self.advance(&runs, &ran, now);
                Ok(())
            }
            Err(failure) if !can_be_of_an_entry(&failure) => Err(failure),
            Err(failure) if runs.len() > 1 => {
                let rest = runs.split_off(runs.len() / 2);
                session::uninterrupted(|| debug1!("pg_hooks halves a batch of ticks: {failure}"));
                let first = self.tick(runs, now);
                let second = self.tick(rest, now);
                first.and(second)
            }
            Err(failure) => {
                self.leave_if_extension_is_gone(&failure);
                for run in &runs {
                    if let Some(pause) = self.cron.agenda.rest(run.id, now) {
                        log::schedule_rests(run.id, pause.as_secs(), &failure);
                    }
                }
                Ok(())
            }
        }
    }

    fn store_ticks(&mut self, runs: &[Run], now: Timestamp) -> Result<Ran, Failure> {
        self.telling_transaction(c"pg_hooks: making messages of schedules", |leader, client| {
            if !worker::leads() {
                log::lost_the_lead();
                session::exit_for_restart()
            }
            let ran = store::run_cron(client, runs, now)?;
            let told = leader.tell_of_missed(client, runs, &ran, now)?;
            Ok((ran, told))
        })
    }

    /// What could not be moved is locked, or was changed: it is read again.
    fn advance(&mut self, runs: &[Run], ran: &Ran, now: Timestamp) {
        for run in runs {
            match ran.moved.get(&run.id) {
                Some(version) => self.cron.agenda.advance(run.id, *version, run.next),
                None => {
                    self.cron.agenda.remove(run.id);
                    self.cron.held_up.push(run.id);
                    self.cron.held_up_until = now.after(LOCK_POLL);
                }
            }
        }
        for queue_id in &ran.queues {
            self.scheduler.note_due(*queue_id, now);
        }
    }
}

/// Whether one of several entries may be to blame, and not what all have in common: connection and
/// resources of the server, an operator, a lock, the end of the extension.
fn can_be_of_an_entry(failure: &Failure) -> bool {
    // Classes 08, 25, 40, 53, 57 and 58: the first two characters of a SQLSTATE, six bits each, the first
    // one lowest.
    const OF_ALL: [i32; 6] = [0o1000, 0o0502, 0o0004, 0o0305, 0o0705, 0o1005];
    !OF_ALL.contains(&(failure.code as i32 & 0o7777))
        && failure.code != PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE
        && failure.message != Failure::extension_gone().message
}

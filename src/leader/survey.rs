//! Looking at all queues, some in each turn of the leader, so that however many there are, deliveries
//! go on in between. It finds what nothing told of: replicated rows, notes that had no room, prepared
//! transactions that were committed, messages without a queue.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pgrx::pg_sys;

use super::Leader;
use crate::domain::queue::QueueId;
use crate::domain::scheduler::Cursor;
use crate::domain::thorough::Thorough;
use crate::domain::time::Timestamp;
use crate::session::{self, Failure};
use crate::store::{self, QueueRow, Surveyed};
use crate::{guc, log};

/// Queues looked at in one turn: some milliseconds.
const SLICE: i32 = 500;

/// A version that no row has, so that the queue is loaded at each survey.
const UNLOADED: pg_sys::TransactionId = pg_sys::TransactionId::INVALID;

/// How far the leader has looked, and what it knows of the rows of queues.
pub struct Survey {
    /// Queues up to this id were looked at; `None` when no survey is under way.
    after: Option<QueueId>,
    /// Something happened meanwhile that asks for another one.
    again: bool,
    /// It looks at all messages, also where everything was found to be dead.
    is_thorough: bool,
    /// The next one is to do so, however long that takes.
    must_be_thorough: bool,
    thorough: Thorough,
    /// Below these places there was nothing when last looked; kept while thorough looks take long.
    floors: BTreeMap<QueueId, Cursor>,
    /// The version of each row that was loaded.
    versions: BTreeMap<QueueId, pg_sys::TransactionId>,
    /// What was said of the secrets of queues that could not be used when last read.
    secret_problems: BTreeMap<QueueId, String>,
}

impl Survey {
    /// A first survey is under way.
    pub fn begin() -> Survey {
        Survey {
            after: Some(QueueId::MIN),
            again: false,
            is_thorough: true,
            must_be_thorough: true,
            thorough: Thorough::begin(),
            floors: BTreeMap::new(),
            versions: BTreeMap::new(),
            secret_problems: BTreeMap::new(),
        }
    }

    /// Asks for a survey that begins now or later.
    pub fn ask(&mut self) {
        match self.after {
            // It has not looked at anything yet, and so will see everything.
            Some(QueueId::MIN) => {}
            Some(_) => self.again = true,
            None => self.after = Some(QueueId::MIN),
        }
    }

    /// Asks for one that looks at all messages.
    pub fn ask_thorough(&mut self) {
        self.must_be_thorough = true;
        self.ask();
    }

    /// Asks for one now, and for one that looks at all messages before long: notes were lost, and what they told of may
    /// have been due long ago. When notes are lost again and again, that is not each time.
    pub fn ask_after_loss(&mut self, now: Timestamp) {
        self.thorough.owe(now.after(guc::rescan_interval()));
        self.ask();
    }

    /// The floors of the next slice of queues, which is looked at from that time on.
    fn floors(
        &self,
        after: QueueId,
        from: Timestamp,
        cursor: impl Fn(QueueId) -> Cursor,
    ) -> Vec<(QueueId, Cursor)> {
        if self.is_thorough {
            return Vec::new();
        }
        let known = self.versions.range((Bound::Excluded(after), Bound::Unbounded));
        let floor = |id: QueueId| {
            let kept = self.floors.get(&id).copied();
            let floor = kept.map_or(cursor(id), |kept| kept.max(cursor(id)));
            (id, floor.min(Cursor::before(from)))
        };
        known.take(SLICE as usize).map(|(id, _)| floor(*id)).collect()
    }

    /// These were looked at, from that time on, with so much work.
    fn seen(&mut self, queues: &[Surveyed], from: Timestamp, worked: Duration) {
        if self.is_thorough {
            self.thorough.took(worked);
            return;
        }
        for queue in queues {
            // What is due from now on may yet come.
            let latest = Cursor::before(from);
            let floor = queue.first.map_or(latest, |first| first.min(latest));
            self.floors.insert(queue.id, floor);
        }
    }

    /// All queues were looked at. Returns when to look again at the latest.
    fn end(&mut self, now: Timestamp) -> Timestamp {
        let next = now.after(guc::rescan_interval());
        if !self.is_thorough {
            return next.min(self.thorough.not_before());
        }
        self.thorough.end(now);
        if self.thorough.may_begin(now) {
            self.floors.clear();
        }
        next
    }

    pub fn is_under_way(&self) -> bool {
        self.after.is_some()
    }

    /// Queues above `after`, up to `last`, that were loaded and are not among those seen; they are forgotten.
    fn forget_gone(&mut self, after: QueueId, last: QueueId, seen: &[Surveyed]) -> Vec<QueueId> {
        let mut seen = seen.iter().map(|queue| queue.id).peekable();
        let mut gone = Vec::new();
        for id in self
            .versions
            .range((Bound::Excluded(after), Bound::Included(last)))
            .map(|(id, _)| *id)
        {
            while seen.next_if(|seen| *seen < id).is_some() {}
            if seen.peek() != Some(&id) {
                gone.push(id);
            }
        }
        for id in &gone {
            self.forget(*id);
        }
        gone
    }

    fn forget(&mut self, id: QueueId) {
        self.versions.remove(&id);
        self.floors.remove(&id);
        self.secret_problems.remove(&id);
    }

    /// Keeps what is amiss with the secrets of a queue; whether that is news.
    fn note_secret_problem(&mut self, id: QueueId, problem: Option<String>) -> bool {
        let Some(problem) = problem else {
            self.secret_problems.remove(&id);
            return false;
        };
        // What is amiss with files may be put right without a word.
        self.versions.insert(id, UNLOADED);
        let before = self.secret_problems.insert(id, problem);
        before.as_ref() != self.secret_problems.get(&id)
    }

    /// Has these queues be loaded at the next survey, which is asked for.
    pub fn reload(&mut self, is_to_be_loaded: impl Fn(QueueId) -> bool) {
        for (id, version) in &mut self.versions {
            if is_to_be_loaded(*id) {
                *version = UNLOADED;
            }
        }
        self.ask();
    }

    fn changed(&self, seen: &[Surveyed]) -> Vec<QueueId> {
        let changed = seen
            .iter()
            .filter(|queue| self.versions.get(&queue.id) != Some(&queue.version));
        changed.map(|queue| queue.id).collect()
    }
}

/// What one turn of a survey read.
struct Slice {
    queues: Vec<Surveyed>,
    changed: Vec<QueueId>,
    orphaned: Vec<QueueId>,
    last: QueueId,
}

impl Leader {
    /// Goes on with the survey that is under way.
    pub fn survey(&mut self) -> Result<(), Failure> {
        let Some(after) = self.survey.after else {
            return Ok(());
        };
        let began = session::now();
        if after == QueueId::MIN {
            let survey = &mut self.survey;
            survey.is_thorough = survey.must_be_thorough || survey.thorough.may_begin(began);
        }
        let worked = session::time_worked();
        let Some(slice) = self.read_slice(after, began)? else {
            self.is_held = true;
            return Ok(());
        };
        let worked = session::time_worked().saturating_sub(worked);
        self.survey.seen(&slice.queues, began, worked);
        let changed = if slice.changed.is_empty() {
            Vec::new()
        } else {
            let Some(changed) = self.load_queues(&slice.changed)? else {
                return Ok(());
            };
            changed
        };
        let gone = self.survey.forget_gone(after, slice.last, &slice.queues);
        if !gone.is_empty() || !changed.is_empty() {
            // What backends remember of queues may be out of date as well.
            self.database.generation.fetch_add(1, Ordering::AcqRel);
        }
        for id in gone {
            self.standing.forget(id);
            self.scheduler.drop_queue(id);
        }
        self.load(changed);
        for queue in &slice.queues {
            if let Some(first) = queue.first {
                self.scheduler.note_due(queue.id, first.due_at);
            }
        }
        // While a dump is being restored, messages come before the queues.
        if self.had_queues {
            self.orphaned.extend(slice.orphaned);
        }
        if after == QueueId::MIN && self.survey.is_thorough {
            self.survey.must_be_thorough = false;
            self.survey.thorough.began();
        }
        self.survey.after = (slice.last < QueueId::MAX).then_some(slice.last);
        if self.survey.after.is_none() {
            let now = session::now();
            self.next_survey = self.survey.end(now);
            if std::mem::take(&mut self.survey.again) {
                self.survey.ask();
            }
            self.tidying.ask(now);
        }
        Ok(())
    }

    /// `None` when the extension has become one of another version, or the database was adopted under another key.
    fn read_slice(&self, after: QueueId, from: Timestamp) -> Result<Option<Slice>, Failure> {
        session::transaction(c"pg_hooks: looking at queues", |client| {
            let look = self.database.begin_look();
            match store::extension(client)? {
                Some(found) if found.oid == self.extension && found.version == session::LIBRARY_VERSION => {
                    self.database.confirm(look);
                }
                Some(found) if found.oid == self.extension => return Ok(None),
                _ => return Err(Failure::extension_gone()),
            }
            if store::webhook_key(client)? != self.webhook_key {
                return Ok(None);
            }
            let floors = self.survey.floors(after, from, |id| self.scheduler.cursor(id));
            let queues = store::survey(client, after, SLICE, &floors)?;
            let is_last = queues.len() < SLICE as usize;
            let last = queues.last().filter(|_| !is_last).map_or(QueueId::MAX, |q| q.id);
            let changed = self.survey.changed(&queues);
            let orphaned = if self.survey.is_thorough {
                store::orphaned_queues(client, after, last)?
            } else {
                Vec::new()
            };
            Ok(Some(Slice {
                changed,
                orphaned,
                queues,
                last,
            }))
        })
    }

    /// Takes over policies that were read.
    pub fn load(&mut self, queues: Vec<QueueRow>) {
        self.had_queues |= !queues.is_empty();
        if queues.iter().any(|queue| queue.is_foreign) {
            log::found_foreign_queues();
            self.is_held = true;
            return;
        }
        for QueueRow {
            id,
            version,
            is_active,
            policy,
            ..
        } in queues
        {
            self.survey.versions.insert(id, version);
            match policy {
                Ok(mut queue) => {
                    let lacking = queue.lacks_secret_at(session::now());
                    // Attempts would fail, and use up what its messages have of them.
                    queue.active &= lacking.is_none();
                    let is_held = lacking.is_some();
                    self.standing.note(id, lacking.clone().filter(|_| is_active));
                    let earlier = || "an earlier secret cannot be used".to_owned();
                    let problem = lacking.or_else(|| queue.secrets.has_unusable().then(earlier));
                    let shown = problem.clone().unwrap_or_default();
                    if self.survey.note_secret_problem(id, problem) {
                        if is_held {
                            log::queue_held(id, shown);
                        } else {
                            log::secrets_unusable(id, shown);
                        }
                    }
                    self.scheduler.load_queue(Arc::new(queue), session::now());
                    if self.is_to_be_disabled(id) {
                        self.scheduler.suspend_queue(id);
                    }
                }
                Err(problem) => {
                    self.standing.note(id, is_active.then(|| problem.clone()));
                    log::queue_invalid(id, problem);
                    self.scheduler.suspend_queue(id);
                }
            }
        }
    }

    /// Forgets a queue that is gone, and has its messages buried.
    pub fn unload(&mut self, id: QueueId) {
        self.survey.forget(id);
        self.standing.forget(id);
        self.scheduler.drop_queue(id);
        // As in the survey.
        if self.had_queues {
            self.orphaned.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_yet_be_due_is_never_below_the_floor() {
        let (now, hour) = (Timestamp(1_000_000_000_000), Duration::from_secs(3600));
        let mut survey = Survey::begin();
        survey.is_thorough = false;
        survey.versions.insert(1, UNLOADED);
        let due_at = now.after(hour);
        let first = Some(Cursor { due_at, id: 5 });
        let (id, version) = (1, UNLOADED);
        survey.seen(&[Surveyed { id, version, first }], now, Duration::ZERO);
        let start = Cursor::before(Timestamp::MIN);
        for from in [now, now.before(hour)] {
            let floors = survey.floors(QueueId::MIN, from, |_| start);
            assert!(
                floors == [(1, Cursor::before(from))],
                "a later row, or a clock set back"
            );
        }
    }
}

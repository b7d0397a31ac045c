//! Looking at all queues, some in each turn of the leader, so that however many there are, deliveries
//! go on in between. It finds what nothing told of: replicated rows, notes that had no room, prepared
//! transactions that were committed, messages without a queue.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pgrx::pg_sys;

use super::Leader;
use crate::domain::queue::QueueId;
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
    changed: Vec<QueueRow>,
    orphaned: Vec<QueueId>,
    last: QueueId,
}

impl Leader {
    /// Goes on with the survey that is under way.
    pub fn survey(&mut self) -> Result<(), Failure> {
        let Some(after) = self.survey.after else {
            return Ok(());
        };
        let Some(slice) = self.read_slice(after)? else {
            self.is_held = true;
            return Ok(());
        };
        let gone = self.survey.forget_gone(after, slice.last, &slice.queues);
        if !gone.is_empty() || !slice.changed.is_empty() {
            // What backends remember of queues may be out of date as well.
            self.database.generation.fetch_add(1, Ordering::AcqRel);
        }
        for id in gone {
            self.standing.forget(id);
            self.scheduler.drop_queue(id);
        }
        self.load(slice.changed);
        for queue in &slice.queues {
            if let Some(due_at) = queue.earliest_due {
                self.scheduler.note_due(queue.id, due_at);
            }
        }
        // While a dump is being restored, messages come before the queues.
        if self.had_queues {
            self.orphaned.extend(slice.orphaned);
        }
        self.survey.after = (slice.last < QueueId::MAX).then_some(slice.last);
        if self.survey.after.is_none() {
            if std::mem::take(&mut self.survey.again) {
                self.survey.ask();
            }
            self.next_survey = session::now().after(guc::rescan_interval());
            self.tidying.ask();
        }
        Ok(())
    }

    /// `None` when the extension has become one of another version.
    fn read_slice(&self, after: QueueId) -> Result<Option<Slice>, Failure> {
        session::transaction(c"pg_hooks: looking at queues", |client| {
            match store::extension(client)? {
                Some(found) if found.oid == self.extension && found.version == session::LIBRARY_VERSION => {}
                Some(found) if found.oid == self.extension => return Ok(None),
                _ => return Err(Failure::extension_gone()),
            }
            let queues = store::survey(client, after, SLICE)?;
            let is_last = queues.len() < SLICE as usize;
            let last = queues.last().filter(|_| !is_last).map_or(QueueId::MAX, |q| q.id);
            let changed = self.survey.changed(&queues);
            Ok(Some(Slice {
                changed: if changed.is_empty() {
                    Vec::new()
                } else {
                    store::load_queues(client, &changed)?
                },
                orphaned: store::orphaned_queues(client, after, last)?,
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
                    self.scheduler.load_queue(Arc::new(queue));
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

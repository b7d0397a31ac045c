//! Following what others change: notes of commits, queues, the extension itself.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use pgrx::prelude::*;

use super::Leader;
use super::tallying::dead_among;
use crate::domain::queue::QueueId;
use crate::domain::time::Timestamp;
use crate::session::{self, Failure};
use crate::wake::Note;
use crate::{log, store};

/// How often to look whether a prepared transaction was committed, of which no note tells.
const PREPARED_POLL: Duration = Duration::from_millis(500);

impl Leader {
    /// Takes in what commits told, and looks at some queues more when a survey is under way.
    pub fn follow(&mut self, now: Timestamp) -> Result<(), Failure> {
        let changed = self.take_notes();
        if !changed.is_empty() {
            self.load_changed(changed)?;
        }
        if self.database.prepared.swap(false, Ordering::AcqRel) {
            self.prepared.get_or_insert_default();
            self.next_prepared_poll = now;
        }
        let finished = self.prepared.is_some() && now >= self.next_prepared_poll && self.poll_prepared()?;
        if self.database.notes.take_overflow() || finished || now >= self.next_survey {
            self.survey.ask();
            self.cron.ask_survey();
            self.next_survey = Timestamp::MAX;
        }
        self.survey()?;
        if self.is_held {
            return Ok(());
        }
        self.bury_orphans()?;
        self.tidy()
    }

    /// When to look at the tables even if nobody tells of a change.
    pub fn next_look(&self) -> Timestamp {
        if self.survey.is_under_way() || !self.orphaned.is_empty() || self.tidying.is_under_way() {
            return Timestamp::MIN;
        }
        match self.prepared {
            Some(_) => self.next_survey.min(self.next_prepared_poll),
            None => self.next_survey,
        }
    }

    /// Hands due times to the scheduler; returns the queues to load.
    fn take_notes(&mut self) -> Vec<QueueId> {
        let mut changed = Vec::new();
        while let Some(note) = self.database.notes.pop() {
            match note.due_at {
                Note::QUEUE_CHANGED => changed.push(note.queue_id),
                Note::CRON_CHANGED => self.cron.note_changed(note.queue_id),
                due_at => {
                    let due_at = session::unix_time(due_at);
                    self.scheduler.note_due(note.queue_id, due_at);
                }
            }
        }
        changed.extend(self.scheduler.take_unknown());
        changed
    }

    /// Whether a transaction that was prepared is no longer so. Asked before the tables are read, so
    /// that what it committed is seen then.
    fn poll_prepared(&mut self) -> Result<bool, Failure> {
        let now_prepared = self.transaction(c"pg_hooks: looking at prepared transactions", |client| {
            store::prepared_transactions(client)
        })?;
        self.next_prepared_poll = session::now().after(PREPARED_POLL);
        let before = self.prepared.take().unwrap_or_default();
        // At the first look it may have been committed already.
        let finished = before.is_empty() || !before.is_subset(&now_prepared);
        self.prepared = (!now_prepared.is_empty()).then_some(now_prepared);
        if finished {
            // What backends remember of queues and of rights on them may be out of date as well.
            self.database.generation.fetch_add(1, Ordering::AcqRel);
        }
        Ok(finished)
    }

    pub fn load_changed(&mut self, ids: Vec<QueueId>) -> Result<(), Failure> {
        let ids: Vec<QueueId> = BTreeSet::from_iter(ids).into_iter().collect();
        let loaded = self.transaction(c"pg_hooks: loading changed queues", |client| {
            store::load_queues(client, &ids)
        });
        let queues = loaded.inspect_err(|_| {
            // Not forgotten: asked for again as soon as that may succeed.
            for queue_id in &ids {
                let due_at = Note::QUEUE_CHANGED;
                self.database.notes.push(Note {
                    queue_id: *queue_id,
                    due_at,
                });
            }
        })?;
        let present: HashSet<QueueId> = queues.iter().map(|row| row.id).collect();
        let gone = ids.into_iter().filter(|id| !present.contains(id));
        for id in gone {
            self.unload(id);
        }
        self.load(queues);
        Ok(())
    }

    /// Messages of a queue that was dropped while they were being stored become dead letters, some at
    /// a time.
    fn bury_orphans(&mut self) -> Result<(), Failure> {
        if self.orphaned.is_empty() {
            return Ok(());
        }
        let in_flight = self.scheduler.ids_in_flight().collect();
        let (buried, counted) =
            self.telling_transaction(c"pg_hooks: burying messages without queue", |leader, client| {
                let buried = store::bury_orphans(client, &leader.orphaned, in_flight)?;
                let told = leader.tell_of_dead(client, &buried)?;
                let counted = store::log_tally(client, dead_among(&buried))?;
                Ok(((buried.len(), counted), told))
            })?;
        self.tallying.take(counted);
        if buried == 0 {
            self.orphaned.clear();
        } else {
            log::orphans_buried(buried);
        }
        Ok(())
    }

    /// Ends this process when an error comes from the extension having been dropped. Ids of another
    /// one mean other messages; the next worker looks whether there is one.
    pub fn leave_if_extension_is_gone(&self, failure: &Failure) {
        let suspicious = [
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            PgSqlErrorCode::ERRCODE_INVALID_SCHEMA_NAME,
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        ];
        if suspicious.contains(&failure.code)
            && let Ok(extension) =
                session::transaction(c"pg_hooks: looking for the extension", store::extension_oid)
            && extension != Some(self.extension)
        {
            log::extension_dropped();
            session::exit_for_restart()
        }
    }
}

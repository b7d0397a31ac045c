//! Following what others change: notes of commits, queues, the extension itself.

use std::collections::{BTreeSet, HashSet};

use pgrx::prelude::*;

use super::Leader;
use super::prepared::Finished;
use super::tallying::dead_among;
use crate::domain::queue::QueueId;
use crate::domain::scheduler::MessageId;
use crate::domain::time::Timestamp;
use crate::session::{self, Failure};
use crate::wake::Note;
use crate::{log, store};

impl Leader {
    /// Takes in what commits told, and looks at some queues more when a survey is under way.
    pub fn follow(&mut self, now: Timestamp) -> Result<(), Failure> {
        let changed = self.take_notes();
        if !changed.is_empty() {
            self.load_changed(changed)?;
        }
        let overflowed = self.database.notes.take_overflow();
        if overflowed {
            self.prepared.watch_all();
        }
        let finished = self.has_prepared_finished(now)?;
        if overflowed || finished != Finished::None || now >= self.next_survey {
            match finished {
                // What it stored may have been due long ago.
                Finished::Watched => self.survey.ask_thorough(),
                Finished::Perhaps => self.survey.ask_after_loss(now),
                Finished::None if overflowed => self.survey.ask_after_loss(now),
                Finished::None => self.survey.ask(),
            }
            self.cron.ask_survey();
            self.next_survey = Timestamp::MAX;
        }
        self.survey()?;
        if self.is_held {
            return Ok(());
        }
        self.bury_orphans()?;
        self.tidy(now);
        Ok(())
    }

    /// When to look at the tables even if nobody tells of a change.
    pub fn next_look(&self) -> Timestamp {
        if self.survey.is_under_way() || !self.orphaned.is_empty() || self.tidying.is_under_way() {
            return Timestamp::MIN;
        }
        self.next_survey.min(self.prepared.next_look())
    }

    /// Hands due times to the scheduler; returns the queues to load.
    fn take_notes(&mut self) -> Vec<QueueId> {
        let mut changed = Vec::new();
        while let Some(note) = self.database.notes.pop() {
            match note.due_at {
                Note::QUEUE_CHANGED => changed.push(note.queue_id),
                Note::CRON_CHANGED => self.cron.note_changed(note.queue_id),
                Note::PREPARED => self.prepared.watch(note.queue_id),
                due_at => {
                    let due_at = session::unix_time(due_at);
                    self.scheduler.note_due(note.queue_id, due_at);
                }
            }
        }
        changed.extend(self.scheduler.take_unknown());
        changed
    }

    /// Takes over queues of which a commit told.
    pub fn load_changed(&mut self, ids: Vec<QueueId>) -> Result<(), Failure> {
        let ids: Vec<QueueId> = BTreeSet::from_iter(ids).into_iter().collect();
        let loaded = self.load_queues(&ids);
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
        let Some(queues) = queues else {
            return Ok(());
        };
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
        let left_out = self.scheduler.ids_left_out().collect();
        let ids = self.transaction(c"pg_hooks: looking for messages without queue", |client| {
            store::orphans(client, &self.orphaned, left_out)
        })?;
        let buried = self.bury_orphans_of(ids)?;
        if buried == 0 {
            self.orphaned.clear();
        } else {
            log::orphans_buried(buried);
        }
        Ok(())
    }

    /// How many of these were moved. One that cannot be is parked.
    fn bury_orphans_of(&mut self, mut ids: Vec<MessageId>) -> Result<usize, Failure> {
        if ids.is_empty() {
            return Ok(0);
        }
        let result =
            self.telling_transaction(c"pg_hooks: burying messages without queue", |leader, client| {
                let buried = store::bury_orphans(client, &ids)?;
                let told = leader.tell_of_dead(client, &buried)?;
                let counted = store::log_tally(client, dead_among(&buried))?;
                Ok(((buried.len(), counted), told))
            });
        match result {
            Ok((buried, counted)) => {
                self.tallying.take(counted);
                Ok(buried)
            }
            Err(failure) if !failure.is_of_some(ids.len()) => Err(failure),
            Err(failure) => {
                if let [id] = ids[..] {
                    self.park_message(id, &failure);
                    return Ok(0);
                }
                let rest = ids.split_off(ids.len() / 2);
                let first = self.bury_orphans_of(ids)?;
                Ok(first + self.bury_orphans_of(rest)?)
            }
        }
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

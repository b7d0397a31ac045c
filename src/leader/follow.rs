//! Following what others change: notes of commits, queues, the extension itself.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pgrx::prelude::*;

use super::Leader;
use crate::domain::queue::QueueId;
use crate::domain::time::Timestamp;
use crate::session::{self, Failure};
use crate::store::{self, QueueRow};
use crate::wake::Note;
use crate::{guc, wake};

/// How often to look while a prepared transaction may be committed without a note.
const PREPARED_POLL: Duration = Duration::from_millis(500);

impl Leader {
    /// Takes in what commits told, and looks at everything when it is time to.
    pub fn follow(&mut self, now: Timestamp) -> Result<(), Failure> {
        let mut changed = Vec::new();
        while let Some(note) = self.database.notes.pop() {
            if note.due_at == Note::QUEUE_CHANGED {
                changed.push(note.queue_id);
            } else {
                self.scheduler
                    .note_due(note.queue_id, session::unix_time(note.due_at));
            }
        }
        if self.database.prepared.swap(false, Ordering::AcqRel) {
            self.prepared = true;
            self.next_rescan = now;
        }
        if self.database.notes.take_overflow() || (self.prepared && now >= self.next_rescan) {
            return self.load_everything();
        }
        changed.extend(self.scheduler.take_unknown());
        if !changed.is_empty() {
            self.load_changed(changed)?;
        }
        if now >= self.next_rescan {
            self.rescan()
        } else {
            Ok(())
        }
    }

    /// Reads all queues and when each has something due.
    pub fn load_everything(&mut self) -> Result<(), Failure> {
        let queues = session::transaction(c"pg_hooks: loading queues", store::load_all_queues)?;
        let present: HashSet<QueueId> = queues.iter().map(|row| row.id).collect();
        let gone: Vec<QueueId> = self
            .scheduler
            .queue_ids()
            .filter(|id| !present.contains(id))
            .collect();
        for id in gone {
            self.scheduler.drop_queue(id);
        }
        self.load(queues);
        self.database.generation.fetch_add(1, Ordering::AcqRel);
        self.rescan()
    }

    pub fn load_changed(&mut self, mut ids: Vec<QueueId>) -> Result<(), Failure> {
        ids.sort_unstable();
        ids.dedup();
        let loaded = session::transaction(c"pg_hooks: loading changed queues", |client| {
            store::load_queues(client, &ids)
        });
        let queues = loaded.inspect_err(|_| {
            // Not forgotten: they are asked for again as unknown ones.
            for id in &ids {
                self.database.notes.push(Note {
                    queue_id: *id,
                    due_at: Note::QUEUE_CHANGED,
                });
            }
        })?;
        let present: HashSet<QueueId> = queues.iter().map(|row| row.id).collect();
        let gone: Vec<QueueId> = ids.into_iter().filter(|id| !present.contains(id)).collect();
        self.load(queues);
        for id in &gone {
            self.scheduler.drop_queue(*id);
        }
        self.bury_orphans(&gone)
    }

    fn load(&mut self, queues: Vec<QueueRow>) {
        for QueueRow { id, policy } in queues {
            match policy {
                Ok(queue) => self.scheduler.load_queue(Arc::new(queue)),
                Err(problem) => {
                    warning!("pg_hooks sends nothing to queue {id}, which is not valid: {problem}");
                    self.scheduler.drop_queue(id);
                }
            }
        }
    }

    /// Looks for what nothing told of: prepared transactions, replicated rows, a dropped extension.
    fn rescan(&mut self) -> Result<(), Failure> {
        let seen = session::transaction(c"pg_hooks: looking for due messages", |client| {
            let prepared = self.prepared && store::has_prepared_transactions(client)?;
            let extension = store::extension_oid(client)?;
            Ok((
                prepared,
                extension,
                store::earliest_due(client)?,
                store::orphaned_queues(client)?,
            ))
        });
        let (prepared, extension, earliest, orphaned) = seen?;
        if extension != Some(self.extension) {
            self.leave(extension.is_some());
        }
        for (queue_id, due_at) in earliest {
            self.scheduler.note_due(queue_id, due_at);
        }
        self.prepared = prepared;
        let pause = if prepared {
            PREPARED_POLL
        } else {
            guc::rescan_interval()
        };
        self.next_rescan = session::now().after(pause);
        self.bury_orphans(&orphaned)
    }

    /// Messages of a queue that was dropped while they were being stored become dead letters.
    fn bury_orphans(&mut self, queue_ids: &[QueueId]) -> Result<(), Failure> {
        if queue_ids.is_empty() {
            return Ok(());
        }
        loop {
            let buried = session::transaction(c"pg_hooks: burying messages without queue", |client| {
                store::bury_orphans(client, queue_ids)
            })?;
            if buried == 0 {
                return Ok(());
            }
            log!("{buried} messages of dropped queues became dead letters");
        }
    }

    /// Ends this process when an error comes from the extension having been dropped.
    pub fn leave_if_extension_is_gone(&self, failure: &Failure) {
        let gone = [
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            PgSqlErrorCode::ERRCODE_INVALID_SCHEMA_NAME,
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        ];
        if gone.contains(&failure.code)
            && let Ok(extension) =
                session::transaction(c"pg_hooks: looking for the extension", store::extension_oid)
            && extension != Some(self.extension)
        {
            self.leave(extension.is_some());
        }
    }

    /// The extension this leader served was dropped. Ids of another one mean other messages.
    fn leave(&self, made_anew: bool) -> ! {
        log!("pg_hooks worker ends: the extension was dropped");
        if made_anew {
            session::exit_for_restart();
        }
        self.database
            .extension
            .store(wake::EXTENSION_ABSENT, Ordering::Release);
        session::exit_for_good()
    }
}

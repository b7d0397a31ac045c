//! Reading the policies of queues, so that one that cannot be read stops no other.

use super::Leader;
use crate::domain::queue::QueueId;
use crate::session::Failure;
use crate::store::{self, QueueRow};

impl Leader {
    /// The queues of these ids that exist. One that cannot be read comes with the reason in place of its policy.
    ///
    /// `None`, and the lead is over, when the database was adopted under another key.
    pub fn load_queues(&mut self, ids: &[QueueId]) -> Result<Option<Vec<QueueRow>>, Failure> {
        let loaded = match self.read_queues(ids) {
            Err(failure) if failure.is_of_the_rows() => self.read_queues_one_by_one(ids),
            loaded => loaded,
        }?;
        self.is_held |= loaded.is_none();
        Ok(loaded)
    }

    fn read_queues(&self, ids: &[QueueId]) -> Result<Option<Vec<QueueRow>>, Failure> {
        self.transaction(c"pg_hooks: loading changed queues", |client| {
            let queues = store::load_queues(client, ids)?;
            // The key after the queues: theirs is the one that an adoption before gave.
            let is_ours = store::webhook_key(client)? == self.webhook_key;
            Ok(is_ours.then_some(queues))
        })
    }

    fn read_queues_one_by_one(&self, ids: &[QueueId]) -> Result<Option<Vec<QueueRow>>, Failure> {
        let mut queues = Vec::new();
        for id in ids {
            match self.read_queues(&[*id]) {
                Err(failure) if failure.is_of_the_rows() => queues.extend(
                    self.transaction(c"pg_hooks: looking at a queue that cannot be read", |client| {
                        store::unreadable_queue(client, *id, &failure)
                    })?,
                ),
                read => match read? {
                    Some(queue) => queues.extend(queue),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(queues))
    }
}

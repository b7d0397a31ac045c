//! Telling of what happens, in the transactions in which it happens.

use serde_json::json;

use super::Leader;
use crate::domain::bulletin::{Kind, Subject};
use crate::domain::cron::ON_TIME;
use crate::domain::queue::QueueId;
use crate::domain::time::Timestamp;
use crate::session::{self, Client, Failure};
use crate::store::{self, Bulletin, Buried, Ran, Run};

impl Leader {
    /// A transaction in which something is told. Queues that get messages are read when it is committed.
    pub fn telling_transaction<T>(
        &mut self,
        activity: &std::ffi::CStr,
        work: impl FnOnce(&Leader, &mut Client<'_>) -> Result<(T, Vec<QueueId>), Failure>,
    ) -> Result<T, Failure> {
        let result = self.transaction(activity, |client| work(self, client));
        self.press.borrow_mut().settle(result.is_ok());
        let (value, queues) = result?;
        for queue_id in queues {
            self.scheduler.note_due(queue_id, session::now());
        }
        Ok(value)
    }

    /// Tells of dead letters.
    pub fn tell_of_dead(&self, client: &mut Client<'_>, buried: &[Buried]) -> Result<Vec<QueueId>, Failure> {
        let told = buried.iter().filter_map(|letter| {
            let suppressed = self.is_told(Kind::Dead, letter.queue_id)?;
            Some(Bulletin {
                kind: Kind::Dead,
                queue_id: Some(letter.queue_id),
                message_id: Some(letter.id),
                cron_id: None,
                facts: json!({"suppressed": suppressed}),
            })
        });
        store::tell(client, &told.collect::<Vec<_>>())
    }

    /// Tells of something that happened to a queue.
    pub fn tell_of_queue(
        &self,
        client: &mut Client<'_>,
        kind: Kind,
        queue_id: QueueId,
        reason: &str,
        until: Option<Timestamp>,
    ) -> Result<Vec<QueueId>, Failure> {
        let Some(suppressed) = self.is_told(kind, queue_id) else {
            return Ok(Vec::new());
        };
        let until = until.map(Timestamp::to_rfc3339);
        let bulletin = Bulletin {
            kind,
            queue_id: Some(queue_id),
            message_id: None,
            cron_id: None,
            facts: json!({"reason": reason, "until": until, "suppressed": suppressed}),
        };
        store::tell(client, &[bulletin])
    }

    /// Tells of runs that came late, or not at all.
    pub fn tell_of_missed(
        &self,
        client: &mut Client<'_>,
        runs: &[Run],
        ran: &Ran,
        now: Timestamp,
    ) -> Result<Vec<QueueId>, Failure> {
        let missed = runs
            .iter()
            .filter(|run| now.since(run.planned) >= ON_TIME && ran.moved.contains_key(&run.id));
        let told = missed.filter_map(|run| {
            let suppressed = self.is_told(Kind::Missed, run.id)?;
            let made_up = run.ticks.iter().filter(|tick| tick.late).count();
            let missed_from = run.planned.to_rfc3339();
            Some(Bulletin {
                kind: Kind::Missed,
                queue_id: None,
                message_id: None,
                cron_id: Some(run.id),
                facts: json!({"missed_from": missed_from, "made_up": made_up, "suppressed": suppressed}),
            })
        });
        store::tell(client, &told.collect::<Vec<_>>())
    }

    fn is_told(&self, kind: Kind, subject: Subject) -> Option<u64> {
        self.press.borrow_mut().admit(kind, subject, session::now())
    }
}

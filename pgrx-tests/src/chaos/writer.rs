//! One client: makes its transactions, and notes before and after each what it means and what came of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use postgres::Client;
use postgres::error::{Severity, SqlState};
use sha2::{Digest, Sha256};

use super::journal::{Intent, Outcome, now_us};
use super::wire::Trouble;
use super::workload::{self, Draft, Form, Kind, Task};
use super::world::World;

const BETWEEN_TRIES: Duration = Duration::from_millis(2);

/// How a session ended a transaction that it could not end in order.
struct Broken;

/// Makes transactions until told to stop.
pub struct Writer<'a> {
    world: &'a World,
    number: u32,
    client: Option<Client>,
    /// Counts sessions: what a broken one left behind has other keys than what comes later.
    session: u32,
}

impl<'a> Writer<'a> {
    pub fn new(world: &'a World, number: u32) -> Self {
        Writer {
            world,
            number,
            client: None,
            session: 0,
        }
    }

    /// Until the world ends. Waits while it may not write.
    pub fn write(mut self) {
        let (mut transaction, mut stored) = (0, 0);
        while !self.world.over.load(Ordering::Relaxed) {
            if self.world.closing.load(Ordering::Relaxed) {
                self.client = None;
            } else if stored < self.world.allowance.load(Ordering::Relaxed) {
                transaction += 1;
                let task = workload::task(self.world.seed, self.number, transaction);
                let kept = self.perform(&task);
                stored += kept;
                self.world.written.fetch_add(kept, Ordering::Relaxed);
                if kept > 0 {
                    continue;
                }
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
    }

    /// Gives how many messages it stored for good.
    fn perform(&mut self, task: &Task) -> usize {
        if self.client.is_none() {
            let Some(client) = self.world.reconnect() else {
                return 0;
            };
            self.client = Some(client);
            self.session += 1;
        }
        let statements: Vec<String> = task.drafts.iter().map(|draft| self.statement(draft)).collect();
        let place = self.world.journal.intend(task.kind, self.intents(task));
        let outcome = match task.kind {
            Kind::KilledInCommit | Kind::KilledBefore => self.be_killed(task.kind, &statements),
            Kind::CommitPrepared | Kind::RollbackPrepared => self.prepare(task, &statements),
            _ => self.transact(task.kind, &statements),
        };
        self.world.journal.conclude(place, outcome);
        if outcome != Outcome::Committed {
            return 0;
        }
        if task.kind == Kind::Cancel {
            task.drafts.iter().for_each(|draft| self.cancel(draft));
        }
        let places = 0..task.drafts.len();
        places.filter(|place| !task.takes_back(*place)).count()
    }

    fn intents(&self, task: &Task) -> Vec<Intent> {
        let intent = |(place, draft): (usize, &Draft)| Intent {
            identity: draft.identity,
            queue: draft.queue,
            form: draft.form,
            sha256: Sha256::digest(draft.identity.body(draft.length)).into(),
            key: self.key(draft),
            delay_ms: draft.delay_ms,
            ttl_ms: draft.ttl_ms,
            taken_back: task.takes_back(place),
        };
        task.drafts.iter().enumerate().map(intent).collect()
    }

    fn key(&self, draft: &Draft) -> Option<String> {
        let Draft { key, .. } = draft;
        key.map(|key| format!("{} {} {key}", self.number, self.session))
    }

    /// Stores a message, and with it in a table of ours the id that it got.
    fn statement(&self, draft: &Draft) -> String {
        let (identity, queue) = (draft.identity, draft.queue.name());
        let body = draft.identity.body(draft.length);
        let body = match draft.form {
            Form::Bytes => {
                let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("'\\x{hex}'::bytea")
            }
            Form::Text | Form::Row => format!("'{}'::text", String::from_utf8_lossy(&body)),
        };
        let at = format!("now() + interval '{} ms'", draft.delay_ms);
        let until = draft.ttl_ms.map_or("null".to_owned(), |ttl_ms| {
            format!("now() + interval '{} ms'", draft.delay_ms + ttl_ms)
        });
        let key = self
            .key(draft)
            .map_or("null".to_owned(), |key| format!("'{key}'"));
        let place = format!(
            "{}, {}, {}",
            identity.writer, identity.transaction, identity.message
        );
        match draft.form {
            Form::Row => format!(
                "with stored as (
                   insert into hooks.message (queue_id, body, due_at, ordering_key, expires_at)
                   select id, {body}, {at}, {key}, {until} from hooks.queue where name = '{queue}'
                   returning id)
                 insert into chaos.sent select {place}, id from stored"
            ),
            _ => format!(
                "insert into chaos.sent
                 select {place}, hooks.send('{queue}', {body}, at => {at}, ordering_key => {key}, expires_at => {until})"
            ),
        }
    }

    fn transact(&mut self, kind: Kind, statements: &[String]) -> Outcome {
        if kind == Kind::CommitLater && self.may_commit_later() {
            // What is lost with a crash may be lost, but must not be sent then.
            if self.run("begin; set local synchronous_commit = off").is_err() {
                return Outcome::Failed;
            }
        } else if self.run("begin").is_err() {
            return Outcome::Failed;
        }
        let half = statements.len() / 2;
        for (place, statement) in statements.iter().enumerate() {
            let keep_from_here = kind == Kind::Savepoint && place == half;
            if keep_from_here && self.run("savepoint half").is_err() || self.run(statement).is_err() {
                return Outcome::Failed;
            }
        }
        if kind == Kind::Savepoint && self.run("rollback to half").is_err() {
            return Outcome::Failed;
        }
        if kind == Kind::Rollback {
            let _ = self.run("rollback");
            return Outcome::RolledBack;
        }
        self.commit("commit")
    }

    /// A standby knows only what was synchronous.
    fn may_commit_later(&self) -> bool {
        !self.world.replicated.load(Ordering::Relaxed)
    }

    fn commit(&mut self, how: &str) -> Outcome {
        match self.run(how) {
            Ok(()) => Outcome::Committed,
            Err(Broken) => Outcome::Unknown,
        }
    }

    /// A session that an error has left in a transaction is put in order; one that is gone is forgotten.
    fn run(&mut self, script: &str) -> Result<(), Broken> {
        let Some(client) = &mut self.client else {
            return Err(Broken);
        };
        let begun_us = now_us();
        let Err(error) = client.batch_execute(script) else {
            return Ok(());
        };
        note(self.world, begun_us, &error);
        if client.is_closed() || client.batch_execute("rollback").is_err() {
            self.client = None;
        }
        Err(Broken)
    }

    fn be_killed(&mut self, kind: Kind, statements: &[String]) -> Outcome {
        // Which of two sessions commits first is not known: keys are not shared between them.
        self.client = None;
        let Some(mut wire) = self.world.wire() else {
            return Outcome::Failed;
        };
        let script = format!("begin; {}", statements.join("; "));
        let begun_us = now_us();
        if let Err(trouble) = wire.run(&script) {
            if let Trouble::Refused { sqlstate, message } = trouble {
                self.world.journal.note_refusal(begun_us, &sqlstate, &message);
            }
            return Outcome::Failed;
        }
        match kind {
            Kind::KilledInCommit => {
                let _ = wire.send("commit");
                Outcome::Unknown
            }
            _ => Outcome::RolledBack,
        }
    }

    fn prepare(&mut self, task: &Task, statements: &[String]) -> Outcome {
        let name = format!("chaos {} {}", self.number, task.drafts[0].identity.transaction);
        if self.run("begin").is_err() {
            return Outcome::Failed;
        }
        for statement in statements {
            if self.run(statement).is_err() {
                return Outcome::Failed;
            }
        }
        let (end, outcome) = match task.kind {
            Kind::CommitPrepared => ("commit", Outcome::Committed),
            _ => ("rollback", Outcome::RolledBack),
        };
        let prepared = self.run(&format!("prepare transaction '{name}'"));
        // Another session ends it, also when it is not known whether it is prepared: left alone, it would keep the
        // tables from whoever wants them for himself.
        let sure = prepared.is_ok();
        while !self.world.over.load(Ordering::Relaxed) {
            let Some(mut other) = self.world.reconnect() else {
                // Clients are to leave, this one too.
                self.client = None;
                std::thread::sleep(BETWEEN_TRIES);
                continue;
            };
            match other.batch_execute(&format!("{end} prepared '{name}'")) {
                Ok(()) => return outcome,
                // It was never prepared, or it is over and the answer was lost.
                Err(error) if error.code() == Some(&SqlState::UNDEFINED_OBJECT) => {
                    return if sure { outcome } else { Outcome::Unknown };
                }
                Err(_) => std::thread::sleep(BETWEEN_TRIES),
            }
        }
        Outcome::Unknown
    }

    fn cancel(&mut self, draft: &Draft) {
        let Some(client) = &mut self.client else { return };
        let identity = draft.identity;
        let query = "select hooks.cancel(id) from chaos.sent
                     where (writer, transaction, message) = ($1, $2, $3)";
        let numbers = [identity.writer, identity.transaction, identity.message];
        let [writer, transaction, message] = numbers.map(|number| i32::try_from(number).unwrap_or(i32::MAX));
        let begun_us = now_us();
        match client.query_one(query, &[&writer, &transaction, &message]) {
            Ok(row) => self.world.journal.note_cancel(identity, row.get(0)),
            Err(error) => {
                note(self.world, begun_us, &error);
                if client.is_closed() {
                    self.client = None;
                }
            }
        }
    }
}

/// Notes what the server said of a statement that began then. Why a session ended is none of that.
fn note(world: &World, begun_us: i64, error: &postgres::Error) {
    let said = error.as_db_error();
    if let Some(said) = said.filter(|said| said.parsed_severity() == Some(Severity::Error)) {
        let sqlstate = said.code().code();
        world.journal.note_refusal(begun_us, sqlstate, said.message());
    }
}

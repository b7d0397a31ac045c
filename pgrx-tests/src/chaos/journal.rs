//! What the writers meant to do and what came of it, noted outside of the database before and after.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::identity::Identity;
use super::workload::{Form, Kind, Queue};
use crate::{Failure, Result};

/// A message that a transaction is about to store.
#[derive(Clone, Debug)]
pub struct Intent {
    pub identity: Identity,
    pub queue: Queue,
    pub form: Form,
    pub sha256: [u8; 32],
    /// Within the queue. Used by one session alone, one transaction after the other.
    pub key: Option<String>,
    /// Not to be sent earlier than so long after the transaction began.
    pub delay_ms: u32,
    /// Not to be sent, nor tried again, later than so long after it was due.
    pub ttl_ms: Option<u32>,
    /// The transaction takes it back itself, by a rollback of all or of a part.
    pub taken_back: bool,
}

/// How a transaction ended, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server said so.
    Committed,
    /// The client asked for it.
    RolledBack,
    /// A statement failed, and no commit was asked for.
    Failed,
    /// A commit was asked for, and there was no answer.
    Unknown,
    /// Not over yet.
    Open,
}

/// One transaction.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: Kind,
    pub intents: Vec<Intent>,
    /// Microseconds since 1970.
    pub begun_us: i64,
    pub outcome: Outcome,
    pub ended_us: i64,
}

/// A call of `hooks.cancel()` that committed.
#[derive(Clone, Copy, Debug)]
pub struct Cancel {
    pub identity: Identity,
    pub ended_us: i64,
    /// What it returned.
    pub cancelled: bool,
}

/// An error with which the server answered a statement of a writer.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub begun_us: i64,
    pub ended_us: i64,
    pub sqlstate: String,
    pub message: String,
}

/// Everything noted so far.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    pub entries: Vec<Entry>,
    pub cancels: Vec<Cancel>,
    pub refusals: Vec<Refusal>,
}

/// Notes that all writers share. A file has them too, for people.
pub struct Journal {
    pub file: PathBuf,
    inner: Mutex<(Notes, BufWriter<File>)>,
}

impl Journal {
    pub fn create(file: &Path) -> Result<Journal> {
        let created = File::create(file);
        let created = created
            .map_err(|error| Failure::because(format_args!("could not create {}", file.display()), error))?;
        Ok(Journal {
            file: file.to_owned(),
            inner: Mutex::new((Notes::default(), BufWriter::new(created))),
        })
    }

    /// Writes down what is still in memory.
    pub fn flush(&self) {
        let _ = self.inner.lock().expect("poisoned").1.flush();
    }

    /// Before the transaction begins. Gives its place.
    pub fn intend(&self, kind: Kind, intents: Vec<Intent>) -> usize {
        let mut inner = self.inner.lock().expect("poisoned");
        let (notes, file) = &mut *inner;
        let bodies: Vec<String> = intents.iter().map(|intent| intent.identity.to_string()).collect();
        let _ = writeln!(
            file,
            "{} intend {kind:?} {}",
            notes.entries.len(),
            bodies.join(" ")
        );
        notes.entries.push(Entry {
            kind,
            intents,
            begun_us: now_us(),
            outcome: Outcome::Open,
            ended_us: i64::MAX,
        });
        notes.entries.len() - 1
    }

    /// As soon as the client knows how it ended.
    pub fn conclude(&self, place: usize, outcome: Outcome) {
        let mut inner = self.inner.lock().expect("poisoned");
        let (notes, file) = &mut *inner;
        let _ = writeln!(file, "{place} {outcome:?}");
        let entry = &mut notes.entries[place];
        entry.outcome = outcome;
        entry.ended_us = now_us();
    }

    /// The server said that this was cancelled, or was not there to be cancelled.
    pub fn note_cancel(&self, identity: Identity, cancelled: bool) {
        let mut inner = self.inner.lock().expect("poisoned");
        let (notes, file) = &mut *inner;
        let _ = writeln!(file, "cancel {identity} {cancelled}");
        notes.cancels.push(Cancel {
            identity,
            ended_us: now_us(),
            cancelled,
        });
    }

    /// The server refused a statement that began then.
    pub fn note_refusal(&self, begun_us: i64, sqlstate: &str, message: &str) {
        let mut inner = self.inner.lock().expect("poisoned");
        let (notes, file) = &mut *inner;
        let _ = writeln!(file, "refused {sqlstate} {message}");
        notes.refusals.push(Refusal {
            begun_us,
            ended_us: now_us(),
            sqlstate: sqlstate.to_owned(),
            message: message.to_owned(),
        });
    }

    pub fn notes(&self) -> Notes {
        self.inner.lock().expect("poisoned").0.clone()
    }
}

/// The clock of this machine, in microseconds since 1970.
pub fn now_us() -> i64 {
    let since_1970 = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    since_1970.as_micros().try_into().unwrap_or(i64::MAX)
}

//! Writers that commit and roll back as fast as they can, and keep a ledger outside of the database.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;

use postgres::Client;

use crate::rig::{Rig, send};

/// What a writer knows of a message that it stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// COMMIT was acknowledged.
    Committed,
    RolledBack,
    /// The connection broke before the answer to COMMIT came.
    Unknown,
    /// The connection broke before COMMIT was sent.
    NeverCommitted,
}

/// What became of each body, as its writer saw it. Ids are reused after a crash; bodies are not.
pub type Ledger = BTreeMap<String, Fate>;

/// Writes until told to stop; a broken connection is replaced.
pub fn write(rig: &Rig, database: &str, writer: usize, stop: &AtomicBool) -> Ledger {
    let mut ledger = Ledger::new();
    let mut client = rig.reconnect(database);
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let body = format!("writer {writer} message {number}");
        let fate = write_one(&mut client, &body, number % 3 != 0);
        ledger.insert(body, fate);
        if matches!(fate, Fate::Unknown | Fate::NeverCommitted) {
            client = rig.reconnect(database);
        }
    }
    ledger
}

fn write_one(client: &mut Client, body: &str, commit: bool) -> Fate {
    let Ok(mut transaction) = client.transaction() else {
        return Fate::NeverCommitted;
    };
    let send = "select hooks.send('q', $1::text)";
    if transaction.execute(send, &[&body]).is_err() {
        return Fate::NeverCommitted;
    }
    let ended = if commit {
        transaction.commit()
    } else {
        transaction.rollback()
    };
    match (commit, ended) {
        (true, Ok(())) => Fate::Committed,
        (true, Err(_)) => Fate::Unknown,
        (false, Ok(())) => Fate::RolledBack,
        (false, Err(_)) => Fate::NeverCommitted,
    }
}

/// All ledgers in one.
pub fn join(writers: Vec<ScopedJoinHandle<'_, Ledger>>) -> Ledger {
    writers
        .into_iter()
        .flat_map(|writer| writer.join().unwrap())
        .collect()
}

/// A message that shows that the worker has come so far.
pub fn send_last(client: &mut Client) {
    send(client, "q", "last");
}

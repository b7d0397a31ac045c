//! What the tables say when all is over.

use std::collections::{HashMap, HashSet};

use postgres::Client;

use super::identity::Identity;
use crate::{Failure, Result};

/// Where a message stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// `delivered`, `dead`, `expired`, `cancelled`, or `waiting`.
    pub state: String,
    pub queue: String,
    pub attempts: u32,
    /// By the server's clock, where it is known.
    pub finished_us: Option<i64>,
    /// Of dead letters.
    pub error_class: Option<String>,
}

/// The tables of one database.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// What committed, with the ids that it got.
    pub sent: HashMap<Identity, i64>,
    /// Every place where a message of this id is: one, if all is well.
    pub ends: HashMap<i64, Vec<End>>,
    /// Failed attempts, by message and number: the class.
    pub failures: HashMap<(i64, u32), String>,
}

impl Tables {
    pub fn read(client: &mut Client) -> Result<Tables> {
        read(client).map_err(|error| Failure::because("could not read the tables", format!("{error:?}")))
    }
}

fn read(client: &mut Client) -> std::result::Result<Tables, postgres::Error> {
    let mut tables = Tables::default();
    let number = |value: i32| u32::try_from(value).unwrap_or(0);
    for row in client.query("select writer, transaction, message, id from chaos.sent", &[])? {
        let identity = Identity::new(number(row.get(0)), number(row.get(1)), number(row.get(2)));
        tables.sent.insert(identity, row.get(3));
    }
    let ends = "select l.id, l.state, q.name, l.attempts, null::text,
                       (extract(epoch from l.finished_at) * 1000000)::bigint
                from hooks.message_log as l join hooks.queue as q on q.id = l.queue_id
                union all
                select d.id, 'dead', q.name, d.attempts, d.error_class, null
                from hooks.dead_letter as d join hooks.queue as q on q.id = d.queue_id
                union all
                select m.id, 'waiting', q.name, m.attempt, null, null
                from hooks.message as m join hooks.queue as q on q.id = m.queue_id";
    for row in client.query(ends, &[])? {
        let end = End {
            state: row.get(1),
            queue: row.get(2),
            attempts: number(row.get(3)),
            error_class: row.get(4),
            finished_us: row.get(5),
        };
        tables.ends.entry(row.get(0)).or_default().push(end);
    }
    let failures = "select message_id, attempt, error_class from hooks.attempt where error_class is not null";
    for row in client.query(failures, &[])? {
        tables
            .failures
            .insert((row.get(0), number(row.get(1))), row.get(2));
    }
    Ok(tables)
}

/// Ids that more than one message has.
pub fn shared_ids(sent: &HashMap<Identity, i64>) -> HashSet<i64> {
    let mut seen = HashSet::new();
    sent.values().copied().filter(|id| !seen.insert(*id)).collect()
}

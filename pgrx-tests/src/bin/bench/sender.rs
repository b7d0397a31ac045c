//! Clients that send one message a commit and note when, and how long each took to arrive.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use pg_hooks_tests::receiver::Arrival;
use pg_hooks_tests::{Failure, Result};
use postgres::{Client, Statement};

use crate::figures::Figures;
use crate::rig::{Rig, sql_failure};

/// One message as its sender saw it. Microseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub message_id: i64,
    pub called_us: i64,
    /// When the client had the answer to its commit.
    pub committed_us: i64,
}

/// A connection with a prepared `hooks.send`.
pub struct Sender {
    client: Client,
    send: Statement,
}

impl Sender {
    pub fn connect(rig: &Rig, queue: &str) -> Result<Sender> {
        let mut client = rig.connect();
        let statement = format!("select hooks.send('{queue}', '{{\"n\": 1}}')");
        let send = client.prepare(&statement).map_err(sql_failure)?;
        Ok(Sender { client, send })
    }

    pub fn run(&mut self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).map_err(sql_failure)
    }

    /// Sends in a transaction of its own.
    pub fn send(&mut self) -> Result<Sent> {
        let called_us = unix_us();
        let row = self.client.query_one(&self.send, &[]).map_err(sql_failure)?;
        Ok(Sent {
            message_id: row.get(0),
            called_us,
            committed_us: unix_us(),
        })
    }
}

/// Milliseconds from `since` to the first arrival of each message.
///
/// A message may arrive before its sender has the answer to its commit: such a delay is negative.
pub fn delays(sent: &[Sent], arrivals: &[Arrival], since: fn(&Sent) -> i64) -> Result<Figures> {
    let mut arrived: HashMap<i64, i64> = HashMap::new();
    for arrival in arrivals {
        arrived.entry(arrival.message_id).or_insert(arrival.unix_us);
    }
    let delay = |sent: &Sent| {
        let arrived_us = arrived.get(&sent.message_id);
        let arrived_us =
            arrived_us.ok_or_else(|| Failure::new(format!("message {} did not arrive", sent.message_id)))?;
        Ok((arrived_us - since(sent)) as f64 / 1000.0)
    };
    Ok(Figures::of(sent.iter().map(delay).collect::<Result<_>>()?))
}

fn unix_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_micros().try_into().unwrap_or(i64::MAX)
}

//! Messages that wait in a paused queue, and what it takes to send them all.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use pg_hooks_tests::{Failure, Result};

use crate::rig::Rig;

/// What every message says: 84 bytes.
pub const BODY: &str =
    r#"{"type": "order.created", "data": {"order": 1, "customer": "c_123", "total": 99.95}}"#;

/// Stores so many messages in a queue.
pub fn load(rig: &mut Rig, queue: &str, count: usize) -> Result<()> {
    rig.run(&sends(queue, count))
}

/// The statement that sends so many messages.
pub fn sends(queue: &str, count: usize) -> String {
    format!("select hooks.send('{queue}', '{BODY}') from generate_series(1, {count})")
}

/// Does what the server would do later, so that it does not do it during a measurement.
pub fn settle(rig: &mut Rig) -> Result<()> {
    rig.run("vacuum analyze hooks.message")?;
    rig.run("checkpoint")
}

/// Resumes the queue and waits until all its messages have arrived and are recorded.
pub fn drain(rig: &mut Rig, queue: &str, count: usize) -> Result<Duration> {
    rig.receiver.clear();
    let begun = Instant::now();
    rig.run(&format!("select hooks.resume('{queue}')"))?;
    rig.wait_for_arrivals(count)?;
    let recorded = rig.wait_until_recorded()?;
    check_arrived(rig, count)?;
    Ok(recorded - begun)
}

/// Stores messages in one transaction; gives the time before its commit, which is when they can be sent.
///
/// A queue that is resumed begins with one message in flight and doubles that with each round of answers. Where
/// receivers are slow, and that is not what is measured, messages are to come so.
pub fn commit(rig: &mut Rig, statements: &[String]) -> Result<Instant> {
    rig.receiver.clear();
    rig.run("begin")?;
    for statement in statements {
        rig.run(statement)?;
    }
    let begun = Instant::now();
    rig.run("commit")?;
    Ok(begun)
}

/// Fails unless so many different messages have arrived.
pub fn check_arrived(rig: &Rig, count: usize) -> Result<()> {
    let arrivals = rig.receiver.arrivals();
    let different: HashSet<i64> = arrivals.iter().map(|arrival| arrival.message_id).collect();
    if different.len() == count {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} of {count} messages arrived, in {} requests",
        different.len(),
        arrivals.len()
    )))
}

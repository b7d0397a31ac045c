//! What to do about runs that nobody was there for.

use std::time::Duration;

use super::super::time::Timestamp;
use super::{Schedule, Zone, preview};

/// What becomes of ticks that were missed, because the server was down or the leader busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedPolicy {
    /// None of them runs.
    Skip,
    /// The latest one runs, late.
    #[default]
    Once,
    /// All of them run, late, but no more than a limit, which keeps the latest.
    All,
}

/// A run that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// When it was to run.
    pub at: Timestamp,
    /// Whether it was missed: another tick is due after it, or its minute is over.
    pub late: bool,
}

/// How long the latest tick is on time: cron promises the minute, not the second.
pub const ON_TIME: Duration = Duration::from_secs(60);

/// What to run at `now`, in order: the ticks after `last_tick`, the last one that was seen to, up to
/// `now`, as far as `policy` has them run. `limit` bounds [`MissedPolicy::All`] only.
///
/// The tick that has just come is among them under every policy. The work is bounded, however long ago
/// `last_tick` is: by some 100 next runs for each tick that is returned.
#[must_use]
pub fn missed(
    schedule: &Schedule,
    zone: &dyn Zone,
    last_tick: Timestamp,
    now: Timestamp,
    policy: MissedPolicy,
    limit: usize,
) -> Vec<Tick> {
    let limit = if policy == MissedPolicy::All { limit } else { 1 };
    let mut ticks: Vec<Tick> = last_runs(schedule, zone, last_tick, now, limit)
        .into_iter()
        .map(|at| Tick { at, late: true })
        .collect();
    if let Some(latest) = ticks.last_mut() {
        latest.late = now.since(latest.at) >= ON_TIME;
    }
    if policy == MissedPolicy::Skip {
        ticks.retain(|tick| !tick.late);
    }
    ticks
}

/// The last `limit` runs after `from` up to `to`, in order.
fn last_runs(
    schedule: &Schedule,
    zone: &dyn Zone,
    from: Timestamp,
    to: Timestamp,
    limit: usize,
) -> Vec<Timestamp> {
    let enough = limit.saturating_add(1);
    let mut runs: Vec<Timestamp> = preview(schedule, zone, from, enough)
        .take_while(|run| *run <= to)
        .collect();
    if runs.len() <= limit {
        return runs;
    }
    // There are more than it takes: pick them from the end.
    runs.clear();
    let mut to = to;
    while runs.len() < limit
        && let Some(run) = last_run(schedule, zone, from, to)
    {
        runs.push(run);
        to = Timestamp(run.0 - 1);
    }
    runs.reverse();
    runs
}

/// The last run after `from` up to `to`.
///
/// Looks back from `to` over doubling distances until there is a run, then halves what is left after it.
fn last_run(schedule: &Schedule, zone: &dyn Zone, from: Timestamp, to: Timestamp) -> Option<Timestamp> {
    let run_after = |at: Timestamp| schedule.next_after(at, zone).filter(|run| *run <= to);
    let mut distance: i64 = 1_000_000;
    let mut none_after = to;
    let mut run = loop {
        let back = Timestamp(to.0.saturating_sub(distance)).max(from);
        match run_after(back) {
            Some(run) => break run,
            None if back == from => return None,
            None => none_after = back,
        }
        distance = distance.saturating_mul(2);
    };
    while let Some(next) = run_after(run) {
        // No overflow: a run is never before 1970.
        let middle = Timestamp(next.0 + (none_after.0 - next.0) / 2);
        match run_after(middle) {
            Some(later) => run = later,
            None => (run, none_after) = (next, middle),
        }
    }
    Some(run)
}

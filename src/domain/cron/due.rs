//! What to do when the run that an entry waits for has come.

use super::super::time::Timestamp;
use super::missed::ON_TIME;
use super::{MissedPolicy, Schedule, Tick, Zone, missed};

/// What an entry does now, and what it waits for then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// What runs now, in order.
    pub ticks: Vec<Tick>,
    /// The first run after now; `None` when the schedule ends.
    pub next: Option<Timestamp>,
}

/// What to do at `now` for an entry that waits for `planned`, which has come.
///
/// `planned` counts as a run also when the schedule does not name it: somebody put it there to have the
/// entry run at that time. `limit` bounds [`MissedPolicy::All`] only, and keeps the latest.
///
/// All ticks lie between `planned` and `now`, and `next` after `now`. So whoever replaces `planned` by
/// `next` together with storing the ticks, and does so only if `planned` is still what the entry waits
/// for, never runs a tick twice, wherever the clock goes.
#[must_use]
pub fn due(
    schedule: &Schedule,
    zone: &dyn Zone,
    planned: Timestamp,
    now: Timestamp,
    policy: MissedPolicy,
    limit: usize,
) -> Due {
    let before = Timestamp(planned.0.saturating_sub(1));
    let mut ticks = missed(schedule, zone, before, now, policy, limit);
    let has_room = match policy {
        MissedPolicy::All => ticks.len() < limit,
        MissedPolicy::Once | MissedPolicy::Skip => ticks.is_empty(),
    };
    if has_room && schedule.next_after(before, zone) != Some(planned) {
        let late = !ticks.is_empty() || now.since(planned) >= ON_TIME;
        if !late || policy != MissedPolicy::Skip {
            ticks.insert(0, Tick { at: planned, late });
        }
    }
    Due {
        ticks,
        next: schedule.next_after(now, zone),
    }
}

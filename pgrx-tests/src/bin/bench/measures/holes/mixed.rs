//! Messages without an answer among those of one queue.

use pg_hooks_tests::{Behaviour, Result};

use crate::backlog::{self, check_arrived};
use crate::rig::Rig;

/// In flight at most. The default of a queue.
pub const SLOTS: usize = 64;
/// The shortest there is: with a longer one, the ceiling is lower and not the cost.
pub const TIMEOUT_S: usize = 1;

/// Messages a second, good and others, if only the others took time.
pub fn ceiling(share: f64) -> f64 {
    SLOTS as f64 / (share * TIMEOUT_S as f64)
}

/// Good messages a second until all are recorded, the others as timed out, when every so-manieth request has no
/// answer. Each message is attempted once, so that no retry is among them.
pub fn measure(messages: usize, every: usize) -> Result<f64> {
    let mut rig = Rig::start()?;
    rig.receiver
        .on("/bench", Behaviour::OneIn(every, Box::new(Behaviour::Hang)));
    let policy = format!(
        ", max_in_flight => {SLOTS}, timeout => '{TIMEOUT_S} s', max_attempts => 1, \
         breaker_threshold => null"
    );
    rig.create_queue("mixed", &policy)?;
    let begun = backlog::commit(&mut rig, &[backlog::sends("mixed", messages)])?;
    rig.wait_for_arrivals(messages)?;
    let took = rig.wait_until_recorded()? - begun;
    check_arrived(&rig, messages)?;
    let good = messages - messages / every;
    Ok(good as f64 / took.as_secs_f64())
}

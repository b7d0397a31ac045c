//! Messages without an answer in queues of their own.

use std::time::Duration;

use pg_hooks_tests::{Behaviour, Receiver, Result};

use crate::backlog::{self, BODY, check_arrived};
use crate::rig::Rig;

/// Good messages a second, answered after `delay`, with so many others spread over so many queues.
pub fn measure(good: usize, delay: Duration, holes: usize, queues: usize) -> Result<f64> {
    let mut rig = Rig::start()?;
    if !delay.is_zero() {
        rig.receiver.on("/bench", Behaviour::slow(delay));
    }
    let hole = Receiver::counting();
    hole.on("/hole", Behaviour::Hang);
    rig.create_queue("good", "")?;
    rig.run(&format!(
        "insert into hooks.queue (name, url) \
         select 'hole_' || i, '{}' from generate_series(1, {queues}) as i",
        hole.url("/hole")
    ))?;
    let to_holes = format!(
        "insert into hooks.message (queue_id, body) \
         select q.id, '{BODY}' from generate_series(1, {holes}) as i \
         join hooks.queue as q on q.name = 'hole_' || (i % {} + 1)",
        queues.max(1)
    );
    let begun = backlog::commit(&mut rig, &[to_holes, backlog::sends("good", good)])?;
    rig.wait_for_arrivals(good)?;
    let took = begun.elapsed();
    check_arrived(&rig, good)?;
    Ok(good as f64 / took.as_secs_f64())
}

//! Messages without an answer in queues of their own.

use std::time::Instant;

use pg_hooks_tests::{Behaviour, Receiver, Result};

use crate::backlog::{self, BODY, check_arrived};
use crate::rig::Rig;

/// Good messages a second, with so many others spread over so many queues.
pub fn measure(good: usize, holes: usize, queues: usize) -> Result<f64> {
    let mut rig = Rig::start()?;
    let hole = Receiver::counting();
    hole.on("/hole", Behaviour::Hang);
    rig.create_queue("good", ", active => false")?;
    backlog::load(&mut rig, "good", good)?;
    if holes > 0 {
        load_holes(&mut rig, &hole.url("/hole"), holes, queues)?;
    }
    backlog::settle(&mut rig)?;
    let begun = Instant::now();
    rig.run("update hooks.queue set active = true")?;
    rig.wait_for_arrivals(good)?;
    let took = begun.elapsed();
    check_arrived(&rig, good)?;
    Ok(good as f64 / took.as_secs_f64())
}

fn load_holes(rig: &mut Rig, url: &str, holes: usize, queues: usize) -> Result<()> {
    rig.run(&format!(
        "insert into hooks.queue (name, url, active) \
         select 'hole_' || i, '{url}', false from generate_series(1, {queues}) as i"
    ))?;
    rig.run(&format!(
        "insert into hooks.message (queue_id, body) \
         select q.id, '{BODY}' from generate_series(1, {holes}) as i \
         join hooks.queue as q on q.name = 'hole_' || (i % {queues} + 1)"
    ))
}

//! Slots that others take: of background workers, of replication.

use super::{Fault, Whim, must_flow};
use crate::chaos::world::{DEADLINE, REPLICATION_SLOTS, WORKER_PROCESSES, World};
use crate::cluster::{Signal, signal};
use crate::wait::try_wait;
use crate::{Failure, Result};

pub const FAULTS: &[Fault] = &[
    Fault::new("slots", "worker slots exhausted", take_worker_slots).orderly(),
    Fault::new(
        "slots",
        "replication slots exhausted and lagging",
        |world, random| {
            let names: Vec<String> = (0..REPLICATION_SLOTS)
                .map(|number| format!("slot_{number}"))
                .collect();
            let each = |call: &str| -> Result<()> {
                let mut client = world.session()?;
                for name in &names {
                    let done = client.batch_execute(&call.replace('?', name));
                    done.map_err(|error| Failure::because(call, format!("{error:?}")))?;
                }
                Ok(())
            };
            each("select pg_create_physical_replication_slot('?', immediately_reserve => true)")?;
            random.wait(2_000..4_000);
            let flows = must_flow(world);
            each("select pg_drop_replication_slot('?')")?;
            flows.map(|()| 0)
        },
    ),
];

/// What the launcher says when it gets none.
const REFUSED: &str = "max_worker_processes is used up";

/// Both workers end while the launcher stands still, and parallel queries take all slots. It says so, and starts
/// workers when these are over.
fn take_worker_slots(world: &World, random: &mut Whim) -> Result<usize> {
    let refused = || world.cluster().log().matches(REFUSED).count();
    let before = refused();
    let mut client = world.session()?;
    let mut pids = |kind: &str| -> Result<Vec<i32>> {
        let query = "select pid from pg_stat_activity where backend_type = $1";
        let rows = client.query(query, &[&kind]);
        let rows = rows.map_err(|error| Failure::because(query, format!("{error:?}")))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    };
    let launchers = pids("pg_hooks launcher")?;
    let stopped = Stopped::all(&launchers);
    pids("pg_hooks worker")?
        .iter()
        .for_each(|pid| _ = signal(*pid, Signal::TERM));
    let gone = try_wait(DEADLINE, || {
        pids("pg_hooks worker").is_ok_and(|workers| workers.is_empty())
    });
    gone.map_err(|_| Failure::new("the workers did not end"))?;
    let mut busy = Vec::new();
    for _ in 0..WORKER_PROCESSES {
        let session = world.session()?;
        let cancel = session.cancel_token();
        busy.push((std::thread::spawn(move || take_a_slot(session)), cancel));
    }
    let taken = try_wait(DEADLINE, || {
        pids("parallel worker").is_ok_and(|workers| workers.len() + 2 >= WORKER_PROCESSES)
    });
    drop(stopped);
    random.wait(2_000..4_000);
    let told = try_wait(DEADLINE, || refused() > before);
    for (query, cancel) in busy {
        let _ = cancel.cancel_query(postgres::NoTls);
        let _ = query.join();
    }
    taken.map_err(|_| Failure::new("not all slots of workers could be taken"))?;
    told.map_err(|_| Failure::new("the launcher does not say that it has no slot"))?;
    Ok(0)
}

/// Holds a slot until it is cancelled.
fn take_a_slot(mut session: postgres::Client) {
    const UNDER_ANY_NAME: &str = "select set_config(name, 'on', false) from pg_settings
        where name in ('force_parallel_mode', 'debug_parallel_query')";
    let seconds = DEADLINE.as_secs();
    let _ = session
        .batch_execute(UNDER_ANY_NAME)
        .and_then(|()| session.batch_execute(&format!("select pg_sleep({seconds})")));
}

/// Processes that stand still until this is dropped.
struct Stopped<'a>(&'a [i32]);

impl<'a> Stopped<'a> {
    fn all(pids: &'a [i32]) -> Stopped<'a> {
        pids.iter().for_each(|pid| _ = signal(*pid, Signal::STOP));
        Stopped(pids)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|pid| _ = signal(*pid, Signal::CONT));
    }
}

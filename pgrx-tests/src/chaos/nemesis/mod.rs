//! The faults, and how each is made, lifted and seen.

mod clock;
mod disk;
mod memory;
mod processes;
mod receiver;
mod resources;
mod routes;
mod slots;
mod standby;
mod stops;
mod tables;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::disturbance::Disturbance;
use super::journal::now_us;
use super::workload::Queue;
use super::world::{DEADLINE, World};
use crate::{Failure, Result};

/// Says what is missing, if anything is.
type Need = fn() -> Option<String>;

/// Something bad that can be done to a server, its machine or its receiver.
pub struct Fault {
    pub name: &'static str,
    pub family: &'static str,
    /// Processes stand still meanwhile.
    stalls: bool,
    /// The leader is told to end.
    orderly: bool,
    /// Packets come late.
    delays: bool,
    /// It takes half a minute or more.
    lengthy: bool,
    /// What it needs that not every machine has.
    needs: Option<Need>,
    /// Does it, and returns when it is over. Gives how often a message killed the worker.
    make: fn(&World, &mut Whim) -> Result<usize>,
}

impl Fault {
    const fn new(
        family: &'static str,
        name: &'static str,
        make: fn(&World, &mut Whim) -> Result<usize>,
    ) -> Fault {
        Fault {
            name,
            family,
            stalls: false,
            orderly: false,
            delays: false,
            lengthy: false,
            needs: None,
            make,
        }
    }

    const fn stalling(self) -> Fault {
        Fault { stalls: true, ..self }
    }

    const fn orderly(self) -> Fault {
        Fault {
            orderly: true,
            ..self
        }
    }

    const fn delaying(self) -> Fault {
        Fault { delays: true, ..self }
    }

    const fn lengthy(self) -> Fault {
        Fault {
            lengthy: true,
            ..self
        }
    }

    const fn needing(self, need: Need) -> Fault {
        Fault {
            needs: Some(need),
            ..self
        }
    }

    /// Whether it can be done everywhere, and quickly.
    pub fn is_plain(&self) -> bool {
        self.needs.is_none() && !self.lengthy
    }

    /// Whether results wait meanwhile: for locks, for the disk, for memory, for a process that stands still.
    fn keeps_results(&self) -> bool {
        self.stalls || matches!(self.family, "tables" | "resources")
    }

    /// Why it cannot be done on this machine, if so.
    pub fn left_out(&self) -> Option<String> {
        self.needs.and_then(|missing| missing())
    }
}

/// Every fault there is.
pub fn all() -> Vec<&'static Fault> {
    let families = [
        processes::FAULTS,
        stops::FAULTS,
        resources::FAULTS,
        disk::FAULTS,
        memory::FAULTS,
        slots::FAULTS,
        receiver::FAULTS,
        routes::FAULTS,
        tables::FAULTS,
        standby::FAULTS,
        clock::FAULTS,
    ];
    families.into_iter().flatten().collect()
}

/// Makes a fault, and waits until deliveries go on. What was seen of it.
pub fn disturb(world: &World, fault: &'static Fault, random: &mut Whim) -> Result<Disturbance> {
    let before = world.wait_for_leader()?;
    let begun_us = now_us();
    let kills = (fault.make)(world, random).map_err(|failure| {
        Failure::because(format_args!("could not make the fault `{}`", fault.name), failure)
    })?;
    drop(world.session()?);
    let lifted_us = now_us();
    let arrived_us = first_send(world, lifted_us)?;
    let after = world.wait_for_leader()?;
    Ok(Disturbance {
        name: fault.name,
        begun_us,
        lifted_us,
        ended_us: now_us(),
        leader_changed: before != after,
        orderly: fault.orderly,
        stalls: fault.stalls,
        keeps_results: fault.keeps_results(),
        delays: fault.delays,
        first_send_ms: arrived_us.map(|at| (at - lifted_us) as f64 / 1_000.0),
        kills,
    })
}

/// When the first of some messages arrived that are committed after the fault. `None`: none did in time.
fn first_send(world: &World, lifted_us: i64) -> Result<Option<i64>> {
    let begun = Instant::now();
    let mut sent = Vec::new();
    while begun.elapsed() < world.patience {
        if sent.is_empty() || begun.elapsed() > Duration::from_millis(500) * sent.len() as u32 {
            // The server may not be as well as it seems.
            if let Ok((id, _)) = world.pulse(Queue::Pulse) {
                sent.push(id);
            }
        }
        let arrived = sent.iter().filter_map(|id| world.desk.arrived_at(*id, "/pulse"));
        if let Some(at) = arrived.min() {
            return Ok(Some(at.max(lifted_us)));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(None)
}

/// What is left to chance, by the seed.
pub struct Whim {
    random: fastrand::Rng,
    /// Faults last half as long.
    brief: bool,
}

impl Whim {
    pub fn new(seed: u64, brief: bool) -> Whim {
        Whim {
            random: fastrand::Rng::with_seed(seed),
            brief,
        }
    }

    /// Lets a fault last that must outlast something, however brief the others are.
    fn wait_out(&mut self, milliseconds: std::ops::Range<u64>) {
        std::thread::sleep(Duration::from_millis(self.random.u64(milliseconds)));
    }

    /// Lets a fault last, while writers write.
    fn wait(&mut self, milliseconds: std::ops::Range<u64>) {
        let milliseconds = self.random.u64(milliseconds);
        let share = if self.brief { 2 } else { 1 };
        std::thread::sleep(Duration::from_millis(milliseconds / share));
    }
}

/// Waits until the server has ended the session of somebody who looks on, as it does with all at a crash.
fn await_crash(client: &mut postgres::Client) -> Result<()> {
    crate::wait::try_wait(DEADLINE, || client.batch_execute("select 1").is_err())
        .map_err(|_| Failure::new("the server did not notice"))
}

/// Fails when deliveries do not go on while a fault lasts.
fn must_flow(world: &World) -> Result<()> {
    match first_send(world, now_us())? {
        Some(_) => Ok(()),
        None => Err(Failure::new("nothing was sent meanwhile")),
    }
}

/// Has all clients leave, does something, and lets them back in.
fn without_clients<T>(world: &World, work: impl FnOnce() -> Result<T>) -> Result<T> {
    world.closing.store(true, Ordering::Relaxed);
    let result = work();
    world.closing.store(false, Ordering::Relaxed);
    result
}

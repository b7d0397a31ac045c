//! Schedules: what runs when, whatever the clock, leaders and users do.
//!
//! The rule that a row is moved only if it still waits for what it was read to wait for is that of the statement
//! in `src/store/cron.rs`; which ticks run is worked out anew here, for schedules that are simple enough.

mod leader;
mod vocabulary;

pub use vocabulary::{Entry, Event, Runs, Setup};

use crate::history::{History, Simulation};
use leader::World;
use vocabulary::ENTRIES;

/// Entries of `hooks.cron` and their ticks.
pub struct Schedules;

impl Simulation for Schedules {
    type Setup = Setup;
    type Event = Event;
    const NAME: &'static str = "schedules";

    fn make_up(seed: u64) -> History<Setup, Event> {
        let mut random = fastrand::Rng::with_seed(seed);
        let setup = Setup {
            entries: std::array::from_fn(|_| Entry::made_up(&mut random)),
        };
        let jumps = random.bool();
        let events = (0..random.usize(5..80))
            .map(|_| event(&mut random, jumps))
            .collect();
        History { setup, events }
    }

    fn run(setup: &Setup, events: &[Event]) -> u64 {
        let mut world = World::new(setup);
        for event in events {
            world.happens(event);
        }
        world.look(false);
        events.len() as u64 + 1
    }
}

fn event(random: &mut fastrand::Rng, jumps: bool) -> Event {
    let entry = random.u8(..ENTRIES as u8);
    let seconds = |random: &mut fastrand::Rng| match random.u8(..4) {
        0 => random.i32(0..60),
        1 => random.i32(0..4000),
        2 => random.i32(0..100_000),
        _ => random.i32(0..10),
    };
    match random.u8(..20) {
        0..8 => Event::Look,
        8 => Event::LookAndDie,
        9 => Event::Die,
        10 if jumps => Event::Jump { s: -seconds(random) },
        11 if jumps => Event::Jump { s: seconds(random) },
        12 => Event::Plan {
            entry,
            in_s: random.i32(-4000..4000),
        },
        13 => Event::Replace {
            entry,
            with: Entry::made_up(random),
        },
        14 => Event::Pause { entry },
        15 => Event::Resume { entry },
        16 => Event::Tell,
        _ => Event::Advance {
            ms: seconds(random) * 1000 + random.i32(0..1000),
        },
    }
}

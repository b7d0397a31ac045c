//! Deliveries: the scheduler and all that it decides with, against a model of the tables and of receivers.

mod ending;
mod expectations;
mod leader;
mod made_up;
mod observed;
mod planted;
mod policy;
mod results;
mod sends;
mod store;
mod users;
mod vocabulary;
mod wakes;
mod world;

pub use policy::{Backs, Breaks, Policy, Rates};
pub use vocabulary::{Answered, Event, Message, Setup};

use crate::history::{History, Simulation};
use world::World;

/// Messages from `hooks.send()` to their end.
pub struct Deliveries;

impl Simulation for Deliveries {
    type Setup = Setup;
    type Event = Event;
    const NAME: &'static str = "deliveries";

    fn make_up(seed: u64) -> History<Setup, Event> {
        made_up::history(seed)
    }

    fn run(setup: &Setup, events: &[Event]) -> u64 {
        let mut world = World::new(setup);
        for event in events {
            world.happens(event);
            world.check();
        }
        events.len() as u64 + world.finish()
    }
}

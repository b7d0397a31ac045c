//! The receiver, and the way to it.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, listen, socket, sockopt};

use super::{Fault, Whim};
use crate::chaos::reception::Mood;
use crate::chaos::world::World;
use crate::cluster::{Signal, signal};
use crate::{Failure, Result};

pub const FAULTS: &[Fault] = &[
    Fault::new("receiver", "receiver refuses connections", |world, random| {
        world.receiver.close_port();
        random.wait(3_000..5_000);
        world.receiver.open_port();
        Ok(0)
    }),
    Fault::new("receiver", "receiver in a black hole", |world, random| {
        world.receiver.close_port();
        let hole = BlackHole::dig(world.receiver.address())?;
        random.wait(4_000..6_000);
        drop(hole);
        world.receiver.open_port();
        Ok(0)
    }),
    Fault::new("receiver", "receiver answers 503", |world, random| {
        mood(world, random, Mood::Failing)
    }),
    Fault::new("receiver", "receiver does not answer", |world, random| {
        mood(world, random, Mood::Mute)
    }),
    Fault::new("receiver", "DNS is dead", |world, random| {
        world.dns.set_dead(true);
        // Names that were known a moment ago stay so; who begins anew knows none.
        let (leader, _) = world.wait_for_leader()?;
        signal(leader, Signal::TERM);
        random.wait(4_000..6_000);
        world.dns.set_dead(false);
        Ok(0)
    })
    .orderly(),
];

fn mood(world: &World, random: &mut Whim, mood: Mood) -> Result<usize> {
    world.desk.set_mood(mood);
    random.wait(3_000..6_000);
    world.desk.set_mood(Mood::Mixed);
    Ok(0)
}

/// An address to which packets go and from which none comes back, as behind a firewall that drops them: the
/// kernel does not answer when nobody takes connections and the queue of them is full.
struct BlackHole {
    _listener: OwnedFd,
    _fill: Vec<TcpStream>,
}

impl BlackHole {
    fn dig(address: SocketAddr) -> Result<BlackHole> {
        let failed = |error| Failure::because("could not make a black hole", error);
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).map_err(failed)?;
        sockopt::set_socket_reuseaddr(&listener, true).map_err(failed)?;
        bind(&listener, &address).map_err(failed)?;
        listen(&listener, 0).map_err(failed)?;
        let mut fill = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            fill.push(stream);
            if fill.len() > 100 {
                return Err(Failure::new("the queue of a socket does not fill"));
            }
        }
        Ok(BlackHole {
            _listener: listener,
            _fill: fill,
        })
    }
}

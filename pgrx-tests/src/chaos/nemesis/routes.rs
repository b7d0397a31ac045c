//! The route to the receiver, in a network of our own.

use std::process::Command;

use super::{Fault, Whim};
use crate::chaos::namespaces;
use crate::chaos::world::{ADDRESS, World};
use crate::{Result, command};

pub const FAULTS: &[Fault] = &[
    Fault::new("routes", "route to the receiver lost", |_: &World, random| {
        // Packets vanish, and connections that are made fail at once, each with an error of its own.
        let kinds = ["blackhole", "unreachable", "prohibit"];
        let kind = kinds[random.random.usize(..kinds.len())];
        cut(random, kind)
    })
    .delaying()
    .needing(no_network),
];

fn no_network() -> Option<String> {
    (!namespaces::has_own_network())
        .then(|| "it cuts a route in a network of its own, which only root may have".to_owned())
}

fn cut(random: &mut Whim, kind: &str) -> Result<usize> {
    let route = Route(format!("{kind} {ADDRESS}/32 table local"));
    route.run("add")?;
    random.wait(3_000..5_000);
    drop(route);
    Ok(0)
}

/// Taken away when dropped. It goes with the network, too, which goes with the program.
struct Route(String);

impl Route {
    fn run(&self, order: &str) -> Result<()> {
        let mut ip = Command::new("ip");
        ip.args(["route", order]).args(self.0.split(' '));
        command::output(&mut ip).map(drop)
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        let _ = self.run("del");
    }
}

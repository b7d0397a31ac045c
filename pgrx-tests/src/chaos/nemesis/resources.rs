//! What server and machine run out of: connections, descriptors, memory.

use std::process::Command;

use super::Fault;
use crate::chaos::world::World;
use crate::cluster::{Signal, signal};
use crate::{Failure, Result, account, command};

pub const FAULTS: &[Fault] = &[
    Fault::new("resources", "connections exhausted", |world, random| {
        let sessions = take_all_sessions(world);
        // Whoever takes over has no session of a client.
        signal(world.leader_seen(), Signal::TERM);
        random.wait(2_000..4_000);
        drop(sessions);
        Ok(0)
    })
    .orderly(),
    Fault::new("resources", "descriptors exhausted", |world, random| {
        let (leader, _) = world.wait_for_leader()?;
        let open = std::fs::read_dir(format!("/proc/{leader}/fd")).map_or(20, Iterator::count);
        limit(leader, DESCRIPTORS, open as u64, || random.wait(2_000..4_000))
    }),
    Fault::new("resources", "memory capped", |world, random| {
        let (leader, _) = world.wait_for_leader()?;
        // What it has stays; whatever is more is refused.
        limit(leader, ADDRESS_SPACE, 1 << 20, || random.wait(2_000..4_000))
    }),
];

fn take_all_sessions(world: &World) -> Vec<postgres::Client> {
    let mut sessions = Vec::new();
    while let Ok(session) = world.cluster().try_connect("postgres", &world.database) {
        sessions.push(session);
    }
    sessions
}

/// Lowers a limit of a process, does something, and puts the limit back if the process still lives.
///
/// By the server's user: even root may not where it lacks a capability.
fn limit(pid: i32, what: Limit, most: u64, work: impl FnOnce()) -> Result<usize> {
    let before = what.of(pid)?;
    let set = |value: &str| {
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &pid.to_string()]);
        prlimit.arg(format!("--{}={value}:", what.option));
        command::output(account::unprivileged(&mut prlimit))
    };
    set(&most.to_string())?;
    work();
    let _ = set(&before);
    Ok(0)
}

/// A limit by its name in `/proc` and for prlimit(1).
struct Limit {
    name: &'static str,
    option: &'static str,
}

const DESCRIPTORS: Limit = Limit {
    name: "Max open files",
    option: "nofile",
};
const ADDRESS_SPACE: Limit = Limit {
    name: "Max address space",
    option: "as",
};

impl Limit {
    /// The soft limit.
    fn of(&self, pid: i32) -> Result<String> {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"));
        let limits = limits.map_err(|error| Failure::because("could not read limits", error))?;
        let line = limits.lines().find_map(|line| line.strip_prefix(self.name));
        let soft = line.and_then(|line| line.split_whitespace().next());
        soft.map(str::to_owned)
            .ok_or_else(|| Failure::new(format!("no limit {}", self.name)))
    }
}

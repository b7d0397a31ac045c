//! The kernel kills a process for the memory that it takes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Fault, Whim, await_crash};
use crate::chaos::workload::Queue;
use crate::chaos::world::World;
use crate::wait::try_wait;
use crate::{Failure, Result};

const TRIES: usize = 6;

pub const FAULTS: &[Fault] = &[Fault::new(
    "memory",
    "killed by the kernel for lack of memory",
    |world, random| {
        // Who needs no page in the time, or ends by itself, is not killed: another one is then.
        for _ in 0..TRIES {
            let (leader, _) = world.wait_for_leader()?;
            let pid = if random.random.bool() {
                leader
            } else {
                super::processes::backend(world)?
            };
            if starve(world, random, pid)? {
                return Ok(0);
            }
        }
        println!("`killed by the kernel for lack of memory` killed nobody, {TRIES} times");
        Ok(0)
    },
)
.needing(no_group)];

fn no_group() -> Option<String> {
    Group::parent()
        .is_none()
        .then(|| "it makes a control group for memory, which only root may, and not everywhere".to_owned())
}

/// A process may have no page more, and so is killed when it needs one. Whether it was.
fn starve(world: &World, random: &mut Whim, pid: i32) -> Result<bool> {
    let mut witness = world.session()?;
    let group = Group::make()?;
    if group.take(pid).is_err() {
        // It has ended by itself, as sessions do.
        return Ok(false);
    }
    group.cap()?;
    for _ in 0..20 {
        let _ = world.pulse(Queue::Pulse);
        random.wait(20..100);
        if group.has_killed() {
            await_crash(&mut witness)?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// More than a process takes between two steps of ours.
const LARGEST_CAP: u64 = 64 << 20;

/// A control group, of the first or the second version. What is left in it goes back when it is dropped.
struct Group {
    folder: PathBuf,
    parent: PathBuf,
    names: Names,
}

/// Files of a control group, which each version of them names in its way.
#[derive(Clone, Copy)]
struct Names {
    limit: &'static str,
    /// Counts the kills, as `oom_kill`.
    events: &'static str,
}

const FIRST_VERSION: Names = Names {
    limit: "memory.limit_in_bytes",
    events: "memory.oom_control",
};

const SECOND_VERSION: Names = Names {
    limit: "memory.max",
    events: "memory.events",
};

impl Group {
    /// The group that we are in, where groups can be made below it.
    fn parent() -> Option<(PathBuf, Names)> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let (root, path, names) = own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/').to_owned());
            if controllers.split(',').any(|controller| controller == "memory") {
                return Some(("/sys/fs/cgroup/memory", path, FIRST_VERSION));
            }
            let shared = fs::read_to_string(
                Path::new("/sys/fs/cgroup")
                    .join(&path)
                    .join("cgroup.subtree_control"),
            );
            let is_shared = controllers.is_empty() && shared.is_ok_and(|shared| shared.contains("memory"));
            is_shared.then_some(("/sys/fs/cgroup", path, SECOND_VERSION))
        })?;
        let parent = Path::new(root).join(path);
        let trial = parent.join(Group::name());
        fs::create_dir(&trial).ok()?;
        let can_be_capped = trial.join(names.limit).exists();
        fs::remove_dir(&trial).ok()?;
        can_be_capped.then_some((parent, names))
    }

    /// A name that no other group has: the one before may still be there, and another thread may try.
    fn name() -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        format!("pg_hooks.{}.{number}", std::process::id())
    }

    fn make() -> Result<Group> {
        let (parent, names) = Group::parent().ok_or_else(|| Failure::new("no control group can be made"))?;
        let folder = parent.join(Group::name());
        fs::create_dir(&folder).map_err(|error| Failure::because("could not make a control group", error))?;
        Ok(Group {
            folder,
            parent,
            names,
        })
    }

    fn take(&self, pid: i32) -> std::io::Result<()> {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string())
    }

    fn cap(&self) -> Result<()> {
        let file = self.folder.join(self.names.limit);
        let mut most: u64 = 1 << 16;
        loop {
            match fs::write(&file, most.to_string()) {
                // The kernel cannot take back what the process took since it is in the group.
                Err(error) if error.kind() == ErrorKind::ResourceBusy && most < LARGEST_CAP => most *= 2,
                capped => {
                    return capped.map_err(|error| {
                        Failure::because("could not cap the memory of a control group", error)
                    });
                }
            }
        }
    }

    /// Whether the kernel has killed a process of it.
    fn has_killed(&self) -> bool {
        let events = fs::read_to_string(self.folder.join(self.names.events)).unwrap_or_default();
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.is_some_and(|kills| kills.trim() != "0")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Processes that end are there for a moment more.
        let _ = try_wait(std::time::Duration::from_secs(5), || {
            let left = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
            for pid in left.lines() {
                let _ = fs::write(self.parent.join("cgroup.procs"), pid);
            }
            fs::remove_dir(&self.folder).is_ok()
        });
    }
}

//! What the machine runs out of: connections, descriptors, memory, disk, time at the disk.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Fault, Whim};
use crate::chaos::world::World;
use crate::cluster::{Signal, signal};
use crate::{Failure, Result, account, command, scratch};

pub const FAULTS: &[Fault] = &[
    Fault::new("resources", "connections exhausted", |world, random| {
        let sessions = take_all_sessions(world);
        // Whoever takes over has no session of a client.
        signal(world.leader_seen(), Signal::TERM);
        random.wait(2_000..4_000);
        drop(sessions);
        Ok(0)
    }),
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
    Fault::new("resources", "disk kept busy", |_, random| {
        keep_disk_busy(Duration::from_millis(random.random.u64(3_000..5_000)));
        Ok(0)
    }),
    Fault::new("resources", "disk full", disk_full).needing(cannot_mount),
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

/// Writes and syncs next to the server's files, from two threads, a file of bounded size each.
fn keep_disk_busy(period: Duration) {
    const CHUNK: usize = 4 << 20;
    const CHUNKS: usize = 16;
    let folder = scratch::folder();
    let end = Instant::now() + period;
    std::thread::scope(|scope| {
        for number in 0..2 {
            let path = folder.join(number.to_string());
            scope.spawn(move || {
                let zeros = vec![0; CHUNK];
                while Instant::now() < end {
                    let Ok(mut file) = File::create(&path) else { return };
                    for _ in 0..CHUNKS {
                        let _ = file.write_all(&zeros).and_then(|()| file.sync_all());
                        if Instant::now() >= end {
                            break;
                        }
                    }
                }
            });
        }
    });
    let _ = std::fs::remove_dir_all(folder);
}

/// Set where the program runs in a mount namespace of its own, which takes its mounts along when it ends.
pub const OWN_MOUNTS: &str = "PG_HOOKS_CHAOS_MOUNTS";
const DISK_BYTES: &str = "48m";

fn cannot_mount() -> Option<String> {
    std::env::var_os(OWN_MOUNTS)
        .is_none()
        .then(|| "it mounts a small disk, which only root may do".to_owned())
}

/// Puts the messages on a small disk of its own, fills that, and moves them back.
fn disk_full(world: &World, random: &mut Whim) -> Result<usize> {
    let mut client = world.session()?;
    let mut run = |statement: &str| {
        let done = client.batch_execute(statement);
        done.map_err(|error| Failure::because(statement, format!("{error:?}")))
    };
    let disk = SmallDisk::mount()?;
    let folder = disk.folder.display();
    run(&format!("create tablespace small location '{folder}'"))?;
    run(
        "alter table hooks.message set tablespace small; alter index hooks.message_by_due set tablespace small",
    )?;
    let filler = disk.fill();
    random.wait(3_000..5_000);
    let _ = std::fs::remove_file(filler);
    run(
        "alter table hooks.message set tablespace pg_default; alter index hooks.message_by_due set tablespace pg_default",
    )?;
    // Files that were moved away are there until the next checkpoint.
    run("checkpoint")?;
    run("drop tablespace small")?;
    Ok(0)
}

/// A tmpfs, unmounted when dropped.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    fn mount() -> Result<SmallDisk> {
        let folder = scratch::folder();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK_BYTES}"), "tmpfs"]);
        command::output(mount.arg(&folder))?;
        account::hand_over(&folder)?;
        Ok(SmallDisk { folder })
    }

    /// Takes all the room there is.
    fn fill(&self) -> PathBuf {
        let path = self.folder.join("filler");
        let zeros = vec![0; 1 << 16];
        if let Ok(mut file) = File::create(&path) {
            while file.write_all(&zeros).is_ok() {}
            // The last page as well.
            while file.write_all(&[0]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.folder);
    }
}

fn unmount(folder: &Path) {
    let _ = command::output(Command::new("umount").arg("--lazy").arg(folder));
}

//! Processes of a server, found and signalled from outside.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Pid;
pub use rustix::process::Signal;

use crate::wait::try_wait;
use crate::{account, command};

/// What proc(5) calls stopped on a signal.
pub const STOPPED: char = 'T';
const TO_STOP: Duration = Duration::from_secs(5);

/// Sends `signal` to a process; false when there is none.
pub fn signal(pid: i32, signal: Signal) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
}

/// Kills a process by a signal that it cannot catch; false when it has ended, or is about to, by itself.
///
/// That can be known of a process only once it stands still.
pub fn kill9(pid: i32) -> bool {
    signal(pid, Signal::STOP);
    let stopped = try_wait(TO_STOP, || match state(pid) {
        Some(STOPPED) => Some(true),
        Some('Z' | 'X') | None => Some(false),
        Some(_) => None,
    });
    // It may also wait for a disk.
    stopped.unwrap_or(true) && signal(pid, Signal::KILL)
}

/// How a process is doing, by the letter of proc(5). `None`: there is none.
pub fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Bounds the address space of a process of a server, in bytes.
///
/// # Panics
/// When there is no such process.
pub fn limit_memory(pid: i32, most: Option<u64>) {
    let most = most.map_or_else(|| "unlimited".to_owned(), |most| most.to_string());
    let mut prlimit = Command::new("prlimit");
    // Of its own processes, the server's user may change the soft limit.
    prlimit.args(["--pid", &pid.to_string(), &format!("--as={most}:")]);
    if let Err(failure) = command::output(account::unprivileged(&mut prlimit)) {
        panic!("{failure}");
    }
}

/// Every process that works in `data`, as all processes of a server do, also when its postmaster is dead.
pub fn working_in(data: &Path) -> Vec<i32> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == data))
        .collect()
}

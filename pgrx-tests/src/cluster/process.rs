//! Processes of a server, found and signalled from outside.

use std::path::Path;

use rustix::process::Pid;
pub use rustix::process::Signal;

/// Sends `signal` to a process; false when there is none.
pub fn signal(pid: i32, signal: Signal) -> bool {
    Pid::from_raw(pid).is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
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

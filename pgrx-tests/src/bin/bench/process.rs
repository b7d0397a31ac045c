//! What processes use, as `/proc` tells.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pg_hooks_tests::{Failure, Result};

/// Memory of a process in MB of 1,048,576 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// `VmRSS`: all that is resident, with the shared memory of the server that it has touched.
    pub resident: f64,
    /// `RssAnon`: what is its own.
    pub anonymous: f64,
    /// `Pss`: resident, with each shared page divided by the number of its users.
    pub proportional: f64,
}

pub fn memory(pid: i32) -> Result<Memory> {
    let status = read(&PathBuf::from(format!("/proc/{pid}/status")))?;
    let rollup = read(&PathBuf::from(format!("/proc/{pid}/smaps_rollup")))?;
    Ok(Memory {
        resident: megabytes(&status, "VmRSS:")?,
        anonymous: megabytes(&status, "RssAnon:")?,
        proportional: megabytes(&rollup, "Pss:")?,
    })
}

/// Processor time of all threads that live.
pub fn cpu_time(pid: i32) -> Result<Duration> {
    Ok(threads(pid)?.iter().map(|thread| thread_cpu_time(thread)).sum())
}

/// Processor time of the receivers of this process.
pub fn receiver_cpu_time() -> Result<Duration> {
    let own = i32::try_from(std::process::id()).map_err(|error| Failure::because("process id", error))?;
    let receivers = threads(own)?.into_iter().filter(|thread| {
        let name = fs::read_to_string(thread.join("comm"));
        name.is_ok_and(|name| name.trim() == "receiver")
    });
    Ok(receivers.map(|thread| thread_cpu_time(&thread)).sum())
}

/// How often threads that live have slept: each of these is a wakeup.
pub fn wakeups(pid: i32) -> Result<u64> {
    let sleeps = |thread: &PathBuf| {
        let status = fs::read_to_string(thread.join("status")).unwrap_or_default();
        field(&status, "voluntary_ctxt_switches:").unwrap_or(0)
    };
    Ok(threads(pid)?.iter().map(sleeps).sum())
}

pub fn thread_count(pid: i32) -> Result<usize> {
    Ok(threads(pid)?.len())
}

fn threads(pid: i32) -> Result<Vec<PathBuf>> {
    let folder = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&folder)
        .map_err(|error| Failure::because(format_args!("could not read {folder}"), error))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// A thread that has just ended used nothing.
fn thread_cpu_time(thread: &Path) -> Duration {
    let schedule = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
    let nanoseconds = schedule.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

fn megabytes(text: &str, name: &str) -> Result<f64> {
    let kilobytes = field(text, name).ok_or_else(|| Failure::new(format!("no {name} in /proc")))?;
    Ok(kilobytes as f64 / 1024.0)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file)
        .map_err(|error| Failure::because(format_args!("could not read {}", file.display()), error))
}

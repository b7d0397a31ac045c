//! An end to what takes too long, for programs that run others.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::getpgrp;

use crate::cluster::{Signal, signal};

/// Whoever has not ended by then, although he was asked, is killed.
const GRACE: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Does `work` and gives what comes of it, and whether that took no longer than `limit`. If it does, every process that
/// descends from this one is ended.
pub fn within<T>(limit: Duration, work: impl FnOnce() -> T) -> (T, bool) {
    let (working, over) = channel();
    let watch = thread::spawn(move || !is_longer(&over, limit) || end_descendants(&over));
    let done = work();
    drop::<std::sync::mpsc::Sender<()>>(working);
    (done, watch.join().unwrap_or_default())
}

fn is_longer(over: &Receiver<()>, than: Duration) -> bool {
    over.recv_timeout(than) == Err(RecvTimeoutError::Timeout)
}

/// Again and again, as who is ended may be followed by another. False, when the work is over.
fn end_descendants(over: &Receiver<()>) -> bool {
    let begun = Instant::now();
    let own_group = getpgrp().as_raw_nonzero().get();
    loop {
        for process in descendants() {
            signal(process.pid, Signal::TERM);
            signal(process.pid, Signal::CONT);
            // In groups of their own are those who tidy up after others, and end by themselves.
            if begun.elapsed() > GRACE && process.group == own_group {
                signal(process.pid, Signal::KILL);
            }
        }
        if !is_longer(over, BETWEEN_LOOKS) {
            return false;
        }
    }
}

#[derive(Clone, Copy)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
}

impl Process {
    /// From the line of proc(5); the name, which is in brackets, may hold anything.
    fn read(pid: i32) -> Option<Process> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(1);
        let mut number = || fields.next()?.parse().ok();
        Some(Process {
            pid,
            parent: number()?,
            group: number()?,
        })
    }
}

fn descendants() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in pids.filter_map(Process::read) {
        children.entry(process.parent).or_default().push(process);
    }
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let mut found = children.remove(&own).unwrap_or_default();
    let mut at = 0;
    while let Some(process) = found.get(at) {
        found.extend(children.remove(&process.pid).unwrap_or_default());
        at += 1;
    }
    found
}

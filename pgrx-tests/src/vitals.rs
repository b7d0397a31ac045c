//! What a process costs, seen from outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::meanwhile::StopAtEnd;

const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// Clock ticks, of 10 ms, that a process has spent on a CPU.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn cpu_ticks(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // proc(5): fields 14 and 15, counted from the name, which is in brackets and the second.
    let after_name = stat.rsplit(") ").next().unwrap();
    let fields: Vec<&str> = after_name.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// A line of what the system says of a process, such as `VmSize:`, in kB.
///
/// # Panics
/// If there is no such process or line.
pub fn kilobytes(pid: i32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.unwrap_or_else(|error| panic!("process {pid}: {error}"));
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{name} is not there in {status}"))
}

/// Memory that a process has of its own, in kB.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn private_kb(pid: i32) -> u64 {
    kilobytes(pid, "RssAnon:")
}

/// The most memory that a process has of its own while `work` is under way, in kB, looked at every 2 ms.
///
/// # Panics
/// When there is no such process any more.
pub fn peak_kb(pid: i32, work: impl FnOnce()) -> u64 {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut peak = 0;
            while !over.load(Ordering::Relaxed) {
                peak = peak.max(private_kb(pid));
                thread::sleep(BETWEEN_LOOKS);
            }
            peak
        });
        let working = StopAtEnd(&over);
        work();
        drop(working);
        looking.join().unwrap()
    })
}

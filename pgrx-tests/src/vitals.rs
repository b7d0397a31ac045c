//! What a process costs, seen from outside.

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

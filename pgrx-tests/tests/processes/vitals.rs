//! Our processes as the server and the system show them.

use pg_hooks_tests::Cluster;
use postgres::Client;

/// Process id of the launcher, if it runs.
pub fn launcher(client: &mut Client) -> Option<i32> {
    let query = "select pid from pg_stat_activity where backend_type = 'pg_hooks launcher'";
    client.query(query, &[]).unwrap().first().map(|row| row.get(0))
}

/// Process ids of all our workers, in whatever database.
pub fn workers(client: &mut Client) -> Vec<i32> {
    let query = "select pid from pg_stat_activity where backend_type = 'pg_hooks worker' order by pid";
    client
        .query(query, &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

/// Lines of the log with these words in them.
pub fn logged(cluster: &Cluster, words: &str) -> usize {
    cluster.log().lines().filter(|line| line.contains(words)).count()
}

/// Memory of a process that is not shared with other processes, in kB.
pub fn private_memory_kb(pid: i32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let private = rollup.lines().filter(|line| line.starts_with("Private_"));
    private.map(kilobytes).sum()
}

/// Resident memory of a process, in kB.
pub fn resident_memory_kb(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    kilobytes(status.lines().find(|line| line.starts_with("VmRSS:")).unwrap())
}

fn kilobytes(line: &str) -> u64 {
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Files that a process has open.
pub fn open_files(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

//! Connections to a receiver: kept, bounded, and made anew without blaming anybody.

use std::time::Duration;

use pg_hooks_tests::cluster::{Signal, signal};
use pg_hooks_tests::{Behaviour, Cluster, Receiver, wait_until};

use crate::site::{Site, ms};

/// Sets the limits on open files of a process of the server, as the server's user may.
fn limit_files(site: &mut Site, pid: i32, soft: u64, hard: u64) {
    site.run(&format!(
        "copy (select) to program 'prlimit --pid {pid} --nofile={soft}:{hard}'"
    ));
}

/// The soft and the hard limit on open files of a process.
fn file_limits(pid: i32) -> (u64, u64) {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let mut numbers = line
        .unwrap()
        .split_whitespace()
        .map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

fn open_files(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Waits for a line of this process in the server's log.
#[track_caller]
fn wait_for_log(site: &Site, pid: i32, text: &str) {
    let process = format!("[{pid}]");
    wait_until(
        format_args!("\"{text}\" in the log"),
        Duration::from_secs(20),
        || {
            let log = site.cluster.log();
            log.lines()
                .any(|line| line.contains(&process) && line.contains(text))
        },
    );
}

#[test]
fn queue_has_no_more_connections_than_messages_under_way() {
    let mut site = Site::settled();
    site.queue("q", ", max_in_flight => 3");
    site.queue("other", "");
    site.receiver.on("/other", Behaviour::slow(ms(5)));
    // The other queue has many threads come and go.
    let elsewhere = Receiver::start();
    site.run(&format!(
        "select hooks.alter_queue('other', url => '{}')",
        elsewhere.url("/other")
    ));
    site.run("select hooks.send('other', n::text) from generate_series(1, 500) as n");
    site.run("select hooks.send('q', n::text) from generate_series(1, 1000) as n");
    site.wait_until("select not exists (select from hooks.message)");
    let connections = site
        .arrivals("q", 1_000)
        .iter()
        .map(|request| request.connection)
        .max();
    assert!(connections <= Some(3), "{connections:?} connections");
}

#[test]
fn idle_connections_are_closed_after_a_while() {
    let mut site = Site::settled();
    site.queue("q", "");
    site.run("select hooks.send('q', n::text) from generate_series(1, 100) as n");
    site.arrivals("q", 100);
    assert!(site.receiver.open_connections() > 0);
    // Kept for 15 s, and looked at when a thread ends, after 30 s without work.
    wait_until("no connections", Duration::from_secs(120), || {
        site.receiver.open_connections() == 0
    });
}

#[test]
fn without_descriptors_messages_wait_and_nobody_is_blamed() {
    // A worker that cannot open what it has to write to takes all of its server with it.
    let mut site = Site::on(Box::leak(Box::new(Cluster::builder().start())));
    let leader = site.leader();
    site.queue("q", ", timeout => '10 s', max_attempts => 1");
    let (soft, hard) = file_limits(leader);
    limit_files(&mut site, leader, 3, hard);
    let ids: Vec<i64> = (0..20).map(|n| site.send("q", &n.to_string())).collect();
    wait_for_log(&site, leader, ": Too many open files");
    assert_eq!(site.arrived("q"), 0);
    assert_eq!(site.value::<i64>("select count(*) from hooks.attempt"), 0);
    limit_files(&mut site, leader, soft, hard);
    for id in ids {
        site.wait_for_state(id, "delivered");
        assert_eq!(site.attempt(id).result(), (Some(200), None));
    }
    assert_eq!(site.leader(), leader);
}

#[test]
fn soft_limit_on_open_files_is_raised_for_the_sockets() {
    let mut site = Site::settled();
    let leader = site.leader();
    let (_, hard) = file_limits(leader);
    limit_files(&mut site, leader, 300, hard);
    signal(leader, Signal::HUP);
    // Twice 256 sockets and a reserve of 256.
    wait_until("a higher limit", Duration::from_secs(20), || {
        file_limits(leader) == (768, hard)
    });
}

#[test]
fn attempts_at_once_stay_within_the_limit_on_open_files() {
    let mut site = Site::settled();
    let leader = site.leader();
    limit_files(&mut site, leader, 300, 300);
    signal(leader, Signal::HUP);
    wait_for_log(
        &site,
        leader,
        "WARNING:  [PGH403] pg_hooks worker makes at most 150 attempts at once instead of 256: \
         the process may open 300 files, and 150 of them are left to PostgreSQL",
    );
    // Receivers that answer, as those that never did get few slots.
    for name in ["a", "b", "c", "d"] {
        site.receiver.on(&format!("/{name}"), Behaviour::slow(ms(100)));
        site.queue(name, ", max_in_flight => 200");
        site.run(&format!(
            "select hooks.send('{name}', n::text) from generate_series(1, 1000) as n"
        ));
    }
    let (mut most, mut most_files) = (0, 0);
    wait_until("all to be delivered", Duration::from_secs(60), || {
        most = most.max(site.value::<i32>("select in_flight from hooks.worker where leader"));
        most_files = most_files.max(open_files(leader));
        site.value::<bool>("select count(*) = 4000 from hooks.message_log where attempts = 1")
    });
    assert!((100..=150).contains(&most), "{most} at once");
    assert!(most_files <= 300, "{most_files} files");
}

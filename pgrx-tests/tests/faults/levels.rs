//! What a leader holds after thousands of faults: no more than before.
//!
//! The measure is the memory that belongs to its process alone: what PostgreSQL and our code allocated, and stacks.
//! Shared memory, which a process takes up as it touches it, is none of it.

use std::time::Duration;

use pg_hooks_tests::receiver::Answer;
use pg_hooks_tests::site::Site;
use pg_hooks_tests::wait::try_wait;
use pg_hooks_tests::{Behaviour, Cluster};

use crate::memory::kilobytes;
use crate::places::PLACES;
use crate::village::Village;

/// How far memory may go up and down at its level.
const MOST_KB: i64 = 1024;

fn memory(pid: i32) -> i64 {
    i64::try_from(kilobytes(pid, "RssAnon:")).expect("a number")
}

/// Runs rounds that give the memory of the leader, until it has stayed at its level for so many of them. Until then caches
/// fill, and the heap of one more thread may grow at any time.
#[track_caller]
fn assert_finds_its_level(rounds: usize, mut round: impl FnMut() -> i64) {
    let mut levels = vec![round()];
    while levels.len() <= 6 * rounds {
        levels.push(round());
        let last = levels.rchunks(rounds + 1).next().unwrap_or_default();
        let span = last
            .iter()
            .max()
            .zip(last.iter().min())
            .map(|(most, least)| most - least);
        if last.len() > rounds && span < Some(MOST_KB) {
            println!("{levels:?} kB");
            return;
        }
    }
    panic!("it grows on and on: {levels:?} kB");
}

#[test]
fn memory_of_the_leader_comes_back_to_its_level_after_thousands_of_faults() {
    let cluster = Cluster::builder()
        .faulty()
        .setting("hooks.max_in_flight", "16")
        .start();
    let cluster: &'static Cluster = Box::leak(Box::new(cluster));
    let mut site = Site::on(cluster);
    site.queue(
        "q",
        ", max_attempts => 100, min_backoff => '10 ms', max_backoff => '10 ms', breaker_min_requests => 10000",
    );
    cluster.set_faults(
        "message::FETCH:every 2=22000, attempt: panic:every 5, socket: connect:every 7=111, socket: read:every 9, \
         socket: write:every 11, thread: io:every 2",
    );
    assert_finds_its_level(4, || {
        site.run("select hooks.send('q', repeat('body ', 100)) from generate_series(1, 500)");
        site.settle();
        memory(site.value("select pid from hooks.worker where leader"))
    });
    let faults: usize = cluster.struck().iter().map(|(_, times)| times).sum();
    assert!(faults > 1000, "{faults} faults");
}

/// Every statement and commit of the worker fails each time that the leader has come to it so often again.
fn now_and_then(every: usize, sqlstate: &str) -> String {
    let is_sql = |place: &&&str| place.contains("::") || place.starts_with("commit: ");
    let plan = PLACES.iter().filter(is_sql);
    plan.map(|place| format!("{place}:every {every}={sqlstate}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What is done again until it succeeds, by a leader that stays the same.
#[test]
fn memory_of_a_leader_whose_every_statement_fails_now_and_then_stays_at_its_level() {
    let mut village = Village::found();
    let leader = village.leader();
    village.live_under_one_leader();
    village.settle();
    village.cluster.set_faults(&now_and_then(5, "58030"));
    assert_finds_its_level(4, || {
        village.live_under_one_leader();
        village.settle();
        memory(leader)
    });
    let struck = village.cluster.struck();
    village.cluster.set_faults("");
    assert_eq!(village.leader(), leader, "the worker did not end");
    let faults: usize = struck.iter().map(|(_, times)| times).sum();
    assert!(faults > 100 && struck.len() > 30, "{struck:?}");
}

/// What rows are blamed for: batches are halved, messages buried, and passed over for good by this leader.
#[test]
fn memory_of_a_leader_that_blames_rows_now_and_then_stays_at_its_level() {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::builder().faulty().start()));
    let mut site = Site::on(cluster);
    let policy =
        ", max_attempts => 3, min_backoff => '10 ms', max_backoff => '10 ms', breaker_min_requests => 10000";
    for name in ["busy", "events", "good"] {
        site.queue(name, policy);
    }
    let answer = Answer::new(503).text("busy").into();
    site.receiver.on("/busy", Behaviour::OneIn(3, Box::new(answer)));
    site.run("select hooks.subscribe('made', 'events', envelope => 'standard')");
    site.wait_until("select exists (select from hooks.worker where leader)");
    let leader: i32 = site.value("select pid from hooks.worker where leader");
    cluster.set_faults(&now_and_then(3, "22000"));
    assert_finds_its_level(6, || {
        site.run(
            "select hooks.send('busy', repeat('body ', 100)) from generate_series(1, 150);
             select hooks.send('good', repeat('body ', 5000)) from generate_series(1, 50);
             select hooks.send('good', 'keyed', ordering_key => 'k' || n % 10) from generate_series(1, 50) as n;
             select hooks.publish('made', jsonb_build_object('n', n)) from generate_series(1, 50) as n",
        );
        let left = "select not exists (select from hooks.message)";
        let _ = try_wait(Duration::from_secs(3), || site.value::<bool>(left));
        site.run("delete from hooks.message");
        memory(leader)
    });
    let struck = cluster.struck();
    cluster.set_faults("");
    let faults: usize = struck.iter().map(|(_, times)| times).sum();
    assert!(faults > 500, "{struck:?}");
    site.run("select hooks.send('good', 'last')");
    site.settle();
    let now: i32 = site.value("select pid from hooks.worker where leader");
    assert_eq!(now, leader, "the worker did not end");
}

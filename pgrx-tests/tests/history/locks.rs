//! The partitions come and go without anybody waiting.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pg_hooks_tests::site::{SOON, Site, run};
use pg_hooks_tests::{Cluster, wait_until};

use crate::add_day;

fn brisk() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        Cluster::builder()
            .setting("hooks.rescan_interval", "100ms")
            .start()
    })
}

const OLD: &str = "select to_regclass('hooks.attempt_20200101') is not null";

fn site() -> Site {
    let mut site = Site::on(brisk());
    site.wait_until(
        "select to_regclass('hooks.attempt_' || to_char(now() at time zone 'UTC', 'YYYYMMDD')) is not null",
    );
    site
}

/// A reader such as pg_dump holds its locks for hours. The day stays meanwhile, nobody queues behind the
/// worker, and messages are delivered.
#[test]
fn day_that_is_being_read_is_dropped_when_the_reader_is_done() {
    let mut site = site();
    site.queue("q", "");
    let mut reader = site.connect();
    run(
        &mut reader,
        "begin; lock table only hooks.attempt in access share mode",
    );
    add_day(&mut site, "attempt", "'2020-01-01'");
    run(&mut reader, "select count(*) from hooks.attempt");
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        let stuck: i64 = site.value(
            "select count(*) from pg_locks
             where not granted and database = (select oid from pg_database where datname = current_database())",
        );
        assert_eq!(stuck, 0, "somebody waits");
        site.run("select hooks.send('q', 'x'), (select count(*) from hooks.attempt)");
        rounds += 1;
    }
    assert!(site.value::<bool>(OLD), "dropped under a reader");
    site.arrivals("q", rounds);
    run(&mut reader, "rollback");
    site.wait_until("select to_regclass('hooks.attempt_20200101') is null");
}

/// Readers whose transactions overlap leave no moment without a lock.
#[test]
fn day_that_readers_come_to_without_a_gap_is_dropped_all_the_same() {
    let mut site = site();
    let reading = Arc::new(AtomicBool::new(true));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (mut client, reading) = (site.connect(), Arc::clone(&reading));
            std::thread::spawn(move || {
                while reading.load(Ordering::Relaxed) {
                    run(
                        &mut client,
                        "begin; select from hooks.attempt limit 0; select pg_sleep(0.03); commit",
                    );
                }
            })
        })
        .collect();
    add_day(&mut site, "attempt", "'2020-01-01'");
    // It is tried a hundred times without waiting before.
    wait_until("the day to be dropped", 4 * SOON, || {
        site.value::<bool>("select to_regclass('hooks.attempt_20200101') is null")
    });
    reading.store(false, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
}

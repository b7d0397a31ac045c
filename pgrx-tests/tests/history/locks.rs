//! The partitions come and go without anybody waiting.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pg_hooks_tests::Cluster;
use pg_hooks_tests::site::{Site, run};

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
        let stuck: i64 = site.value("select count(*) from pg_locks where not granted");
        assert_eq!(stuck, 0, "somebody waits");
        site.run("select hooks.send('q', 'x'), (select count(*) from hooks.attempt)");
        rounds += 1;
    }
    assert!(site.value::<bool>(OLD), "dropped under a reader");
    site.arrivals("q", rounds);
    run(&mut reader, "rollback");
    site.wait_until("select to_regclass('hooks.attempt_20200101') is null");
}

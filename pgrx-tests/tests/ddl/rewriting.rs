//! VACUUM FULL, CLUSTER and REINDEX of our tables: what takes the strongest locks only delays.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use pg_hooks_tests::meanwhile::StopAtEnd;
use pg_hooks_tests::site::{Site, run, value};

#[test]
fn tables_are_rewritten_under_load_and_nothing_is_lost_or_sent_twice() {
    let mut site = Site::new();
    site.queue("q", "");
    let ended = AtomicBool::new(false);
    let mut writer = site.connect();
    let mut client = site.connect();
    let sent = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut ids = HashSet::new();
            while !ended.load(Ordering::Relaxed) {
                ids.insert(value::<i64>(&mut writer, "select hooks.send('q', 'x')"));
                thread::sleep(Duration::from_millis(1));
            }
            ids
        });
        let rewriting = StopAtEnd(&ended);
        for statement in [
            "vacuum full hooks.message",
            "cluster hooks.message using message_pkey",
            "reindex table concurrently hooks.message",
            "vacuum full hooks.queue",
            "cluster hooks.queue using queue_pkey",
            "reindex table concurrently hooks.queue",
            "vacuum full hooks.dead_letter",
            "vacuum full hooks.queue_total",
            "vacuum full hooks.tally_log",
            "vacuum full hooks.installation",
            "vacuum full hooks.attempt_default",
            "reindex table concurrently hooks.message_log",
            "vacuum (freeze, analyze) hooks.message",
        ] {
            run(&mut client, statement);
        }
        drop(rewriting);
        writer.join().unwrap()
    });
    site.settle();
    let arrived: Vec<i64> = site
        .arrivals("q", sent.len())
        .iter()
        .map(|request| request.message_id().unwrap())
        .collect();
    assert_eq!(arrived.len(), sent.len(), "each once");
    assert_eq!(arrived.into_iter().collect::<HashSet<_>>(), sent);
    assert_eq!(site.value::<i64>("select count(*) from hooks.dead_letter"), 0);
}

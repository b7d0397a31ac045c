//! DROP EXTENSION and CREATE EXTENSION, again and again, under load.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use pg_hooks_tests::meanwhile::StopAtEnd;
use pg_hooks_tests::{Cluster, Receiver, extent, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// Each takes a second, as the launcher starts a worker of a database once a second at most.
fn cycles() -> usize {
    extent::of("DROP_CYCLES", 12)
}

#[test]
fn extension_is_dropped_and_made_under_load_and_serves_each_time() {
    let cluster = Cluster::builder()
        .setting("hooks.rescan_interval", "200ms")
        .start();
    let receiver = Receiver::start();
    cluster.create_database("shop");
    let mut client = cluster.connect("shop");
    let (ended, sent) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for writer in 0..2 {
            let (cluster, ended, sent) = (&cluster, &ended, &sent);
            scope.spawn(move || {
                let mut client = cluster.connect("shop");
                while !ended.load(Ordering::Relaxed) {
                    // Errors are expected: now and then there is no extension, or no queue in it.
                    let body = format!("load {writer}");
                    match client.execute("select hooks.send('load', $1::text)", &[&body]) {
                        Ok(_) => sent.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            assert!(error.as_db_error().is_some(), "the session ended: {error:?}");
                            thread::sleep(Duration::from_millis(2));
                            0
                        }
                    };
                }
            });
        }
        let working = StopAtEnd(&ended);
        for cycle in 0..cycles() {
            let (load, mark) = (receiver.url("/load"), receiver.url("/mark"));
            let create = format!(
                "begin;
                 create extension pg_hooks;
                 select hooks.create_queue('load', '{load}');
                 select hooks.create_queue('mark', '{mark}');
                 commit"
            );
            client.batch_execute(&create).unwrap();
            let body = format!("cycle {cycle}");
            client
                .execute("select hooks.send('mark', $1::text)", &[&body])
                .unwrap();
            wait_until(format_args!("the message of cycle {cycle}"), SOON, || {
                receiver
                    .requests("/mark")
                    .iter()
                    .any(|request| request.text() == body)
            });
            // A writer or the worker may be in its way; one of them gives way, and never a process ends.
            wait_until("the extension to be dropped", SOON, || {
                client
                    .batch_execute("drop extension pg_hooks")
                    .map_err(|error| format!("{error:?}"))
            });
        }
        drop(working);
    });
    println!(
        "{} cycles, {} messages of the load",
        cycles(),
        sent.load(Ordering::Relaxed)
    );
    assert!(sent.load(Ordering::Relaxed) > 0);
    let log = cluster.log();
    for alarm in ["PANIC", "was terminated by signal", "panicked"] {
        assert!(!log.contains(alarm), "{alarm} in the log");
    }
    wait_until("the workers to leave", SOON, || {
        cluster.worker_pids("shop").is_empty()
    });
}

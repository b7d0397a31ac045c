//! Workers that end in every way while each second has its tick.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::cluster::{Signal, StopMode, signal};

use crate::site::{SOON, Site, Tick, assert_each_once, assert_every_second};

fn second_by_second(cluster: &Cluster) -> Site<'_> {
    let mut site = Site::on(cluster);
    site.queue("q", ", min_backoff => '100 ms', max_backoff => '100 ms'");
    site.run("select hooks.schedule('all', 'q', 'every 1 second', missed => 'all', missed_limit => 1000)");
    site.wait_for_ticks("q", 1);
    site
}

/// Runs on for some ticks, lets everything be sent, and compares with what is stored.
fn settle(site: &mut Site) -> Vec<Tick> {
    let count = site.ticks("q").len();
    site.wait_for_ticks("q", count + 4);
    site.run("select hooks.pause_schedule('all')");
    site.settle();
    let ticks = site.ticks("q");
    let made: i64 = site.value("select count(*) from hooks.message_log");
    assert_eq!(
        usize::try_from(made).unwrap(),
        ticks.len(),
        "messages that did not arrive"
    );
    ticks
}

#[test]
fn killed_workers_make_each_tick_once_and_none_is_missing() {
    let cluster = Cluster::builder().start();
    let mut site = second_by_second(&cluster);
    for _ in 0..3 {
        let leader = site.leader();
        assert!(signal(leader, Signal::KILL));
        pg_hooks_tests::wait_until("the server to end all sessions", SOON, || {
            site.client.batch_execute("select 1").is_err()
        });
        site.reconnect();
        let count = site.ticks("q").len();
        site.wait_for_ticks("q", count + 1);
    }
    assert_every_second(&settle(&mut site));
}

#[test]
fn server_that_crashes_makes_each_tick_once_and_none_is_missing() {
    let cluster = Cluster::builder().start();
    let mut site = second_by_second(&cluster);
    for _ in 0..2 {
        cluster.stop(StopMode::Immediate);
        cluster.start().unwrap();
        site.reconnect();
        let count = site.ticks("q").len();
        site.wait_for_ticks("q", count + 1);
    }
    assert_every_second(&settle(&mut site));
}

#[test]
fn two_workers_never_make_a_tick_twice() {
    let cluster = Cluster::builder().setting("hooks.workers", "2").start();
    let mut site = second_by_second(&cluster);
    for _ in 0..5 {
        let leader = site.leader();
        assert!(signal(leader, Signal::TERM));
        site.wait_until(&format!(
            "select exists (select from hooks.worker where leader and pid <> {leader})"
        ));
        let count = site.ticks("q").len();
        site.wait_for_ticks("q", count + 1);
    }
    let ticks = settle(&mut site);
    assert_each_once(&ticks);
    assert_every_second(&ticks);
}

//! Ticks that nobody was there for.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::cluster::StopMode;

use crate::site::{Site, assert_each_once};

/// Plans an entry for so many minutes ago, as if the server had been down, or its clock set forward.
fn miss(site: &mut Site, minutes: u32, policy: &str) {
    site.queue("q", "");
    site.run(&format!(
        "select hooks.schedule('a', 'q', '* * * * *', 'x'{policy});
         update hooks.cron set next_run_at = date_trunc('minute', now()) - interval '{minutes} min'"
    ));
}

#[test]
fn once_makes_the_latest_up() {
    let mut site = Site::new();
    miss(&mut site, 120, "");
    let ticks = site.wait_for_ticks("q", 1);
    let now = site.now();
    site.settle();
    assert_each_once(&ticks);
    assert!(ticks.len() <= 2, "{ticks:?}");
    assert!(now - ticks[0].at < 120, "{ticks:?}");
    // A minute may begin just now.
    site.wait_until("select next_run_at > now() and last_run_at <= now() from hooks.cron");
}

#[test]
fn late_run_says_so() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "select hooks.schedule('a', 'q', '@yearly');
         update hooks.cron set next_run_at = '2020-01-01 00:00+00'",
    );
    let ticks = site.wait_for_ticks("q", 1);
    let new_year: i64 =
        site.value("select extract(epoch from date_trunc('year', now() at time zone 'UTC'))::bigint");
    assert_eq!((ticks[0].at, ticks[0].late), (new_year, true));
    let header = site.receiver.requests("/q")[0]
        .header("hooks-cron-tick")
        .map(str::to_owned);
    let expected: String =
        site.value("select to_char(now() at time zone 'UTC', 'YYYY') || '-01-01T00:00:00Z'");
    assert_eq!(header, Some(expected));
}

#[test]
fn skip_makes_up_for_nothing() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "select hooks.schedule('a', 'q', '@yearly', missed => 'skip');
         update hooks.cron set next_run_at = '2020-01-01 00:00+00'",
    );
    site.wait_until("select next_run_at > now() from hooks.cron");
    let idle: bool = site.value(
        "select last_run_at is null and last_message_id is null and not exists (select from hooks.message)
         from hooks.cron",
    );
    assert!(idle);
    assert_eq!(site.arrived("q"), 0);
}

#[test]
fn all_makes_up_for_each_in_order_up_to_the_limit() {
    let mut site = Site::new();
    miss(&mut site, 120, ", missed => 'all', missed_limit => 30");
    let ticks = site.wait_for_ticks_each("q", 30, 60);
    assert!(ticks.len() <= 31, "{ticks:?}");
    assert!(ticks[..28].iter().all(|tick| tick.late));
    let messages: Vec<i64> = ticks.iter().map(|tick| tick.message).collect();
    assert!(messages.is_sorted(), "ids do not follow the ticks: {messages:?}");
}

/// Stops the server for some seconds during a schedule of each second.
fn stop_for_a_while(site: &mut Site) {
    let count = site.ticks("q").len();
    site.wait_for_ticks("q", count + 2);
    site.cluster.stop(StopMode::Fast);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(3);
    while std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    site.cluster.start().unwrap();
    site.reconnect();
    site.leader();
    let count = site.ticks("q").len();
    site.wait_for_ticks("q", count + 5);
}

#[test]
fn server_that_was_down_makes_up_for_all_when_told_to() {
    let cluster = Cluster::builder().start();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    site.run("select hooks.schedule('a', 'q', 'every 1 second', missed => 'all')");
    stop_for_a_while(&mut site);
    site.wait_for_ticks_each("q", 1, 1);
}

#[test]
fn server_that_was_down_makes_up_for_one_by_default() {
    let cluster = Cluster::builder().start();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    site.run("select hooks.schedule('a', 'q', 'every 1 second')");
    stop_for_a_while(&mut site);
    let ticks = site.ticks("q");
    assert_each_once(&ticks);
    let gaps: Vec<i64> = ticks.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
    assert!(gaps.iter().any(|gap| *gap >= 3), "{gaps:?}");
}

/// The clock was set back: the last tick lies ahead.
#[test]
fn clock_that_was_set_back_brings_no_tick_again() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "select hooks.schedule('a', 'q', '@hourly');
         begin;
         set local session_replication_role = replica;
         update hooks.cron set last_run_at = date_trunc('hour', now()) + interval '5 hours', next_run_at = date_trunc('hour', now()) + interval '6 hours';
         commit;
         select hooks.schedule('a', 'q', '*/30 * * * *')",
    );
    let after: bool = site.value("select next_run_at > last_run_at from hooks.cron");
    assert!(after);
    // Whoever corrected the clock says so.
    site.run("update hooks.cron set next_run_at = null");
    let soon: bool = site.value("select next_run_at <= now() + interval '30 min' from hooks.cron");
    assert!(soon);
}

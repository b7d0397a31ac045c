//! What a tick makes.

use pg_hooks_tests::{Behaviour, Cluster};

use crate::site::{Site, assert_each_once, run};

#[test]
fn tick_makes_one_message_with_body_headers_and_the_time() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        r#"select hooks.schedule('täglich', 'q', '@daily', '{"n": 1}'::jsonb, headers => '{"x-a": "b"}',
             ordering_key => 'k');
           update hooks.cron set next_run_at = now() - interval '1 s'"#,
    );
    let planned: String =
        site.value("select to_char((now() at time zone 'UTC')::date + 1, 'YYYY-MM-DD') || ' 00:00:00'");
    site.wait_for_ticks("q", 1);
    let request = &site.receiver.requests("/q")[0];
    assert_eq!(request.text(), r#"{"n": 1}"#);
    assert_eq!(request.header("x-a"), Some("b"));
    assert_eq!(request.header("hooks-cron-name"), Some("t?glich"));
    assert_eq!(request.header("hooks-cron-late"), None);
    assert_eq!(request.header("content-type"), Some("application/json"));
    let next: String =
        site.value("select to_char(next_run_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') from hooks.cron");
    assert_eq!(next, planned);
    site.wait_until("select last_state = 'delivered' from hooks.cron_status");
    let shown: bool = site.value(
        "select last_message_id = (select id from hooks.message_log) and last_run_at < now() and queue = 'q'
         from hooks.cron_status",
    );
    assert!(shown);
}

#[test]
fn binary_body_is_sent_as_it_is() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(r"select hooks.schedule('a', 'q', 'every 1 second', '\x00ff'::bytea)");
    site.wait_for_ticks("q", 1);
    assert_eq!(site.receiver.requests("/q")[0].body, [0, 255]);
}

#[test]
fn every_second_makes_one_message_each_second_at_once() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.schedule('a', 'q', 'every 1 second', 'x', missed => 'all')");
    let ticks = site.wait_for_ticks_each("q", 5, 1);
    let requests = site.receiver.requests("/q");
    let delays = ticks.iter().map(|tick| {
        let request = requests
            .iter()
            .find(|request| request.message_id() == Some(tick.message));
        request.unwrap().arrived.unix_us - tick.at * 1_000_000
    });
    let delays: Vec<i64> = delays.collect();
    // The machine may be busy, but not at each tick.
    let least = delays.iter().min().copied();
    assert!(least < Some(900_000), "{delays:?} us after their ticks");
    assert!(
        delays.iter().all(|delay| (0..10_000_000).contains(delay)),
        "{delays:?}"
    );
}

#[test]
fn seconds_field_is_followed() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.schedule('a', 'q', '*/2 * * * * *', 'x', missed => 'all')");
    let ticks = site.wait_for_ticks_each("q", 3, 2);
    assert!(ticks.iter().all(|tick| tick.at % 2 == 0), "{ticks:?}");
}

/// platformatic pg-hooks made 6,534 messages of a schedule of one second in 12 seconds, as each retry
/// made another.
#[test]
fn receiver_that_fails_does_not_multiply_ticks() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::status(503));
    site.queue(
        "q",
        ", max_attempts => 100, min_backoff => '100 ms', max_backoff => '100 ms', breaker_threshold => null",
    );
    let begun = site.now();
    site.run("select hooks.schedule('a', 'q', 'every 1 second', 'x')");
    site.wait_for_ticks("q", 4);
    let messages: i64 = site.value("select count(*) from hooks.message");
    let elapsed = site.now() - begun;
    assert!(
        (4..=elapsed + 1).contains(&messages),
        "{messages} messages in {elapsed} s"
    );
    assert!(
        site.arrived("q") > 2 * usize::try_from(messages).unwrap(),
        "no retries"
    );
    assert_each_once(&site.ticks("q"));
}

#[test]
fn dead_messages_do_not_hold_ticks_back() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", ", max_attempts => 1, breaker_threshold => null");
    site.run("select hooks.schedule('a', 'q', 'every 1 second', 'x', overlap => 'skip')");
    assert_each_once(&site.wait_for_ticks("q", 3));
    site.wait_until("select count(*) >= 3 from hooks.dead_letter");
}

#[test]
fn paused_queue_keeps_the_messages_of_ticks() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    site.run("select hooks.schedule('a', 'q', 'every 1 second', 'x', missed => 'all')");
    site.wait_until("select count(*) >= 3 from hooks.message");
    site.run("select hooks.resume('q')");
    site.wait_for_ticks_each("q", 3, 1);
}

/// The row decides, and not what the leader remembers of it.
#[test]
fn tick_that_the_row_no_longer_waits_for_is_not_made() {
    let cluster = Cluster::builder().setting("hooks.rescan_interval", "1h").start();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    site.queue("other", "");
    site.run(
        "select hooks.schedule('a', 'q', '@yearly');
         select hooks.schedule('b', 'other', '@yearly');
         update hooks.cron set next_run_at = date_trunc('second', now()) + interval '10 s'",
    );
    // No trigger tells of this.
    site.run(
        "begin;
         set local session_replication_role = replica;
         update hooks.cron set next_run_at = '2100-01-01' where name = 'a';
         commit",
    );
    site.wait_for_ticks("other", 1);
    site.wait_until(
        "select clock_timestamp() > last_run_at + interval '1 s' from hooks.cron where name = 'b'",
    );
    site.settle();
    assert_eq!(site.arrived("q"), 0);
    let made: i64 = site.value("select count(*) from hooks.message_log");
    assert_eq!(made, 1);
}

#[test]
fn row_that_somebody_has_locked_delays_no_other_and_runs_later() {
    let mut site = Site::new();
    site.queue("locked", "");
    site.queue("free", "");
    site.run(
        "select hooks.schedule('locked', 'locked', 'every 1 second', missed => 'all');
         select hooks.schedule('free', 'free', 'every 1 second', missed => 'all')",
    );
    site.wait_for_ticks("locked", 1);
    let mut other = site.connect();
    run(
        &mut other,
        "begin; select from hooks.cron where name = 'locked' for update",
    );
    site.wait_until(
        "select not exists (select from hooks.message where queue_id = hooks.queue_id('locked'))",
    );
    let (before, free) = (site.arrived("locked"), site.arrived("free"));
    site.wait_for_ticks_each("free", free + 3, 1);
    assert_eq!(site.arrived("locked"), before);
    run(&mut other, "rollback");
    site.wait_for_ticks_each("locked", before + 3, 1);
}

#[test]
fn entry_that_cannot_run_stops_no_other() {
    let mut site = Site::new();
    site.queue("bad", "");
    site.queue("good", "");
    site.run(
        "select hooks.schedule('good', 'good', 'every 1 second', missed => 'all');
         alter table hooks.cron add constraint bad_one_never_ran check (name <> 'bad' or last_run_at is null);
         select hooks.schedule('bad', 'bad', 'every 1 second')",
    );
    let seen = site.arrived("good");
    site.wait_for_ticks_each("good", seen + 3, 1);
    assert_eq!(site.arrived("bad"), 0);
    site.run("alter table hooks.cron drop constraint bad_one_never_ran; update hooks.cron set description = 'mended'");
    site.wait_for_ticks("bad", 1);
}

#[test]
fn schedule_runs_on_while_others_hold_transactions_open() {
    let mut site = Site::new();
    site.queue("q", "");
    let mut other = site.connect();
    run(
        &mut other,
        "begin isolation level repeatable read; select from hooks.cron",
    );
    site.run("select hooks.schedule('a', 'q', 'every 1 second', missed => 'all')");
    site.wait_for_ticks_each("q", 3, 1);
    drop(other);
}

//! Entries that change in ways of which no commit tells.

use pg_hooks_tests::Cluster;

use crate::site::Site;

fn replicate(site: &mut Site, script: &str) {
    site.run(&format!(
        "begin; set local session_replication_role = replica; {script}; commit"
    ));
}

#[test]
fn rows_that_are_replicated_are_followed() {
    let cluster = Cluster::builder()
        .setting("hooks.rescan_interval", "300ms")
        .start();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    replicate(
        &mut site,
        "insert into hooks.cron (name, queue_id, schedule, missed, next_run_at)
         select 'a', id, 'every 1 second', 'all', date_trunc('second', now()) + interval '1 s' from hooks.queue",
    );
    site.wait_for_ticks_each("q", 3, 1);
    replicate(&mut site, "update hooks.cron set active = false");
    site.wait_until("select clock_timestamp() > last_run_at + interval '3 s' from hooks.cron");
    replicate(
        &mut site,
        "update hooks.cron set active = true, next_run_at = date_trunc('second', clock_timestamp())",
    );
    let count = site.ticks("q").len();
    site.wait_for_ticks("q", count + 2);
    replicate(&mut site, "delete from hooks.cron");
    let gone = site.now();
    site.wait_until(&format!(
        "select extract(epoch from clock_timestamp()) > {gone} + 3"
    ));
    assert!(site.ticks("q").iter().all(|tick| tick.at <= gone + 1));
}

#[test]
fn row_that_is_not_valid_stops_no_other() {
    let cluster = Cluster::builder()
        .setting("hooks.rescan_interval", "300ms")
        .start();
    let mut site = Site::on(&cluster);
    site.queue("bad", "");
    site.queue("good", "");
    replicate(
        &mut site,
        "insert into hooks.cron (name, queue_id, schedule, timezone, next_run_at)
         select 'schedule', hooks.queue_id('bad'), 'whenever', 'UTC', now()
         union all select 'zone', hooks.queue_id('bad'), '@daily', 'Mars/Olympus', now()",
    );
    site.run("select hooks.schedule('good', 'good', 'every 1 second', missed => 'all')");
    site.wait_for_ticks_each("good", 3, 1);
    let log = site.cluster.log();
    assert!(
        log.contains("which is not valid: time zone \"Mars/Olympus\" is not known"),
        "{log}"
    );
    assert_eq!(
        log.matches("which is not valid").count(),
        2,
        "said more than once"
    );
    assert_eq!(site.arrived("bad"), 0);
}

#[test]
fn entry_whose_message_id_is_taken_is_tried_again() {
    let mut site = Site::new();
    site.queue("one", "");
    site.queue("two", "");
    site.run(
        "begin;
         select hooks.schedule('one', 'one', '@yearly'), hooks.schedule('two', 'two', '@yearly');
         update hooks.cron set next_run_at = now();
         insert into hooks.message (id, queue_id, body, due_at)
         select id, hooks.queue_id('one'), 'explicit', now() + interval '1 day' from generate_series(1, 4) as id;
         commit",
    );
    site.wait_for_ticks("one", 1);
    site.wait_for_ticks("two", 1);
}

#[test]
fn filter_that_cannot_be_evaluated_stops_no_schedule() {
    let mut site = Site::new();
    site.queue("q", "");
    replicate(
        &mut site,
        "insert into hooks.subscription (pattern, queue_id, filter, match_key)
         select '**', id, '$.n > $limit', '*' from hooks.queue",
    );
    site.run(
        "select hooks.subscribe('**', 'q');
         select hooks.schedule('e', event => 'tick', schedule => 'every 1 second', missed => 'all')",
    );
    site.wait_for_ticks_each("q", 2, 1);
}

/// Of a class that says nothing of data, and is not that of the filter itself.
#[test]
fn entry_with_an_error_of_any_class_rests_alone() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "create or replace function hooks.subscriptions_told(event_type text, payload jsonb, only_named boolean,
           except_queue bigint, out queue_id bigint, out headers jsonb, out envelope text)
         returns setof record language plpgsql stable as $$ begin raise undefined_object; end $$;
         begin;
         select hooks.schedule('e', event => 'tick', schedule => 'every 1 second');
         select hooks.schedule('q', 'q', schedule => 'every 1 second', missed => 'all');
         commit",
    );
    site.wait_for_ticks_each("q", 3, 1);
}

#[test]
fn entry_of_a_prepared_transaction_runs_once_it_is_committed() {
    let cluster = Cluster::builder().setting("hooks.rescan_interval", "1h").start();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    site.run(
        "begin; select hooks.schedule('a', 'q', 'every 1 second', missed => 'all'); prepare transaction 'p'",
    );
    site.run("commit prepared 'p'");
    site.wait_for_ticks_each("q", 2, 1);
}

#[test]
fn many_entries_of_one_transaction_run() {
    let cluster = Cluster::builder().setting("hooks.rescan_interval", "1h").start();
    let mut site = Site::on(&cluster);
    site.queue("q", "");
    site.run(
        "insert into hooks.cron (name, queue_id, schedule)
         select 'entry ' || n, hooks.queue_id('q'), '@yearly' from generate_series(1, 1000) as n;
         update hooks.cron set next_run_at = now() where name like '%0'",
    );
    site.wait_until("select count(*) = 100 from hooks.message_log");
    site.run("truncate hooks.cron");
    site.run("select hooks.schedule('a', 'q', '@yearly'); update hooks.cron set next_run_at = now()");
    site.wait_until("select count(*) = 101 from hooks.message_log");
}

#[test]
fn entry_that_was_rolled_back_does_not_run() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "begin; select hooks.schedule('a', 'q', 'every 1 second'); rollback;
         select hooks.schedule('b', 'q', 'every 1 second')",
    );
    site.wait_for_ticks("q", 2);
    let names: Vec<_> = site
        .receiver
        .requests("/q")
        .iter()
        .map(|r| r.header("hooks-cron-name").map(str::to_owned))
        .collect();
    assert!(names.iter().all(|name| name.as_deref() == Some("b")), "{names:?}");
}

//! Nothing grows without bound.

use std::sync::OnceLock;

use pg_hooks_tests::site::{Site, run};
use pg_hooks_tests::{Behaviour, Cluster};

use crate::add_day;

/// History of `days` ago: a partition of that day, with a row of each kind.
fn old_day(site: &mut Site, days: i32) {
    for relation in ["attempt", "message_log"] {
        add_day(
            site,
            relation,
            &format!("(now() at time zone 'UTC')::date - {days}"),
        );
    }
    old_rows(site, days, 1);
}

/// So many finished messages and attempts of `days` ago.
fn old_rows(site: &mut Site, days: i32, count: i32) {
    site.run(&format!(
        "insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at)
         select {days}, 1, 'delivered', 1, t, t, t
         from generate_series(1, {count}), (select now() - interval '{days} days' as t) as v;
         insert into hooks.attempt (message_id, attempt, queue_id, attempted_at, duration_ms)
         select {days}, n, 1, now() - interval '{days} days', 1 from generate_series(1, {count}) as n"
    ));
}

const TODAY: &str =
    "select to_regclass('hooks.attempt_' || to_char(now() at time zone 'UTC', 'YYYYMMDD')) is not null";

const OLD_DAYS: &str = "
    select coalesce(string_agg(distinct day, ' ' order by day), '') from (
      select id::text as day from hooks.message_log union all select message_id::text from hooks.attempt) as d";

/// A cluster that looks for what is over all the time, and keeps dead letters for a second.
fn brisk() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        Cluster::builder()
            .setting("hooks.rescan_interval", "200ms")
            .setting("hooks.dead_letter_retention", "1s")
            .start()
    })
}

#[test]
fn history_goes_after_seven_days_by_default() {
    let mut site = Site::on(brisk());
    site.wait_until(TODAY);
    for days in [9, 8, 6, 2] {
        old_day(&mut site, days);
    }
    site.wait_until(&format!("select ({OLD_DAYS}) = '2 6'"));
    site.wait_until(
        "select not exists (select from pg_class where relnamespace = 'hooks'::regnamespace
           and relname ~ to_char((now() at time zone 'UTC')::date - 8, '_YYYYMMDD$'))",
    );
}

#[test]
fn old_rows_that_are_in_no_day_go_too() {
    let mut site = Site::on(brisk());
    site.wait_until(TODAY);
    old_rows(&mut site, 8, 2_500);
    old_rows(&mut site, 6, 1);
    site.wait_until(&format!("select ({OLD_DAYS}) = '6'"));
}

#[test]
fn dead_letters_go_after_their_retention_and_are_remembered() {
    let mut site = Site::on(brisk());
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", ", max_attempts => 1, ordering_policy => 'block'");
    site.run("select hooks.send('q', 'first', ordering_key => 'k')");
    site.arrival("q");
    site.receiver.on("/q", Behaviour::status(200));
    site.run("select hooks.send('q', 'second', ordering_key => 'k')");
    // The dead letter holds the second one back until it goes.
    assert_eq!(site.arrivals("q", 2)[1].text(), "second");
    site.wait_until("select not exists (select from hooks.dead_letter)");
    assert_eq!(site.value::<String>("select state from hooks.status(1)"), "dead");
}

#[test]
fn retention_of_minus_one_keeps_everything() {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| {
        Cluster::builder()
            .setting("hooks.rescan_interval", "200ms")
            .setting("hooks.history_retention", "-1")
            .setting("hooks.attempt_retention", "-1")
            .start()
    });
    let mut site = Site::on(cluster);
    site.wait_until(TODAY);
    old_day(&mut site, 400);
    old_rows(&mut site, 300, 1);
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", ", max_attempts => 1");
    site.run("select hooks.send('q', 'x')");
    site.wait_until("select exists (select from hooks.dead_letter)");
    // An idempotency key that goes shows that the worker has tidied since.
    site.run("insert into hooks.idempotency_key values ('s', 'k', 1, now() - interval '1 s')");
    site.wait_until("select not exists (select from hooks.idempotency_key)");
    site.run("insert into hooks.idempotency_key values ('s', 'k', 1, now() - interval '1 s')");
    site.wait_until("select not exists (select from hooks.idempotency_key)");
    assert_eq!(site.value::<String>(OLD_DAYS), "1 300 400");
    assert_eq!(site.value::<i64>("select count(*) from hooks.dead_letter"), 1);
}

#[test]
fn day_that_somebodys_view_needs_stops_no_other() {
    let mut site = Site::on(brisk());
    site.wait_until(TODAY);
    // Made in one transaction, so that the worker sees the day with its view.
    // The worker leaves a day alone that is locked, until there is a view of it.
    let mut reader = site.connect();
    run(
        &mut reader,
        "begin; lock table only hooks.attempt in access share mode",
    );
    add_day(&mut site, "attempt", "'2020-01-01'");
    site.run("create view mine as select * from hooks.attempt_20200101");
    run(&mut reader, "commit");
    old_day(&mut site, 9);
    site.wait_until(
        "select not exists (select from pg_class where relname in (
           select r || to_char((now() at time zone 'UTC')::date - 9, '_YYYYMMDD')
           from unnest(array['attempt', 'message_log']) as r))",
    );
    assert_eq!(site.value::<i64>("select count(*) from mine"), 0);
}

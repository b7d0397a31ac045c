//! Each day of the history has a partition, made ahead; no row is ever refused.

use pg_hooks_tests::site::Site;

use crate::add_day;

/// Days, counted from today in UTC, for which hooks.attempt and hooks.message_log both have a partition.
const DAYS: &str = "
    select coalesce(string_agg(n::text, ' ' order by n), '')
    from generate_series(-20, 20) as n,
         lateral (select to_char((now() at time zone 'UTC')::date + n, 'YYYYMMDD') as name) as d
    where to_regclass('hooks.attempt_' || name) is not null
      and to_regclass('hooks.message_log_' || name) is not null";

const IN_DEFAULT: &str = "
    select (select count(*) from hooks.attempt_default) + (select count(*) from hooks.message_log_default)";

/// Those of a worker that has made the partitions, maybe before midnight.
const MADE: &str = "('0 1 2 3', '-1 0 1 2', '-1 0 1 2 3')";

/// A site whose worker has made the partitions.
fn site() -> Site {
    let mut site = Site::new();
    site.wait_until(&format!("select ({DAYS}) in {MADE}"));
    site
}

#[test]
fn partitions_of_today_and_three_days_ahead_are_made_and_used() {
    let mut site = site();
    site.queue("q", "");
    site.run("select hooks.send('q', 'x')");
    site.arrival("q");
    site.settle();
    assert_eq!(site.value::<i64>(IN_DEFAULT), 0);
    assert_eq!(
        site.value::<i64>(
            "select count(*) from hooks.status(1) where state = 'delivered' and last_status = 200"
        ),
        1
    );
}

#[test]
fn partitions_belong_to_the_extension_and_are_dropped_with_it() {
    let mut site = site();
    let strangers: i64 = site.value(
        "select count(*) from pg_inherits as i
         where i.inhparent in ('hooks.attempt'::regclass, 'hooks.message_log'::regclass)
           and not exists (select from pg_depend as d
                           where d.objid = i.inhrelid and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e')",
    );
    assert_eq!(strangers, 0);
    site.run("drop extension pg_hooks; create extension pg_hooks");
    site.wait_until(&format!("select ({DAYS}) in {MADE}"));
}

#[test]
fn partitions_give_nothing_away_whatever_default_privileges_say() {
    let mut site = site();
    site.run("alter default privileges grant all on tables to public, hooks_sender");
    add_day(&mut site, "attempt", "'2031-02-03'");
    add_day(&mut site, "message_log", "'2031-02-03'");
    let given: i64 = site.value(
        "select count(*) from pg_class as c, aclexplode(c.relacl) as a
         where c.relname in ('attempt_20310203', 'message_log_20310203') and a.grantee <> c.relowner",
    );
    assert_eq!(given, 0);
    assert_eq!(
        site.value::<i64>(
            "select count(*) from pg_class where relname in ('attempt_20310203', 'message_log_20310203')"
        ),
        2
    );
}

#[test]
fn row_of_a_day_without_a_partition_is_stored_and_moves_when_there_is_one() {
    let mut site = site();
    site.run(
        "insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at)
         select n, 1, 'cancelled', 0, t, t, t
         from generate_series(1, 10) as n, (values ('2031-02-03 23:59:59.999999+00'::timestamptz)) as v(t)",
    );
    assert_eq!(site.value::<i64>(IN_DEFAULT), 10);
    assert!(add_day(&mut site, "message_log", "'2031-02-03'"));
    assert_eq!(site.value::<i64>(IN_DEFAULT), 0);
    assert_eq!(
        site.value::<i64>("select count(*) from hooks.message_log_20310203"),
        10
    );
    assert_eq!(site.value::<i64>("select count(*) from hooks.status(7)"), 1);
}

#[test]
fn day_with_more_early_rows_than_move_in_a_moment_stays_in_the_default_partition() {
    let mut site = site();
    site.run(
        "insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at)
         select n, 1, 'cancelled', 0, '2031-02-03', '2031-02-03', '2031-02-03 12:00+00'
         from generate_series(1, 10001) as n",
    );
    assert!(!add_day(&mut site, "message_log", "'2031-02-03'"));
    assert_eq!(site.value::<i64>(IN_DEFAULT), 10_001);
    assert!(add_day(&mut site, "message_log", "'2031-02-04'"));
}

#[test]
fn days_are_those_of_utc_whatever_the_zone_of_a_session() {
    let mut site = site();
    site.run("set timezone = 'Pacific/Kiritimati'; set datestyle = 'sql, dmy'");
    add_day(&mut site, "attempt", "make_date(2031, 2, 3)");
    site.run(
        "insert into hooks.attempt (message_id, attempt, queue_id, attempted_at, duration_ms)
         values (1, 1, 1, '2031-02-03T00:00:00Z', 1), (1, 2, 1, '2031-02-03T23:59:59Z', 1)",
    );
    assert_eq!(
        site.value::<i64>("select count(*) from hooks.attempt_20310203"),
        2
    );
}

#[test]
fn day_that_was_taken_out_of_the_extension_is_kept() {
    let mut site = site();
    // In one transaction, as the worker drops such old days when it sees them.
    site.run(
        "begin;
         lock table only hooks.attempt in access exclusive mode;
         lock table hooks.attempt_default in access exclusive mode;
         select hooks.add_history_day('attempt', '2020-02-03'), hooks.add_history_day('attempt', '2020-02-04');
         alter extension pg_hooks drop table hooks.attempt_20200203;
         select hooks.drop_history_day('attempt', '2020-02-03', true);
         select hooks.drop_history_day('attempt', '2020-02-04', true);
         commit",
    );
    assert!(site.value::<bool>(
        "select to_regclass('hooks.attempt_20200203') is not null and to_regclass('hooks.attempt_20200204') is null"
    ));
    assert_eq!(
        site.value::<i64>("select count(*) from hooks.history_work(0, 0) where day = '2020-02-03'"),
        0
    );
}

#[test]
fn days_and_pages_are_right_whatever_the_date_style() {
    let mut site = site();
    site.run(
        "do $$ begin
           execute format('alter database %I set datestyle = ''SQL, DMY''', current_database());
           execute format('alter database %I set timezone = ''Asia/Kolkata''', current_database());
         end $$",
    );
    site.client = site.connect();
    assert_eq!(site.value::<String>("show datestyle"), "SQL, DMY");
    add_day(&mut site, "message_log", "make_date(2031, 2, 3)");
    site.run(
        "select hooks.create_queue('q', 'http://127.0.0.1:8080/', active => false);
         insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at)
         select n, q.id, 'cancelled', 0, t, t, t
         from hooks.queue as q, generate_series(1, 5) as n,
              lateral (select make_timestamptz(2031, 2, 3, 0, 0, 0.000001, 'UTC') + n * interval '4 hours' as t) as v",
    );
    assert_eq!(
        site.value::<i64>("select count(*) from hooks.message_log_20310203"),
        5
    );
    let mut pages: Vec<i64> = Vec::new();
    let mut after = "null".to_owned();
    for _ in 0..5 {
        let list = format!("hooks.list_messages(row_limit => 1, after_cursor => {after})");
        pages.push(site.value(&format!("select id from {list}")));
        after = site.value(&format!("select quote_literal(page_cursor) from {list}"));
    }
    assert_eq!(pages, [5, 4, 3, 2, 1]);
}

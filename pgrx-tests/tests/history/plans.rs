//! A page costs the same however much history there is: it is a walk along an index.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::site::{Site, value};
use serde_json::Value;

use crate::add_day;

/// A site with 120,000 finished messages and attempts in six days, and 60,000 that wait, in three queues.
fn site() -> Site {
    // Before the worker can have made days: none of those here is one of them.
    let today = "select format('date %L', (now() at time zone 'UTC')::date)";
    let today: String = value(&mut Cluster::shared().connect("postgres"), today);
    let mut site = Site::new();
    for name in ["a", "b", "c"] {
        site.queue(name, ", active => false");
    }
    for days in 1..=5 {
        for relation in ["attempt", "message_log"] {
            add_day(&mut site, relation, &format!("{today} - {days}"));
        }
    }
    site.run(
        "set session_replication_role = replica;
         create temporary table t as
         select n as id, 1 + n % 3 as queue_id, now() - n * interval '4 s' as at, n % 1000 = 0 as failed
         from generate_series(1, 120000) as n;
         insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at)
         select id, queue_id, case when failed then 'cancelled' else 'delivered' end, 1, at, at, at from t;
         insert into hooks.attempt (message_id, attempt, queue_id, attempted_at, duration_ms, status, error_class)
         select id, 1, queue_id, at, 1, case when failed then 500 else 200 end, case when failed then 'status' end from t;
         insert into hooks.message (id, queue_id, due_at, created_at, body)
         select 200000 + id, queue_id, '2100-01-01', at, 'x' from t where id <= 60000;
         insert into hooks.dead_letter (id, queue_id, attempts, error_class, created_at, due_at, dead_at)
         select 300000 + id, queue_id, 1, 'status', at, at, at from t where id <= 30000;
         analyze hooks.message_log, hooks.attempt, hooks.message, hooks.dead_letter, hooks.queue",
    );
    site
}

/// Nodes of a plan, with those below it.
fn walk<'a>(node: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    visit(node);
    for child in node["Plans"].as_array().into_iter().flatten() {
        walk(child, visit);
    }
}

/// Runs the query of a page; asserts that it reads few buffers, sorts few rows and walks no table.
#[track_caller]
fn assert_walks_indexes(site: &mut Site, function: &str, arguments: &str) {
    let query: String = site.value(&format!("select hooks.{function}({arguments})"));
    let explained: Value = site.value(&format!("explain (analyze, buffers, format json) {query}"));
    let plan = &explained[0]["Plan"];
    let buffers = plan["Shared Hit Blocks"].as_i64().unwrap() + plan["Shared Read Blocks"].as_i64().unwrap();
    assert!(buffers < 1_000, "{arguments}: {buffers} buffers\n{plan:#}");
    let mut wrong = Vec::new();
    walk(plan, &mut |node| {
        let (kind, rows) = (
            node["Node Type"].as_str().unwrap(),
            node["Actual Rows"].as_i64().unwrap(),
        );
        let relation = node["Relation Name"].as_str().unwrap_or_default();
        if kind == "Seq Scan" && rows > 10 || kind == "Sort" && rows > 1_000 {
            wrong.push(format!("{kind} {relation} {rows}"));
        }
    });
    assert!(wrong.is_empty(), "{arguments}: {wrong:?}\n{plan:#}");
}

const DEEP: &str = "hooks.page_cursor(now() - interval '3 days 5 hours', 1)";

#[test]
fn page_of_messages_is_an_index_walk_wherever_it_begins() {
    let mut site = site();
    let page = |queue: &str, state: &str, from: &str, to: &str, after: &str| {
        format!("{queue}, {state}, null, null, {from}, {to}, {after}, null, 50, 0")
    };
    let ago = |days: i32| format!("now() - interval '{days} days'");
    for queue in ["null", "'a'"] {
        for state in [
            "null",
            "'delivered'",
            "'cancelled'",
            "'dead'",
            "'scheduled'",
            "'retrying'",
            "'pending'",
        ] {
            assert_walks_indexes(
                &mut site,
                "messages_query",
                &page(queue, state, "null", "null", "null"),
            );
            assert_walks_indexes(
                &mut site,
                "messages_query",
                &page(queue, state, "null", "null", DEEP),
            );
            assert_walks_indexes(
                &mut site,
                "messages_query",
                &page(queue, state, &ago(4), &ago(2), "null"),
            );
        }
    }
}

#[test]
fn page_of_attempts_is_an_index_walk_wherever_it_begins() {
    let mut site = site();
    for queue in ["null", "'a'"] {
        for success in ["null", "true", "false"] {
            for (range, after) in [
                ("null, null", "null"),
                ("null, null", DEEP),
                ("now() - interval '4 days', now() - interval '2 days'", "null"),
            ] {
                let arguments = format!("null, {queue}, {success}, null, {range}, {after}, null, 50, 0");
                assert_walks_indexes(&mut site, "attempts_query", &arguments);
            }
        }
    }
    assert_walks_indexes(
        &mut site,
        "attempts_query",
        "777, null, null, null, null, null, null, null, 50, 0",
    );
}

#[test]
fn page_of_dead_letters_is_an_index_walk_wherever_it_begins() {
    let mut site = site();
    for queue in ["null", "'a'"] {
        for after in ["null", "hooks.page_cursor(now() - interval '1 day', 1)"] {
            let arguments = format!("{queue}, null, null, null, {after}, null, 50, 0");
            assert_walks_indexes(&mut site, "dead_letters_query", &arguments);
        }
    }
}

#[test]
fn status_of_a_message_looks_into_the_index_of_each_day() {
    let mut site = site();
    let explained: Value = site
        .value("explain (analyze, buffers, format json) select * from hooks.message_state where id = 77777");
    let plan = &explained[0]["Plan"];
    let buffers = plan["Shared Hit Blocks"].as_i64().unwrap() + plan["Shared Read Blocks"].as_i64().unwrap();
    assert!(buffers < 100, "{buffers} buffers\n{plan:#}");
}

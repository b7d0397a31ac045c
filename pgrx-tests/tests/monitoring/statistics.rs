//! Totals and backlogs, of each queue and of all.

use std::time::Duration;

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::site::{SOON, Site, refusal, row, value};

/// SQLSTATE of what is not allowed.
const DENIED: &str = "42501";

/// How often this session has counted the backlog of a queue, as far as it is not handed over.
const CALLS: &str =
    "coalesce(pg_stat_get_xact_function_calls('hooks.backlog(bigint, integer)'::regprocedure), 0)";

/// Attempts, failed, delivered, dead, expired, cancelled of a row.
fn totals(site: &mut Site, relation: &str) -> [i64; 6] {
    let query = format!("select attempts, failed, delivered, dead, expired, cancelled from hooks.{relation}");
    let row = row(&mut site.client, &query);
    std::array::from_fn(|column| row.get(column))
}

#[track_caller]
fn wait_for_totals(site: &mut Site, relation: &str, expected: [i64; 6]) {
    pg_hooks_tests::wait_until(format_args!("{relation} to be {expected:?}"), SOON, || {
        let seen = totals(site, relation);
        if seen == expected {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });
}

#[test]
fn totals_tell_what_became_of_messages() {
    let mut site = Site::new();
    site.receiver.on("/bad", Behaviour::status(503));
    site.queue("good", "");
    site.queue(
        "bad",
        ", max_attempts => 2, retry_schedule => '{1 ms}', breaker_threshold => null",
    );
    site.run(
        "select hooks.send_batch('good', array['a', 'b', 'c']);
         select hooks.send('bad', 'x');
         select hooks.cancel(hooks.send('good', 'never', at => '2100-01-01'))",
    );
    wait_for_totals(&mut site, "queue_stats where queue = 'bad'", [2, 2, 0, 1, 0, 0]);
    site.run("select hooks.pause('bad')");
    site.run("select hooks.send('bad', 'late', expires_at => now() + interval '1 ms')");
    site.run("select pg_sleep(0.01)");
    site.run("select hooks.resume('bad')");
    wait_for_totals(&mut site, "queue_stats where queue = 'bad'", [2, 2, 0, 1, 1, 0]);
    wait_for_totals(&mut site, "queue_stats where queue = 'good'", [3, 0, 3, 0, 0, 1]);
    wait_for_totals(&mut site, "stats", [5, 2, 3, 1, 1, 1]);
    site.run("select hooks.pause('good')");
    let told = row(
        &mut site.client,
        "select good.success_rate, bad.success_rate, good.attempts_per_delivery, bad.last_status, bad.last_error_class,
                bad.last_error, good.last_success_at is not null, bad.last_success_at is null, good.last_error,
                good.state, bad.state
         from hooks.queue_stats as good, hooks.queue_stats as bad
         where good.queue = 'good' and bad.queue = 'bad'",
    );
    assert_eq!((told.get(0), told.get(1), told.get(2)), (1.0, 0.0, 1.0));
    assert_eq!(
        (told.get(3), told.get(4), told.get(5)),
        (503_i16, "status", "receiver answered 503")
    );
    assert!(told.get::<_, bool>(6) && told.get::<_, bool>(7));
    assert_eq!(
        (told.get(8), told.get(9), told.get(10)),
        (None::<&str>, "paused", "active")
    );
}

#[test]
fn totals_stay_exact_when_the_worker_ends() {
    let mut site = Site::new();
    site.queue("q", "");
    for round in 1..=5 {
        site.run("select hooks.send_batch('q', array_fill('x'::text, array[200]))");
        let terminate = "select count(pg_terminate_backend(pid)) from hooks.worker";
        site.arrivals("q", 200 * round - 150);
        site.run(terminate);
    }
    site.settle();
    let query = "select (select delivered from hooks.queue_stats) = 1000
                    and (select attempts from hooks.queue_stats) = (select count(*) from hooks.attempt)
                    and (select delivered from hooks.stats) = 1000
                    and not exists (select from hooks.tally_log)";
    site.wait_until(query);
}

#[test]
fn result_that_comes_after_a_cancel_is_an_attempt_and_no_delivery() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::Hang);
    site.queue("q", "");
    let id: i64 = site.value("select hooks.send('q', 'x')");
    site.arrival("q");
    site.run(&format!("select hooks.cancel({id})"));
    site.receiver.release("/q");
    wait_for_totals(&mut site, "queue_stats", [1, 0, 0, 0, 0, 1]);
}

#[test]
fn every_way_to_cancel_counts() {
    let mut site = Site::new();
    site.queue("q", "");
    site.queue("dropped", "");
    site.run(
        "select hooks.pause('q');
         select hooks.schedule('tick', 'q', '* * * * *', 'x'::text);
         insert into hooks.message (queue_id, body, due_at, cron_id)
         select q.id, 'x', '2100-01-01', c.id from hooks.queue as q, hooks.cron as c where q.name = 'q';
         select hooks.unschedule('tick', cancel_waiting => true);
         select hooks.send_batch('dropped', array['a', 'b'], at => '2100-01-01');
         select hooks.drop_queue('dropped', cancel_messages => true)",
    );
    wait_for_totals(&mut site, "stats", [0, 0, 0, 0, 0, 3]);
}

#[test]
fn backlog_tells_due_from_scheduled_from_retrying() {
    let mut site = Site::new();
    site.receiver.on("/flaky", Behaviour::status(500));
    site.queue("flaky", ", retry_schedule => '{1 hour}'");
    site.queue("paused", ", active => false");
    site.run(
        "select hooks.send_batch('flaky', array['a', 'b']);
         select hooks.send_batch('flaky', array['a', 'b', 'c'], at => '2100-01-01');
         select hooks.send_batch('paused', array['a', 'b', 'c', 'd'])",
    );
    site.wait_until(
        "select (due, scheduled, retrying, live) = (0, 3, 2, 5) from hooks.queue_stats where queue = 'flaky'",
    );
    let paused = "select due = 4 and live = 4 and not capped and oldest_due_age between '0' and '1 minute'
                  from hooks.queue_stats where queue = 'paused'";
    assert!(site.value::<bool>(paused));
    assert!(
        site.value::<bool>(
            "select (due, scheduled, retrying, live, queues) = (4, 3, 2, 9, 2) from hooks.stats"
        )
    );
    let capped = "select due = 3 and scheduled = 0 and capped from hooks.queue as q, hooks.backlog(q.id, 3) where q.name = 'paused'";
    assert!(site.value::<bool>(capped));
}

#[test]
fn statistics_of_all_tell_the_oldest_the_last_error_and_which_queues_do_not_send() {
    let mut site = Site::new();
    site.receiver.on("/bad", Behaviour::status(503));
    site.receiver.on("/gone", Behaviour::status(410));
    site.queue("gone", "");
    site.queue("bad", ", max_attempts => 1");
    site.queue("paused", ", active => false");
    site.queue("held", ", signatures => '{v1}'");
    site.run("select hooks.send('gone', 'x')");
    site.wait_until("select queues_disabled = 1 from hooks.stats");
    site.run("select hooks.send('paused', 'x'); select hooks.send('bad', 'x')");
    site.wait_until(
        "select coalesce(last_status = 503 and last_error_class = 'status' and last_error <> '', false) from hooks.stats",
    );
    site.wait_until(
        "select queues = 4 and queues_paused = 1 and queues_held = 1 and queues_open = 0 and queues_failing = 0 from hooks.stats",
    );
    assert!(site.value::<bool>(
        "select oldest_due_age > '0' and oldest_due_at = (select min(due_at) from hooks.message) from hooks.stats"
    ));
    site.run("delete from hooks.message");
    assert!(site.value::<bool>("select oldest_due_age is null from hooks.stats"));
}

#[test]
fn statistics_of_one_queue_cost_one_queue() {
    let mut site = Site::new();
    site.run(
        "select hooks.create_queue(format('q%s', n), 'http://127.0.0.1:1024/') from generate_series(1, 50) as n;
         set track_functions = 'all'",
    );
    for (query, calls) in [
        ("hooks.queue_stats where queue = 'q7'", 1),
        ("hooks.queue_stats", 50),
    ] {
        let called: i64 = site.value(&format!(
            "with before as materialized (select {CALLS} as n),
                  read as materialized (select count(live) as n from before, {query})
             select {CALLS} - before.n from before, read where read.n > 0"
        ));
        assert_eq!(called, calls, "{query}");
    }
}

#[test]
fn totals_of_a_dropped_queue_go_and_those_of_all_stay() {
    let mut site = Site::new();
    let id = site.queue("q", "");
    site.run("select hooks.send('q', 'x')");
    wait_for_totals(&mut site, "queue_stats", [1, 0, 1, 0, 0, 0]);
    site.run("select hooks.drop_queue('q')");
    // A new leader looks at everything.
    site.run("select count(pg_terminate_backend(pid)) from hooks.worker");
    site.wait_until(&format!(
        "select not exists (select from hooks.queue_total where queue_id = {id})"
    ));
    assert_eq!(totals(&mut site, "stats"), [1, 0, 1, 0, 0, 0]);
}

#[test]
fn messages_events_and_subscriptions_are_told_by_the_minute() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    site.run(
        "insert into hooks.activity values (now() - interval '61 seconds', 0, 0, 0);
         select hooks.subscribe('order.*', 'q');
         select hooks.send_batch('q', array['a', 'b', 'c']);
         select hooks.publish('order.paid', '{}')",
    );
    let told = row(
        &mut site.client,
        "select messages_per_minute, events_per_minute, subscriptions_per_minute, subscriptions from hooks.stats",
    );
    let about = |column: usize, number: f64| {
        let seen: f64 = told.get(column);
        assert!(seen > 0.5 * number && seen <= number, "{seen} for {number}");
    };
    about(0, 4.0);
    about(1, 1.0);
    about(2, 1.0);
    assert_eq!(told.get::<_, i64>(3), 1);
}

#[test]
fn readers_may_read_statistics_and_senders_may_not() {
    let mut site = Site::new();
    site.queue("q", "");
    let views = ["queue_stats", "stats", "queue_windows", "windows"];
    let mut reader = site.connect_as_member("hooks_reader");
    let mut sender = site.connect_as_member("hooks_sender");
    for view in views {
        value::<i64>(&mut reader, &format!("select count(*) from hooks.{view}"));
        let refused = refusal(&mut sender, &format!("select * from hooks.{view}"));
        assert_eq!(refused.code, DENIED, "{view}");
    }
    for change in [
        "delete from hooks.queue_total",
        "insert into hooks.tally_cancelled values (1, 1)",
    ] {
        assert_eq!(refusal(&mut reader, change).code, DENIED, "{change}");
    }
}

#[test]
fn idle_worker_folds_once_and_then_rests() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.send('q', 'x')");
    wait_for_totals(&mut site, "stats", [1, 0, 1, 0, 0, 0]);
    let since = "select extract(epoch from clock_timestamp() - state_change)::float8
                 from pg_stat_activity where pid = (select pid from hooks.worker)";
    let rested = Duration::from_secs(3).as_secs_f64();
    pg_hooks_tests::wait_until("the worker to rest", SOON, || site.value::<f64>(since) > rested);
}

/// Queues with something on the wire, and how much.
const IN_FLIGHT: &str = "select coalesce(string_agg(queue || ' ' || in_flight, ', ' order by queue), '')
                         from hooks.queue_stats where in_flight > 0";

#[test]
fn what_is_on_the_wire_is_told_of_each_queue() {
    let mut site = Site::new();
    for name in ["a", "b", "idle"] {
        site.receiver.on(&format!("/{name}"), Behaviour::Hang);
        site.queue(name, ", max_in_flight => 3");
    }
    site.run("select hooks.send_batch('a', array['1', '2', '3', '4', '5']); select hooks.send('b', '1')");
    site.arrivals("a", 3);
    site.arrivals("b", 1);
    site.wait_until(&format!("select ({IN_FLIGHT}) = 'a 3, b 1'"));
    let told = row(
        &mut site.client,
        "select live, due, in_flight from hooks.queue_stats where queue = 'a'",
    );
    assert_eq!(
        (
            told.get::<_, i64>(0),
            told.get::<_, i64>(1),
            told.get::<_, i64>(2)
        ),
        (5, 5, 3)
    );
    assert!(site.value::<bool>("select in_flight = 4 from hooks.stats"));
    let leader: i32 = site.value("select pid from hooks.worker where leader");
    site.run(&format!("select pg_terminate_backend({leader})"));
    site.wait_until(&format!(
        "select not exists (select from hooks.worker where pid = {leader})"
    ));
    // The next leader sends them again, and tells what it has on the wire, not what that one had.
    site.wait_until(&format!("select ({IN_FLIGHT}) = 'a 3, b 1'"));
    for path in ["/a", "/b"] {
        site.receiver.on(path, Behaviour::status(200));
        site.receiver.release(path);
    }
    site.settle();
    site.wait_until(&format!("select ({IN_FLIGHT}) = ''"));
}

/// With so many, what is shown lags behind, but not for long.
#[test]
fn what_is_on_the_wire_is_told_of_many_too() {
    let mut site = Site::new();
    let queues: Vec<String> = (1..=20).map(|queue| format!("q{queue}")).collect();
    for queue in &queues {
        site.receiver.on(&format!("/{queue}"), Behaviour::Hang);
        site.queue(queue, "");
        site.run(&format!(
            "select hooks.send_batch('{queue}', array_fill('x'::text, array[20]))"
        ));
    }
    site.wait_until(
        "select sum(in_flight) > 64 and sum(in_flight) = (select in_flight from hooks.stats) from hooks.queue_stats",
    );
    for queue in &queues {
        site.receiver.on(&format!("/{queue}"), Behaviour::status(200));
        site.receiver.release(&format!("/{queue}"));
    }
    site.settle();
    site.wait_until(&format!("select ({IN_FLIGHT}) = ''"));
}

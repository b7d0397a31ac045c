//! Schedules that publish events.

use crate::site::{INVALID, Site};

#[test]
fn tick_publishes_one_event_to_all_who_subscribed() {
    let mut site = Site::new();
    site.queue("one", "");
    site.queue("two", "");
    site.queue("other", "");
    site.run(
        r#"select hooks.subscribe('report.*', 'one');
           select hooks.subscribe('report.due', 'two', filter => '$.n > 1', headers => '{"x-a": "b"}');
           select hooks.subscribe('order.*', 'other');
           select hooks.schedule('a', event => 'report.due', schedule => '@yearly', body => '{"n": 2}');
           update hooks.cron set next_run_at = now()"#,
    );
    for name in ["one", "two"] {
        assert_eq!(site.wait_for_ticks(name, 1).len(), 1);
        assert_eq!(
            site.receiver.requests(&format!("/{name}"))[0].text(),
            r#"{"n": 2}"#
        );
    }
    assert_eq!(site.receiver.requests("/two")[0].header("x-a"), Some("b"));
    site.settle();
    assert_eq!(site.arrived("other"), 0);
    let published: bool = site.value(
        "select count(*) = 1 and min(e.id) = min(s.last_event_id) and min(s.last_message_id) is null
           and min(s.event) = 'report.due'
         from hooks.event as e cross join hooks.cron_status as s",
    );
    assert!(published);
    let delivered: i64 = site.value(
        "select count(*) from hooks.cron as c cross join hooks.event_status(c.last_event_id) as s where s.state = 'delivered'",
    );
    assert_eq!(delivered, 2);
}

#[test]
fn each_second_has_its_event() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "select hooks.subscribe('**', 'q');
         select hooks.schedule('a', event => 'tick', schedule => 'every 1 second', missed => 'all')",
    );
    site.wait_for_ticks_each("q", 3, 1);
    assert_eq!(site.receiver.requests("/q")[0].text(), "{}");
}

#[test]
fn event_without_subscribers_is_no_failure_and_overlap_looks_at_all_messages() {
    let mut site = Site::new();
    site.run("select hooks.schedule('a', event => 'tick', schedule => 'every 1 second', overlap => 'skip')");
    site.wait_until("select count(*) >= 2 from hooks.event");
    site.queue("q", ", active => false");
    site.run("select hooks.subscribe('**', 'q')");
    site.wait_until("select next_run_at > last_run_at + interval '3 s' from hooks.cron");
    let waiting: i64 = site.value("select count(*) from hooks.message");
    assert_eq!(waiting, 1);
}

/// Transforms are functions of users, which the worker does not run.
#[test]
fn transforms_are_not_run() {
    let mut site = Site::new();
    site.queue("plain", "");
    site.queue("transformed", "");
    site.run(
        "create function public.t(jsonb, jsonb) returns jsonb language plpgsql as $$ begin raise 'run'; end $$;
         select hooks.subscribe('**', 'plain');
         select hooks.subscribe('**', 'transformed', transform => 'public.t');
         select hooks.schedule('a', event => 'tick', schedule => 'every 1 second', missed => 'all')",
    );
    site.wait_for_ticks_each("plain", 2, 1);
    site.run("select hooks.pause_schedule('a')");
    site.settle();
    assert_eq!(site.arrived("transformed"), 0);
}

#[test]
fn entry_may_turn_from_queue_to_event_and_back() {
    let mut site = Site::new();
    site.queue("q", "");
    site.queue("events", "");
    site.run(
        "select hooks.subscribe('**', 'events'); select hooks.schedule('a', 'q', 'every 1 second', '{}')",
    );
    site.wait_for_ticks("q", 1);
    site.run("select hooks.schedule('a', event => 'tick', schedule => 'every 1 second')");
    site.wait_for_ticks("events", 1);
    let seen = site.ticks("q").len();
    site.run("select hooks.schedule('a', 'q', 'every 1 second', '{}')");
    site.wait_for_ticks("q", seen + 1);
}

#[test]
fn bad_events_are_refused() {
    let mut site = Site::new();
    site.assert_refused(
        "select hooks.schedule('a', event => 'tick', schedule => '@daily', body => '{')",
        INVALID,
        "the payload of an event is JSON",
        "Give valid JSON as body, or leave it out for {}.",
    );
    site.assert_refused(
        "select hooks.schedule('a', null, '@daily', 'x'::bytea, event => 'tick')",
        INVALID,
        "the payload of an event is JSON",
        "Give it as body.",
    );
    let Err(error) = site
        .client
        .batch_execute("select hooks.schedule('a', event => 'no type', schedule => '@daily')")
    else {
        panic!("not refused");
    };
    assert_eq!(error.code().map(|code| code.code()), Some(INVALID));
}

//! Making, changing and removing entries, by functions and as rows.

use pg_hooks_tests::Behaviour;

use crate::site::{IN_USE, INVALID, NOT_SUPPORTED, Site, UNKNOWN};

const ENTRY: &str = "select to_jsonb(c) - '{id, next_run_at, last_run_at, last_message_id, created_at, updated_at, queue_id}'::text[] from hooks.cron as c where name = ";

#[test]
fn schedule_stores_what_is_given_and_insert_does_the_same() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        r#"select hooks.schedule('full', 'q', '@daily', 'x', 'Europe/Berlin', '{"x-a": "b"}', null, 'k', 'all', 7, 'skip', false, 'why');
           insert into hooks.cron (name, queue_id, schedule, body, timezone, headers, ordering_key, missed, missed_limit, overlap, active, description)
           values ('row', hooks.queue_id('q'), '@daily', 'x', 'Europe/Berlin', '{"x-a": "b"}', 'k', 'all', 7, 'skip', false, 'why');
           select hooks.schedule('plain', 'q', '@daily');
           insert into hooks.cron (name, queue_id, schedule) values ('plain row', hooks.queue_id('q'), '@daily')"#,
    );
    for (one, other) in [("full", "row"), ("plain", "plain row")] {
        let same: bool = site.value(&format!(
            "select ({ENTRY} '{one}') - 'name' = ({ENTRY} '{other}') - 'name'"
        ));
        assert!(same, "{one}");
    }
    let planned: bool = site.value(
        "select bool_and(case when active then next_run_at = (select p from hooks.cron_preview(schedule, timezone, n => 1) as p)
                              else next_run_at is null end) from hooks.cron",
    );
    assert!(planned);
}

#[test]
fn schedule_replaces_the_entry_of_that_name_and_keeps_its_id_and_pause() {
    let mut site = Site::new();
    site.queue("q", "");
    site.queue("other", "");
    let id: i64 = site.value(
        "select hooks.schedule('a', 'q', '@daily', 'x', 'Asia/Tokyo', missed => 'all', description => 'd')",
    );
    site.run("select hooks.pause_schedule('a')");
    let again: i64 = site.value("select hooks.schedule('a', 'other', '@hourly')");
    assert_eq!(again, id);
    let replaced: bool = site.value(
        "select (c.queue_id, c.schedule, c.timezone, c.missed, c.active) = (hooks.queue_id('other'), '@hourly', 'UTC', 'once', false)
           and c.body is null and c.description is null
         from hooks.cron as c",
    );
    assert!(replaced);
    site.run("select hooks.schedule('a', 'other', '@hourly', active => true)");
    let active: bool = site.value("select active and next_run_at is not null from hooks.cron");
    assert!(active);
}

/// A deployment that says again what is so must not lose a tick that is due.
#[test]
fn schedule_that_is_repeated_keeps_the_planned_run() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "select hooks.schedule('a', 'q', '@daily');
         update hooks.cron set next_run_at = '2090-01-01';
         select hooks.schedule('a', 'q', '@daily', 'other body')",
    );
    let kept: bool = site.value("select next_run_at = '2090-01-01' and body = 'other body' from hooks.cron");
    assert!(kept);
    site.run("select hooks.schedule('a', 'q', '@hourly')");
    let planned: bool = site.value("select next_run_at <= now() + interval '1 hour' from hooks.cron");
    assert!(planned);
}

#[test]
fn update_replaces_the_schedule_at_once() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.schedule('a', 'q', '@yearly')");
    site.run("update hooks.cron set schedule = 'every 1 second'");
    site.wait_for_ticks("q", 2);
    site.run("update hooks.cron set schedule = '@yearly'");
    site.settle();
    let seen: i64 = site.value("select extract(epoch from last_run_at)::bigint from hooks.cron");
    site.wait_until(&format!(
        "select extract(epoch from clock_timestamp()) > {seen} + 3"
    ));
    let last: i64 = site.value("select extract(epoch from last_run_at)::bigint from hooks.cron");
    assert_eq!(last, seen);
}

#[test]
fn pause_and_resume() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.schedule('a', 'q', 'every 1 second', missed => 'all')");
    site.wait_for_ticks("q", 1);
    site.run("select hooks.pause_schedule('a')");
    let paused: i64 = site.value("select extract(epoch from last_run_at)::bigint from hooks.cron where next_run_at is null and not active");
    site.wait_until(&format!(
        "select extract(epoch from clock_timestamp()) > {paused} + 3"
    ));
    // Before it is: what is due while the answer is on its way back is no tick of the pause.
    let resumed = site.now();
    site.run("select hooks.resume_schedule('a')");
    let ticks = site.wait_for_ticks("q", site.arrived("q") + 2);
    let within: Vec<_> = ticks
        .iter()
        .filter(|tick| tick.at > paused && tick.at < resumed)
        .collect();
    assert!(within.is_empty(), "{within:?}");
}

#[test]
fn unschedule_and_delete_end_the_ticks_and_never_fail_for_having_history() {
    for end in ["select hooks.unschedule('a')", "delete from hooks.cron"] {
        let mut site = Site::new();
        site.receiver.on("/q", Behaviour::status(500));
        site.queue("q", ", max_attempts => 1, breaker_threshold => null");
        site.run("select hooks.schedule('a', 'q', 'every 1 second')");
        site.wait_until("select exists (select from hooks.dead_letter)");
        site.run(end);
        let gone = site.now();
        site.wait_until(&format!(
            "select extract(epoch from clock_timestamp()) > {gone} + 2"
        ));
        let ticks = site.ticks("q");
        assert!(ticks.iter().all(|tick| tick.at <= gone), "{ticks:?} after {gone}");
    }
}

#[test]
fn unschedule_cancels_what_waits_only_if_told_to() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    let mine: i64 = site.value("select hooks.send('q', 'mine')");
    for (cancel, left) in [(false, 3), (true, 1)] {
        site.run(
            "delete from hooks.message where cron_id is not null;
             select hooks.schedule('a', 'q', '@yearly', missed => 'all');
             update hooks.cron set next_run_at = date_trunc('year', now() at time zone 'UTC') at time zone 'UTC' - interval '6 months'",
        );
        site.wait_until("select next_run_at > now() from hooks.cron");
        let cancelled: i64 = site.value(&format!(
            "select hooks.unschedule('a', cancel_waiting => {cancel})"
        ));
        assert_eq!(cancelled, if cancel { 2 } else { 0 });
        let waiting: i64 = site.value("select count(*) from hooks.message");
        assert_eq!(waiting, left);
    }
    let logged: i64 = site.value("select count(*) from hooks.message_log where state = 'cancelled'");
    assert_eq!(logged, 2);
    let kept: i64 = site.value("select id from hooks.message");
    assert_eq!(kept, mine);
}

#[test]
fn queue_of_a_schedule_is_not_dropped() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.schedule('a', 'q', '@daily')");
    site.assert_refused(
        "select hooks.drop_queue('q', cancel_messages => true)",
        IN_USE,
        "schedule \"a\" sends to queue \"q\"",
        "Remove it with hooks.unschedule(), or have it send elsewhere with hooks.schedule().",
    );
    site.run("select hooks.unschedule('a'); select hooks.drop_queue('q')");
}

#[test]
fn unknown_names_are_refused() {
    let mut site = Site::new();
    let hint = "hooks.cron_status lists those there are; make one with hooks.schedule().";
    for call in ["unschedule", "pause_schedule", "resume_schedule"] {
        site.assert_refused(
            &format!("select hooks.{call}('none')"),
            UNKNOWN,
            "schedule \"none\" does not exist",
            hint,
        );
    }
    site.assert_refused(
        "select hooks.schedule('a', 'none', '@daily')",
        UNKNOWN,
        "queue \"none\" does not exist",
        "Create it with hooks.create_queue().",
    );
    site.assert_refused(
        "insert into hooks.cron (name, queue_id, schedule) values ('a', 77, '@daily')",
        UNKNOWN,
        "queue with id 77 does not exist",
        "Look for its id in hooks.queue.",
    );
}

#[test]
fn bad_values_are_refused() {
    let mut site = Site::new();
    site.queue("q", "");
    let cases = [
        (
            "select hooks.schedule('', 'q', '@daily')",
            "name of a schedule must have 1 to 255 characters",
            "Choose a shorter or non-empty name.",
        ),
        (
            "select hooks.schedule('a', null, '@daily')",
            "a schedule has a queue or an event",
            "Give one of them.",
        ),
        (
            "select hooks.schedule('a', 'q', '@daily', event => 'x')",
            "a schedule has a queue or an event",
            "Give one of them.",
        ),
        (
            "select hooks.schedule('a', 'q', '@daily', timezone => 'Nowhere/Else')",
            "time zone \"Nowhere/Else\" is not known",
            "Give an IANA name such as Europe/Berlin; pg_timezone_names lists them.",
        ),
        (
            "select hooks.schedule('a', 'q', '@daily', timezone => 'UTC+3')",
            "time zone \"UTC+3\" is not known",
            "Give an IANA name such as Europe/Berlin; pg_timezone_names lists them.",
        ),
        (
            r#"select hooks.schedule('a', 'q', '@daily', headers => '{"Hooks-Cron-Tick": "x"}')"#,
            "headers that begin with hooks-cron- are reserved",
            "The worker adds hooks-cron-name and hooks-cron-tick to each message.",
        ),
        (
            "select hooks.schedule('a', 'q', '@daily', repeat('x', 2000000))",
            "body of 2000000 bytes exceeds hooks.max_body_size, 1048576 bytes",
            "Send a reference to the data, or raise hooks.max_body_size.",
        ),
        (
            "select hooks.schedule('a', 'q', '@daily', ordering_key => '')",
            "ordering key must have 1 to 1000 bytes",
            "Leave it out for messages without order.",
        ),
        (
            "insert into hooks.cron (name, queue_id, schedule, next_run_at) select 'a', id, '@daily', 'infinity' from hooks.queue",
            "next_run_at must not be infinite",
            "Use hooks.pause_schedule() to have an entry wait.",
        ),
    ];
    for (statement, message, hint) in cases {
        site.assert_refused(statement, INVALID, message, hint);
    }
    let stored: i64 = site.value("select count(*) from hooks.cron");
    assert_eq!(stored, 0);
}

#[test]
fn headers_leave_room_for_those_of_the_tick() {
    let mut site = Site::new();
    site.queue("q", "");
    let schedule = |count: i32| {
        format!(
            "select hooks.schedule('a', 'q', '@daily', headers => (select jsonb_object_agg('x-' || n, '') from generate_series(1, {count}) as n))"
        )
    };
    site.assert_refused(
        &schedule(62),
        INVALID,
        "a schedule has at most 61 headers",
        "The worker adds hooks-cron-name, hooks-cron-tick and hooks-cron-late; a message has at most 64.",
    );
    site.run(&schedule(61));
}

#[test]
fn change_of_schedule_or_time_zone_is_checked_whatever_is_planned() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "select hooks.schedule('a', 'q', '@daily'), hooks.schedule('b', 'q', '@daily', active => false)",
    );
    for (set, name) in [
        (
            "timezone = 'Mars/Olympus', next_run_at = now() + interval '1 day'",
            "a",
        ),
        ("timezone = 'Mars/Olympus'", "b"),
    ] {
        site.assert_refused(
            &format!("update hooks.cron set {set} where name = '{name}'"),
            INVALID,
            "time zone \"Mars/Olympus\" is not known",
            "Give an IANA name such as Europe/Berlin; pg_timezone_names lists them.",
        );
    }
}

#[test]
fn cancelled_messages_of_events_stay_with_their_event() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    site.run(
        "select hooks.subscribe('**', 'q');
         select hooks.schedule('a', event => 'tick', schedule => '@yearly');
         update hooks.cron set next_run_at = now()",
    );
    site.wait_until("select exists (select from hooks.message)");
    site.run("select hooks.unschedule('a', cancel_waiting => true)");
    let states = site
        .column::<String>("select s.state from hooks.event as e cross join hooks.event_status(e.id) as s");
    assert_eq!(states, ["cancelled"]);
}

#[test]
fn triggers_of_the_table_serve_no_other() {
    let mut site = Site::new();
    for function in ["check_cron", "note_cron_dropped"] {
        let timing = if function == "check_cron" {
            "before insert"
        } else {
            "after insert"
        };
        site.assert_refused(
            &format!(
                "create table t (id bigint);
                 create trigger t {timing} on t for each row execute function hooks.{function}();
                 insert into t values (1)"
            ),
            NOT_SUPPORTED,
            "this function can only be a trigger of hooks.cron",
            "Change schedules with hooks.schedule().",
        );
    }
}

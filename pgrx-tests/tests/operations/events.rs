//! Operational events: who is told, of what, and how often.

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::receiver::Received;
use pg_hooks_tests::site::Site;
use postgres::error::SqlState;
use serde_json::Value;

/// A site with a queue "ops" that gets events of this pattern.
fn told(pattern: &str) -> Site {
    let mut site = Site::new();
    site.queue("ops", "");
    site.run(&format!(
        "select hooks.subscribe('{pattern}', 'ops', envelope => 'standard')"
    ));
    site
}

fn event(request: &Received) -> (String, Value) {
    let event: Value = serde_json::from_str(request.text()).expect("it is JSON");
    (
        event["type"].as_str().expect("it has a type").to_owned(),
        event["data"].clone(),
    )
}

#[test]
fn dead_letter_is_told_of_with_its_cause() {
    let mut site = told("hooks.message.dead");
    site.receiver.on("/q", Behaviour::status(503));
    site.queue("q", ", max_attempts => 1");
    let id: i64 = site.value("select hooks.send('q', 'secret contents')");
    let (kind, data) = event(&site.arrival("ops"));
    assert_eq!(kind, "hooks.message.dead");
    assert_eq!(
        (
            data["queue"].as_str(),
            data["message_id"].as_i64(),
            data["attempts"].as_i64()
        ),
        (Some("q"), Some(id), Some(1))
    );
    assert_eq!(
        (data["last_status"].as_i64(), data["error_class"].as_str()),
        (Some(503), Some("status"))
    );
    assert_eq!(data["suppressed"].as_i64(), Some(0));
    assert!(
        data["dead_at"].is_string() && !data.to_string().contains("secret"),
        "{data}"
    );
}

#[test]
fn breaker_that_opens_and_closes_is_told_of() {
    let mut site = told("hooks.queue.*");
    site.receiver.on("/q", Behaviour::failing(3, 500));
    site.queue(
        "q",
        ", max_attempts => 1, breaker_min_requests => 3, breaker_open_time => '1 s', breaker_threshold => 0.1",
    );
    site.run("select hooks.send_batch('q', array['1', '2', '3'])");
    site.arrivals("ops", 1);
    site.run("select hooks.send('q', 'the probe')");
    let arrived = site.arrivals("ops", 2);
    let (tripped, data) = event(&arrived[0]);
    assert_eq!(
        (tripped.as_str(), data["queue"].as_str()),
        ("hooks.queue.tripped", Some("q"))
    );
    assert!(data["until"].is_string(), "{data}");
    assert_eq!(event(&arrived[1]).0, "hooks.queue.recovered");
}

#[test]
fn queue_that_is_disabled_is_told_of_once_with_the_reason() {
    let mut site = told("hooks.**");
    site.receiver.on("/q", Behaviour::status(410));
    site.queue("q", "");
    site.run("select hooks.send_batch('q', array['1', '2', '3'])");
    site.wait_until("select not active from hooks.queue where name = 'q'");
    let (kind, data) = event(&site.arrivals("ops", 1)[0]);
    assert_eq!(
        (kind.as_str(), data["queue"].as_str()),
        ("hooks.queue.disabled", Some("q"))
    );
    assert_eq!(data["reason"].as_str(), Some("its receiver answered 410 Gone"));
    assert_eq!(
        site.value::<i64>("select count(*) from hooks.event where type = 'hooks.queue.disabled'"),
        1
    );
}

#[test]
fn missed_runs_are_told_of() {
    let mut site = told("hooks.cron.missed");
    site.queue("q", ", active => false");
    site.run(
        "select hooks.schedule('nightly', 'q', '* * * * *', 'x');
         update hooks.cron set next_run_at = date_trunc('minute', now()) - interval '2 hours'",
    );
    let (kind, data) = event(&site.arrival("ops"));
    assert_eq!(
        (kind.as_str(), data["schedule"].as_str()),
        ("hooks.cron.missed", Some("nightly"))
    );
    assert!(data["missed_from"].is_string(), "{data}");
}

#[test]
fn who_subscribes_to_everything_gets_none_of_them() {
    let mut site = Site::new();
    site.queue("ops", "");
    site.run("select hooks.subscribe('**', 'ops'); select hooks.subscribe('*.message.dead', 'ops')");
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", ", max_attempts => 1");
    site.run("select hooks.send('q', 'x')");
    site.wait_until("select exists (select from hooks.dead_letter)");
    site.run("select hooks.publish('a.b', '{\"is\": \"mine\"}')");
    assert_eq!(site.arrival("ops").text(), r#"{"is": "mine"}"#);
    assert_eq!(site.value::<i64>("select count(*) from hooks.event"), 1);
}

#[test]
fn event_about_a_queue_does_not_go_to_it_and_its_own_death_is_not_told_of() {
    let mut site = Site::new();
    for queue in ["a", "b"] {
        site.receiver.on(&format!("/{queue}"), Behaviour::status(500));
        site.queue(queue, ", max_attempts => 1, breaker_threshold => null");
        site.run(&format!(
            "select hooks.subscribe('hooks.message.dead', '{queue}')"
        ));
    }
    site.run("select hooks.send('a', 'x')");
    site.wait_until("select count(*) = 2 from hooks.dead_letter");
    site.settle();
    assert_eq!((site.arrived("a"), site.arrived("b")), (1, 1));
    assert_eq!(site.value::<i64>("select count(*) from hooks.event"), 1);
}

#[test]
fn flood_is_told_of_in_part_and_counted() {
    let mut site = told("hooks.message.dead");
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", ", max_attempts => 1, breaker_threshold => null");
    site.run("select hooks.send_batch('q', array_agg(n::text)) from generate_series(1, 300) as n");
    site.wait_until("select count(*) = 300 from hooks.dead_letter");
    site.settle();
    assert_eq!(site.arrived("ops"), 10);
}

#[test]
fn transform_of_a_user_is_not_run_by_the_worker() {
    let mut site = told("hooks.message.dead");
    site.queue("changed", "");
    site.run(
        "create table public.ran (by name);
         create function public.change(payload jsonb, context jsonb) returns jsonb language sql
           as $$ insert into public.ran values (current_user); select payload $$;
         select hooks.subscribe('hooks.message.dead', 'changed', transform => 'public.change')",
    );
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", ", max_attempts => 1");
    site.run("select hooks.send('q', 'x')");
    site.arrival("ops");
    site.settle();
    assert_eq!(
        (
            site.arrived("changed"),
            site.value::<i64>("select count(*) from public.ran")
        ),
        (0, 0)
    );
}

#[test]
fn names_of_operational_events_are_reserved() {
    let mut site = Site::new();
    site.queue("q", "");
    for script in [
        "select hooks.publish('hooks.message.dead', '{}')",
        "select hooks.publish('hooks.anything', '{}')",
        "select hooks.schedule('a', null, '@daily', '{}', event => 'hooks.x')",
    ] {
        let refused = site.refusal(script);
        assert_eq!(
            refused.code,
            SqlState::INVALID_PARAMETER_VALUE.code(),
            "{script}: {refused:?}"
        );
    }
    site.run("select hooks.publish('hooksy.x', '{}'); select hooks.publish('hooks', '{}')");
}

//! Queues that send nothing are shown so, with the reason that counts, and until they send again.

use pg_hooks_tests::site::{SOON, Site};
use pg_hooks_tests::{Behaviour, wait_until};
use serde_json::Value;

fn state(site: &mut Site) -> String {
    site.value("select state from hooks.queue_stats where queue = 'q'")
}

/// Status and detail of a check of the health.
fn check(site: &mut Site, name: &str) -> String {
    site.value(&format!(
        "select concat_ws(': ', status, detail) from hooks.health() where check_name = '{name}'"
    ))
}

#[test]
fn queue_that_is_not_valid_is_shown_as_held_until_it_is_mended() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "set session_replication_role = replica;
         update hooks.queue set method = 'BREW';
         reset session_replication_role;
         select hooks.note_queue(id) from hooks.queue",
    );
    site.wait_until("select exists (select from hooks.queue_state where state = 'held')");
    assert_eq!(state(&mut site), "held");
    assert_eq!(
        check(&mut site, "held"),
        "warn: 1 queues hold their messages: \"q\" (method is not supported)"
    );
    let report: String = site.value("select concat_ws(' ', state, reason) from jsonb_to_recordset(hooks.report_data() -> 'queues') as q(state text, reason text)");
    assert_eq!(report, "held method is not supported");
    site.run("select hooks.send('q', 'x')");
    site.run(
        "set session_replication_role = replica;
         update hooks.message set due_at = now() - interval '1 hour';
         reset session_replication_role",
    );
    assert!(check(&mut site, "lag").starts_with("ok"), "it is held, not late");
    assert!(site.value::<bool>("select hooks.is_healthy()"));
    site.run("select hooks.alter_queue('q', method => 'PUT')");
    assert_eq!(site.arrival("q").method, "PUT");
    site.wait_until("select not exists (select from hooks.queue_state)");
    assert_eq!(check(&mut site, "held"), "ok: no queue is held");
}

#[test]
fn held_queue_that_is_paused_is_shown_as_paused_and_held_again_when_resumed() {
    let mut site = Site::new();
    site.queue("q", ", signatures => '{v1}'");
    let held = "select state = 'held' and reason like '%signing%' from hooks.queue_state";
    site.wait_until(&format!("select coalesce(({held}), false)"));
    site.run("select hooks.pause('q'); select hooks.resume('q')");
    assert!(site.value::<bool>(held), "for the worker it is held as before");
    site.run("select hooks.pause('q')");
    assert_eq!(state(&mut site), "paused");
    site.wait_until("select not exists (select from hooks.queue_state)");
    site.run("select hooks.resume('q')");
    site.wait_until(&format!("select coalesce(({held}), false)"));
    let since: String = site.value("select since::text from hooks.queue_state");
    let leader: i32 = site.value("select pid from hooks.worker where leader");
    site.run(&format!("select pg_terminate_backend({leader})"));
    site.wait_until(&format!(
        "select exists (select from hooks.worker where leader and pid <> {leader})"
    ));
    assert_eq!(
        site.value::<String>("select since::text from hooks.queue_state"),
        since,
        "for the next worker as well"
    );
    site.run("select hooks.drop_queue('q')");
    assert!(!site.value::<bool>("select exists (select from hooks.queue_state)"));
}

#[test]
fn queue_that_is_paused_while_its_breaker_is_open_is_shown_as_paused() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue(
        "q",
        ", max_attempts => 1, breaker_min_requests => 3, breaker_open_time => '1 hour', breaker_threshold => 0.1",
    );
    site.run("select hooks.send_batch('q', array['1', '2', '3'])");
    site.wait_until("select exists (select from hooks.queue_state where state = 'open')");
    assert_eq!(state(&mut site), "open");
    assert!(check(&mut site, "queues").starts_with("warn"));
    site.run("select hooks.pause('q')");
    assert_eq!(state(&mut site), "paused");
    assert!(check(&mut site, "queues").starts_with("ok"));
    let report: String = site.value("select hooks.report_data() -> 'queues' -> 0 ->> 'state'");
    assert_eq!(report, "paused");
}

#[test]
fn breaker_that_a_new_worker_closes_is_told_of() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("ops", "");
    site.queue(
        "q",
        ", max_attempts => 1, breaker_min_requests => 3, breaker_open_time => '1 hour', breaker_threshold => 0.1",
    );
    site.run(
        "select hooks.subscribe('hooks.queue.*', 'ops', envelope => 'standard');
         select hooks.send_batch('q', array['1', '2', '3'])",
    );
    assert!(
        site.arrivals("ops", 1)[0]
            .text()
            .contains("\"hooks.queue.tripped\"")
    );
    site.run("select count(pg_terminate_backend(pid)) from hooks.worker");
    let told = wait_until("its recovery to be told", SOON, || {
        let mut told = site.receiver.requests("/ops").into_iter();
        told.find(|request| request.text().contains("hooks.queue.recovered"))
    });
    let told: Value = serde_json::from_str(told.text()).expect("JSON");
    assert_eq!(told["type"], "hooks.queue.recovered");
    assert_eq!(
        (&told["data"]["queue"], &told["data"]["reason"]),
        (&"q".into(), &"a new worker leads".into())
    );
    assert!(!site.value::<bool>("select exists (select from hooks.queue_state)"));
}

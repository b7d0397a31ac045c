//! Every check of the health: what makes it warn, and what it says then.

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::site::{SOON, Site, refusal, value};

/// Status, detail and hint of a check.
pub fn check(site: &mut Site, name: &str) -> (String, String, Option<String>) {
    let row = site.client.query_one(
        "select status, detail, hint from hooks.health() where check_name = $1",
        &[&name],
    );
    let row = row.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    (row.get(0), row.get(1), row.get(2))
}

#[track_caller]
pub fn assert_ok(site: &mut Site, name: &str) {
    let (status, detail, hint) = check(site, name);
    assert_eq!((status.as_str(), hint), ("ok", None), "{name}: {detail}");
}

#[track_caller]
pub fn assert_warns(site: &mut Site, name: &str, words: &str) {
    let (status, detail, hint) = check(site, name);
    assert_eq!(status, "warn", "{name}: {detail}");
    assert!(detail.contains(words), "{name}: {detail}");
    assert!(hint.is_some(), "{name} does not say what to do");
}

/// Has every message have been due for so long.
pub fn age_messages(site: &mut Site, age: &str) {
    site.run(&format!(
        "set session_replication_role = replica;
         update hooks.message set due_at = now() - interval '{age}';
         reset session_replication_role"
    ));
}

#[test]
fn messages_that_wait_for_a_busy_receiver_are_late() {
    let mut site = Site::new();
    site.receiver.on("/slow", Behaviour::Hang);
    site.queue("slow", ", max_in_flight => 1, timeout => '300 s'");
    site.run("select hooks.send_batch('slow', array['a', 'b'])");
    site.arrival("slow");
    assert_ok(&mut site, "lag");
    age_messages(&mut site, "1 hour");
    let (status, detail, _) = check(&mut site, "lag");
    assert_ne!(status, "ok");
    assert!(detail.contains("queue \"slow\" waits for 01:00:"), "{detail}");
    site.receiver.release("/slow");
}

#[test]
fn messages_that_are_held_back_are_not_late() {
    let mut site = Site::new();
    site.receiver.on("/failing", Behaviour::status(500));
    site.queue("paused", ", active => false");
    site.queue("limited", ", rate_limit => 1, rate_interval => '1 day'");
    site.queue("keyed", ", retry_schedule => '{1 hour}'");
    site.receiver.on("/keyed", Behaviour::status(500));
    site.run(
        "select hooks.send_batch('paused', array['a', 'b']);
         select hooks.send_batch('limited', array['a', 'b', 'c']);
         select hooks.send_batch('keyed', array['a', 'b', 'c'], ordering_key => 'k')",
    );
    site.wait_until("select retrying = 1 from hooks.queue_stats where queue = 'keyed'");
    site.run(
        "set session_replication_role = replica;
         update hooks.message set due_at = now() - interval '1 hour' where attempt = 0;
         reset session_replication_role",
    );
    assert_ok(&mut site, "lag");
    // The first of the key itself may be late.
    age_messages(&mut site, "1 hour");
    site.run("delete from hooks.queue_total");
    let (status, detail, _) = check(&mut site, "lag");
    assert!(status != "ok" && detail.contains("keyed"), "{detail}");
}

#[test]
fn dead_letters_and_stopped_queues_are_told_of() {
    let mut site = Site::new();
    assert_ok(&mut site, "dead_letters");
    assert_ok(&mut site, "queues");
    site.receiver.on("/gone", Behaviour::status(410));
    site.receiver.on("/bad", Behaviour::status(500));
    site.queue("gone", "");
    site.queue("bad", ", max_attempts => 1");
    site.run("select hooks.send('gone', 'x'); select hooks.send('bad', 'x')");
    pg_hooks_tests::wait_until("both to be told of", SOON, || {
        check(&mut site, "dead_letters").0 == "warn" && check(&mut site, "queues").0 == "warn"
    });
    assert_warns(&mut site, "dead_letters", "1 messages became dead letters");
    assert_warns(
        &mut site,
        "queues",
        "1 queues send nothing because of their receivers: \"gone\" (disabled)",
    );
    assert!(site.value::<bool>("select hooks.is_healthy()"));
}

#[test]
fn prepared_transactions_that_hold_messages_are_told_of() {
    let mut site = Site::new();
    site.queue("q", "");
    assert_ok(&mut site, "prepared");
    site.run("begin; select hooks.send('q', 'x'); prepare transaction 'forgotten'");
    assert_ok(&mut site, "prepared");
    // It warns after a minute.
    site.run("select pg_sleep(61)");
    assert_warns(&mut site, "prepared", "1 prepared transactions hold messages");
    site.run("rollback prepared 'forgotten'");
    assert_ok(&mut site, "prepared");
}

#[test]
fn every_check_is_well_at_first_and_has_a_name_of_its_own() {
    let mut site = Site::new();
    site.wait_until("select bool_and(status = 'ok' and hint is null and detail <> '') from hooks.health()");
    let checks: Vec<String> = site.column("select check_name from hooks.health()");
    let known = [
        "preloaded",
        "database",
        "copy",
        "worker",
        "worker_slots",
        "lag",
        "dead_letters",
        "queues",
        "held",
        "secrets",
        "watches",
        "bloat",
        "snapshots",
        "prepared",
        "retention",
        "wraparound",
    ];
    assert_eq!(checks, known);
    assert!(site.value::<bool>("select hooks.is_healthy()"));
}

#[test]
fn health_is_for_readers() {
    let mut site = Site::new();
    let mut reader = site.connect_as_member("hooks_reader");
    value::<bool>(&mut reader, "select hooks.is_healthy()");
    let mut sender = site.connect_as_member("hooks_sender");
    assert_eq!(refusal(&mut sender, "select hooks.is_healthy()").code, "42501");
}

#[test]
fn health_of_many_queues_is_told_at_once() {
    let mut site = Site::new();
    site.run(
        "insert into hooks.queue (name, url, active) select format('q%s', n), 'http://127.0.0.1:1024/', false from generate_series(1, 3000) as n;
         insert into hooks.message (queue_id, body) select id, 'x' from hooks.queue;
         analyze hooks.message",
    );
    let before = std::time::Instant::now();
    site.value::<i64>("select count(*) from hooks.health()");
    assert!(before.elapsed().as_secs() < 30, "{:?}", before.elapsed());
}

#[test]
fn queue_that_fails_and_still_sends_is_no_queue_that_is_stopped() {
    let mut site = Site::new();
    site.run(
        "select hooks.create_queue('q', 'http://127.0.0.1:8080/');
         insert into hooks.queue_state (queue_id, state, since, reason, failing_since, last_failure_at)
         select id, 'failing', now(), 'every attempt failed', now(), now() from hooks.queue",
    );
    let state = "select state from hooks.queue_stats";
    assert_ok(&mut site, "queues");
    assert_eq!(site.value::<String>(state), "failing");
    site.run("select hooks.pause('q')");
    assert_eq!(site.value::<String>(state), "paused");
}

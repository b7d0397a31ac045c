//! Queues that do nothing but fail.

use pg_hooks_tests::site::{Site, row};
use pg_hooks_tests::{Behaviour, Cluster};

const FAILING: &str = ", max_attempts => 100, retry_schedule => '{100 ms}', breaker_threshold => null";

fn cluster(disable_after: &str) -> &'static Cluster {
    let cluster = Cluster::builder().setting("hooks.disable_after", disable_after);
    Box::leak(Box::new(cluster.start()))
}

#[test]
fn queue_that_only_fails_is_disabled_told_of_and_resumed_with_its_messages() {
    let mut site = Site::on(cluster("2s"));
    site.queue("ops", "");
    site.run("select hooks.subscribe('hooks.queue.disabled', 'ops')");
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", FAILING);
    site.run("select hooks.send('q', 'x')");
    site.wait_until("select exists (select from hooks.queue_state where state in ('failing', 'disabled'))");
    site.wait_until("select not active from hooks.queue where name = 'q'");
    let state = row(
        &mut site.client,
        "select state, reason, failing_since is not null from hooks.queue_state",
    );
    assert_eq!(state.get::<_, &str>(0), "disabled");
    assert!(state.get::<_, &str>(1).contains("hooks.disable_after") && state.get::<_, bool>(2));
    let event = site.arrival("ops");
    assert!(event.text().contains("hooks.disable_after"), "{}", event.text());
    site.wait_until("select count(*) = 1 from hooks.message");
    site.receiver.on("/q", Behaviour::status(200));
    site.run("select hooks.resume('q')");
    site.settle();
    assert_eq!(site.value::<i64>("select count(*) from hooks.queue_state"), 0);
}

#[test]
fn time_of_failing_goes_on_after_a_restart_and_ends_with_a_success() {
    let cluster = cluster("60s");
    let mut site = Site::on(cluster);
    site.receiver.on("/q", Behaviour::status(500));
    // Goes on through a restart that takes its time.
    site.queue("q", &FAILING.replace("100 ms", "1 s"));
    site.run("select hooks.send('q', 'x')");
    site.wait_until("select exists (select from hooks.queue_state where state = 'failing')");
    let since: String = site.value("select failing_since::text from hooks.queue_state");
    cluster.restart();
    site.client = site.connect();
    let restarted: String = site.value("select clock_timestamp()::text");
    site.wait_until(&format!(
        "select exists (select from hooks.queue_state where last_failure_at > '{restarted}')"
    ));
    assert_eq!(
        site.value::<String>("select failing_since::text from hooks.queue_state"),
        since
    );
    site.receiver.on("/q", Behaviour::status(200));
    site.settle();
    site.wait_until("select not exists (select from hooks.queue_state)");
}

#[test]
fn failures_before_a_queue_was_held_do_not_disable_it() {
    let mut site = Site::on(cluster("60s"));
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", FAILING);
    // As a leader leaves it that ends when the queue can be used again, and has not said so yet.
    site.run(
        "insert into hooks.queue_state (queue_id, state, since, reason, failing_since, last_failure_at)
         select id, 'held', now(), 'x', now() - interval '100 s', now() from hooks.queue;
         select count(pg_terminate_backend(pid)) from hooks.worker;
         select hooks.send('q', 'x')",
    );
    site.arrivals("q", 20);
    site.wait_until(
        "select count(*) filter (where state in ('held', 'disabled')) = 0 from hooks.queue_state",
    );
    assert!(site.value::<bool>("select active from hooks.queue where name = 'q'"));
}

#[test]
fn queue_is_never_disabled_when_the_setting_is_0() {
    let mut site = Site::on(cluster("0"));
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", FAILING);
    site.run("select hooks.send('q', 'x')");
    site.arrivals("q", 20);
    assert!(site.value::<bool>("select active from hooks.queue where name = 'q'"));
}

#[test]
fn change_of_a_queue_without_a_breaker_keeps_since_when_it_fails() {
    let mut site = Site::new();
    site.queue("q", "");
    for (failing_since, kept) in [("now() - interval '1 day'", Some("failing")), ("null", None)] {
        site.run(&format!(
            "insert into hooks.queue_state (queue_id, state, since, until, reason, failing_since, last_failure_at)
             select id, 'open', now(), now(), 'x', {failing_since}, {failing_since} from hooks.queue;
             update hooks.queue set breaker_threshold = null"
        ));
        let state: Option<String> = site.value("select (select state from hooks.queue_state)");
        assert_eq!(state.as_deref(), kept);
        let since: Option<bool> =
            site.value("select (select since = failing_since and until is null from hooks.queue_state)");
        assert_eq!(since, kept.map(|_| true));
        site.run("delete from hooks.queue_state; update hooks.queue set breaker_threshold = 0.5");
    }
}

//! What became of an event, and of a queue.

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::site::Site;

#[test]
fn event_status_tells_of_each_message() {
    let mut site = Site::new();
    site.receiver.on("/dead", Behaviour::status(404));
    site.receiver.on("/retrying", Behaviour::status(503));
    site.queue("good", "");
    site.queue("dead", ", max_attempts => 1");
    site.queue("retrying", ", retry_schedule => '{1 day}'");
    site.queue("waiting", ", active => false");
    site.run(
        "select hooks.subscribe('a', name) from hooks.queue order by id; select hooks.publish('a', '1')",
    );
    site.wait_until(
        "select count(*) = 3 from hooks.event_status(1) where attempts = 1 and last_status is not null",
    );
    let told: Vec<String> = site.column(
        "select concat_ws(' ', queue, state, attempts, last_status, last_error) from hooks.event_status(1)",
    );
    assert_eq!(
        told,
        [
            "good delivered 1 200",
            "dead dead 1 404 receiver answered 404",
            "retrying retrying 1 503 receiver answered 503",
            "waiting pending 0",
        ]
    );
    site.run("select hooks.cancel(id) from hooks.event_status(1) where queue = 'waiting'");
    let state: String = site.value("select state from hooks.event_status(1) where queue = 'waiting'");
    assert_eq!(state, "cancelled");
    assert_eq!(site.value::<i64>("select count(*) from hooks.event_status(2)"), 0);
}

#[test]
fn queue_messages_come_in_pages_newest_first() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::status(404));
    site.queue("q", ", max_attempts => 1");
    site.queue("other", ", active => false");
    site.run("select hooks.send('q', 'x') from generate_series(1, 5); select hooks.send('other', 'x')");
    site.wait_until("select count(*) = 5 from hooks.dead_letter");
    let first: Vec<i64> = site.column("select id from hooks.queue_messages('q', row_limit => 2)");
    assert_eq!(first, [5, 4]);
    let second: Vec<i64> =
        site.column("select id from hooks.queue_messages('q', row_limit => 10, before_id => 4)");
    assert_eq!(second, [3, 2, 1]);
    let told: String = site.value(
        "select concat_ws(' ', message_state, attempts, last_status) from hooks.queue_messages('q', 'dead', 1)",
    );
    assert_eq!(told, "dead 1 404");
    let delivered: i64 = site.value("select count(*) from hooks.queue_messages('q', 'delivered')");
    assert_eq!(delivered, 0);
    assert_eq!(site.refusal("select hooks.queue_messages('none')").code, "42704");
    assert_eq!(
        site.refusal("select hooks.queue_messages('q', row_limit => 0)")
            .code,
        "22023"
    );
}

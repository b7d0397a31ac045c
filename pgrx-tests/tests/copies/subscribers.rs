//! Logical replication of our tables.

use pg_hooks_tests::site::{run, value};
use pg_hooks_tests::{Receiver, wait_until};

use crate::scene::{SOON, assert_silent, original, send_some, server, wait_for_state};

#[test]
fn subscriber_sends_nothing_of_what_is_replicated_until_it_is_adopted() {
    let (publisher, subscriber) = (server(), server());
    let receiver = Receiver::start();
    let mut source = original(&publisher, &receiver, "original");
    send_some(&mut source);
    run(
        &mut source,
        "create publication hooks for table hooks.queue, hooks.message, hooks.event, hooks.subscription, hooks.cron,
           hooks.dead_letter",
    );
    subscriber.create_database("copy");
    let mut copy = subscriber.connect("copy");
    run(&mut copy, "create extension pg_hooks");
    wait_for_state(&mut copy, "leading");
    run(
        &mut copy,
        &format!(
            "create subscription hooks connection $${}$$ publication hooks",
            publisher.conninfo_to("original", "copy")
        ),
    );
    wait_for_state(&mut copy, "held: restored");
    // What was finished goes, and so do events of which nothing tells any more.
    run(
        &mut source,
        "select hooks.cancel(hooks.send('q', 'finished')) from generate_series(1, 3);
         select hooks.publish('nobody.listens', '{}');
         delete from hooks.event as e where e.type = 'nobody.listens';
         select hooks.send('q', 'sent on the publisher');
         select hooks.cancel(hooks.send('q', 'finished')) from generate_series(1, 3)",
    );
    wait_until("the messages to be replicated", SOON, || {
        value::<i64>(
            &mut copy,
            "select count(*) from hooks.message where body is distinct from 'finished'",
        ) == 3
    });
    assert_silent(&receiver);

    // The publisher is gone, and this one takes its place.
    run(
        &mut copy,
        "alter subscription hooks disable;
         alter subscription hooks set (slot_name = none);
         drop subscription hooks;
         select hooks.adopt()",
    );
    let arrived = receiver.wait_for("/q", 3, SOON);
    let key: String = value(&mut source, "select webhook_key from hooks.installation");
    assert!(
        arrived
            .iter()
            .all(|request| request.webhook_id().unwrap().contains(&key))
    );
    // No sequence was replicated.
    let next: i64 = value(&mut copy, "select hooks.send('q', 'goes on')");
    let highest: i64 = value(&mut source, "select last_value from hooks.message_id_seq");
    assert!(next > highest, "{next} after {highest}");
    receiver.wait_for("/q", 4, SOON);
    let next: i64 = value(&mut copy, "select nextval('hooks.event_id_seq')");
    let highest: i64 = value(&mut source, "select last_value from hooks.event_id_seq");
    assert!(next > highest, "event {next} after {highest}");
    let rate: Option<f64> = value(&mut copy, "select messages_per_minute from hooks.stats");
    assert!(rate.is_none_or(|rate| rate < 1e6), "{rate:?}: the gap is counted");
}

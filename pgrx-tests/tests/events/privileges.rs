//! Who may subscribe, publish and look.

use pg_hooks_tests::site::{Site, refusal, run};

#[track_caller]
fn assert_denied(client: &mut postgres::Client, statements: &[&str]) {
    for statement in statements {
        assert_eq!(refusal(client, statement).code, "42501", "{statement}");
    }
}

const TABLES: [&str; 3] = [
    "table hooks.event",
    "table hooks.subscription",
    "table hooks.idempotency_key",
];
const ADMINISTRATION: [&str; 4] = [
    "select hooks.subscribe('a', 'q')",
    "select hooks.unsubscribe(1)",
    "select hooks.alter_subscription(1, 'a')",
    "select hooks.list_subscriptions()",
];

#[test]
fn sender_publishes_and_does_nothing_else() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.subscribe('a', 'q')");
    let mut sender = site.connect_as_member("hooks_sender");
    run(
        &mut sender,
        "select hooks.publish('a', '1', idempotency_key => 'k')",
    );
    run(&mut sender, "select hooks.send('q', 'x', idempotency_key => 'k')");
    assert_denied(&mut sender, &TABLES);
    assert_denied(&mut sender, &ADMINISTRATION);
    assert_denied(
        &mut sender,
        &[
            "select hooks.event_status(1)",
            "select hooks.queue_messages('q')",
            "table hooks.message_state",
            "select hooks.claim_key('a', 'b', 'hooks.event_id_seq')",
            "select hooks.matching_subscriptions('a', '1', null)",
        ],
    );
}

#[test]
fn reader_looks_and_does_nothing_else() {
    let mut site = Site::new();
    site.queue("q", "");
    let mut reader = site.connect_as_member("hooks_reader");
    run(
        &mut reader,
        "select * from hooks.event_status(1); select * from hooks.queue_messages('q'); table hooks.message_state",
    );
    assert_denied(&mut reader, &TABLES);
    assert_denied(&mut reader, &ADMINISTRATION);
    assert_denied(&mut reader, &["select hooks.publish('a', '1')"]);
}

#[test]
fn admin_uses_functions_and_tables() {
    let mut site = Site::new();
    let queue = site.queue("q", "");
    let mut admin = site.connect_as_member("hooks_admin");
    run(
        &mut admin,
        &format!(
            "select hooks.subscribe('a', 'q'), hooks.alter_subscription(1, 'b'), hooks.list_subscriptions();
             insert into hooks.subscription (pattern, queue_id, filter, transform)
             values ('a', {queue}, '$.x', 'pg_catalog.jsonb_concat');
             update hooks.subscription set transform = null;
             select hooks.publish('a', '{{\"x\": 1}}');
             select * from hooks.event_status(1), hooks.queue_messages('q');
             delete from hooks.subscription; table hooks.event; table hooks.idempotency_key"
        ),
    );
}

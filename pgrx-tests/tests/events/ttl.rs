//! Time to live: no attempt starts after it, and the message ends as expired.

use pg_hooks_tests::site::{SOON, Site};
use pg_hooks_tests::{Behaviour, wait_until};

#[test]
fn ttl_is_the_end_of_event_and_messages() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    site.run("select hooks.subscribe('a', 'q'); select hooks.publish('a', '1', ttl => '1 hour')");
    let same: bool = site.value(
        "select m.expires_at = e.expires_at and e.expires_at = e.created_at + interval '1 hour'
         from hooks.message as m join hooks.event as e on e.id = m.event_id",
    );
    assert!(same);
    site.run("select hooks.publish('a', '1')");
    assert!(site.value::<bool>("select expires_at is null from hooks.event where id = 2"));
}

#[test]
fn failing_message_ends_as_expired_and_is_no_dead_letter() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", ", retry_schedule => '{100 ms,10 minutes}'");
    site.run("select hooks.subscribe('a', 'q'); select hooks.publish('a', '1', ttl => '1 minute')");
    wait_until("the message to expire", SOON, || {
        site.column::<String>("select state from hooks.message_log where event_id = 1") == ["expired"]
    });
    assert_eq!(site.arrived("q"), 2, "the third would come after its end");
    assert_eq!(site.value::<i64>("select count(*) from hooks.dead_letter"), 0);
    assert_eq!(
        site.column::<String>("select state from hooks.event_status(1)"),
        ["expired"]
    );
}

#[test]
fn expired_message_of_an_event_is_buried_when_asked_for() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue(
        "q",
        ", bury_expired => true, min_backoff => '1 hour', max_backoff => '1 hour'",
    );
    site.run("select hooks.subscribe('a', 'q'); select hooks.publish('a', '{\"x\": 1}', ttl => '1 minute')");
    site.wait_until("select exists (select from hooks.dead_letter where event_id = 1)");
    site.receiver.on("/q", Behaviour::status(200));
    site.run("select hooks.redrive(id) from hooks.dead_letter");
    site.settle();
    let arrived = site.arrivals("q", 2);
    assert_eq!(arrived.last().unwrap().text(), "{\"x\": 1}");
    assert_eq!(
        site.column::<String>("select state from hooks.event_status(1)"),
        ["delivered"]
    );
}

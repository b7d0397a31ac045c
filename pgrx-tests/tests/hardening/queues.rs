//! Queues that go while they have messages.

use pg_hooks_tests::Behaviour;

use crate::site::{INVALID, Site, UNKNOWN, refusal, send};

#[test]
fn drop_that_does_not_say_what_becomes_of_messages_is_refused() {
    let mut site = Site::new();
    site.queue("n", ", active => false");
    site.send("n", "kept");
    for statement in [
        "select hooks.drop_queue('n', null)",
        "select hooks.drop_queue('n', cancel_messages => null::boolean)",
    ] {
        let refused = site.refusal(statement);
        assert_eq!(refused.code, INVALID, "{refused:?}");
    }
    site.run("select hooks.resume('n')");
    assert_eq!(site.arrival("n").text(), "kept");
}

#[test]
fn truncated_queues_are_unknown_to_every_session_at_once() {
    let mut site = Site::new();
    site.queue("q", "");
    let mut warm = site.connect();
    send(&mut warm, "q", "before");
    site.run("select hooks.send('q', 'later', at => '2100-01-01')");
    site.arrival("q");
    site.run("truncate hooks.queue cascade");
    for statement in [
        "select hooks.send('q', 'x')",
        "select hooks.send_batch('q', array['x'])",
        "insert into hooks.message (queue_id, body) values (1, 'x')",
    ] {
        let refused = refusal(&mut warm, statement);
        assert_eq!(refused.code, UNKNOWN, "{statement}: {refused:?}");
    }
    assert_eq!(site.dead_letters(1), ["queue_dropped"]);
    site.queue("q", "");
    send(&mut warm, "q", "after");
    site.arrivals("q", 2);
}

#[test]
fn accepted_answer_is_a_delivery_although_the_queue_is_gone() {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::Hang);
    site.queue("q", "");
    site.queue("other", "");
    let id = site.send("q", "accepted");
    site.run("select hooks.send('q', 'later', at => '2100-01-01')");
    site.arrival("q");
    site.run("delete from hooks.queue where name = 'q'");
    // Whoever sends this one has heard of the deletion.
    site.send("other", "x");
    site.arrival("other");
    assert_eq!(site.dead_letters(1), ["queue_dropped"]);
    site.receiver.release("/q");
    site.wait_for_delivered(2);
    let state: String = site.value(&format!("select state from hooks.message_log where id = {id}"));
    assert_eq!(state, "delivered");
    assert_eq!(site.dead_letters(1).len(), 1);
    assert_eq!(site.value::<i64>("select count(*) from hooks.message"), 0);
}

//! What is done to a queue takes effect on the messages that it has.

use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::{Answer, Behaviour};

use crate::site::{Site, ms, refusal, run};

const SOON_AGAIN: &str = ", retry_schedule => array['100 ms']::interval[]";

#[test]
fn paused_queue_keeps_its_messages_and_resumed_sends_them() {
    let mut site = Site::settled();
    site.queue("q", "");
    site.queue("other", "");
    site.run("select hooks.pause('q')");
    let ids = ["a", "b", "c"].map(|body| site.send("q", body));
    site.send("other", "x");
    site.arrival("other");
    never_within("a paused queue sent", ms(300), || site.arrived("q") > 0);
    assert_eq!(site.state(ids[0]).as_deref(), Some("pending"));
    site.run("select hooks.resume('q')");
    ids.into_iter()
        .for_each(|id| site.wait_for_state(id, "delivered"));
    assert_eq!(site.arrived("q"), 3);
}

#[test]
fn pause_lets_what_is_on_the_wire_finish_and_holds_retries_back() {
    let mut site = Site::settled();
    site.receiver.on("/hang", Behaviour::Hang);
    site.receiver.on("/fail", Behaviour::failing(1, 500));
    site.queue("hang", "");
    site.queue("fail", ", retry_schedule => array['5 s']::interval[]");
    let (hanging, failing) = (site.send("hang", "x"), site.send("fail", "x"));
    site.arrival("hang");
    site.wait_for_state(failing, "retrying");
    site.run("select hooks.pause('hang'), hooks.pause('fail')");
    let held = site.arrived("fail");
    site.receiver.release("/hang");
    site.wait_for_state(hanging, "delivered");
    never_within("a paused queue tried again", ms(6_500), || {
        site.arrived("fail") > held
    });
    site.run("select hooks.resume('fail')");
    site.wait_for_state(failing, "delivered");
}

#[test]
fn paused_queue_may_be_made_and_filled_ahead() {
    let mut site = Site::settled();
    site.queue("q", ", active => false");
    let id = site.send("q", "x");
    never_within("a paused queue sent", ms(200), || site.arrived("q") > 0);
    site.run("update hooks.queue set active = true");
    site.wait_for_state(id, "delivered");
}

#[test]
fn changed_queue_takes_effect_at_the_next_attempt() {
    let mut site = Site::settled();
    site.receiver.on("/old", Behaviour::status(500));
    let old = site.receiver.url("/old");
    let new = site.receiver.url("/new");
    site.queue_to(&old, "q", ", retry_schedule => array['1 hour']::interval[]");
    let id = site.send("q", "x");
    site.wait_for_state(id, "retrying");
    site.run(&format!(
        r#"select hooks.alter_queue('q', url => '{new}', method => 'PUT', headers => '{{"x-new": "yes"}}')"#
    ));
    site.run("update hooks.message set due_at = now()");
    site.wait_for_state(id, "delivered");
    let moved = site.arrival("new");
    assert_eq!(
        (moved.method.as_str(), moved.header("x-new"), moved.attempt()),
        ("PUT", Some("yes"), Some(2))
    );
    // A plain UPDATE does the same, for messages that come after it.
    site.receiver.on("/old", Behaviour::status(200));
    site.run(&format!("update hooks.queue set url = '{old}', method = 'PATCH'"));
    let id = site.send("q", "y");
    site.wait_for_state(id, "delivered");
    assert_eq!(site.arrivals("old", 2)[1].method, "PATCH");
}

#[test]
fn fewer_attempts_hold_for_messages_that_are_under_way() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", SOON_AGAIN);
    let id = site.send("q", "x");
    site.wait_for_attempts(id, 2);
    site.run("select hooks.alter_queue('q', max_attempts => 1)");
    let before = site.attempts(id).len();
    site.wait_for_state(id, "dead");
    // One may have been on the wire, and one more have begun before the leader heard of it.
    assert!(site.attempts(id).len() <= before + 2);
}

#[test]
fn renamed_queue_keeps_its_messages() {
    let mut site = Site::settled();
    site.queue("q", ", active => false");
    let id = site.send("q", "x");
    site.run("select hooks.alter_queue('q', name => 'renamed', active => true)");
    site.wait_for_state(id, "delivered");
    assert_eq!(
        site.value::<String>(&format!("select queue from hooks.status({id})")),
        "renamed"
    );
    assert_eq!(refusal(&mut site.client, "select hooks.send('q', 'x')"), "42704");
}

#[test]
fn queue_with_messages_is_dropped_only_when_told_to_cancel_them() {
    let mut site = Site::settled();
    site.receiver.on("/q", Behaviour::status(500));
    site.queue("q", ", retry_schedule => array['1 hour']::interval[]");
    let failed = site.send("q", "failed");
    site.wait_for_state(failed, "retrying");
    let later: i64 = site.value("select hooks.send('q', 'later', at => now() + interval '5 s')");
    assert_eq!(refusal(&mut site.client, "select hooks.drop_queue('q')"), "2BP01");
    let cancelled: i64 = site.value("select hooks.drop_queue('q', cancel_messages => true)");
    assert_eq!(cancelled, 2);
    assert_eq!(site.state(failed).as_deref(), Some("cancelled"));
    never_within("a cancelled message was sent", ms(5_500), || {
        site.arrived("q") > 1
    });
    assert_eq!(site.attempts(later).len(), 0);
    assert_eq!(refusal(&mut site.client, "select hooks.send('q', 'x')"), "42704");
    site.queue("q", "");
    site.receiver.on("/q", Behaviour::status(200));
    let again = site.send("q", "x");
    site.wait_for_state(again, "delivered");
}

#[test]
fn empty_queue_is_dropped_without_further_ado() {
    let mut site = Site::settled();
    site.queue("q", "");
    let id = site.send("q", "x");
    site.wait_for_state(id, "delivered");
    assert_eq!(site.value::<i64>("select hooks.drop_queue('q')"), 0);
    assert_eq!(site.state(id).as_deref(), Some("delivered"));
}

#[test]
fn queue_dropped_under_a_message_on_the_wire_leaves_it_cancelled() {
    let mut site = Site::settled();
    site.receiver
        .on("/q", Behaviour::Barrier(usize::MAX, Answer::new(500)));
    site.queue("q", ", min_backoff => '10 ms', max_backoff => '10 ms'");
    let id = site.send("q", "x");
    site.arrival("q");
    assert_eq!(
        site.value::<i64>("select hooks.drop_queue('q', cancel_messages => true)"),
        1
    );
    site.receiver.release("/q");
    never_within("the late result changed something", ms(700), || {
        site.state(id).as_deref() != Some("cancelled") || site.arrived("q") > 1
    });
    assert_eq!(site.value::<i64>("select count(*) from hooks.message_log"), 1);
    assert_eq!(site.value::<i64>("select count(*) from hooks.dead_letter"), 0);
}

#[test]
fn message_stored_while_its_queue_is_dropped_becomes_a_dead_letter() {
    let mut site = Site::settled();
    let queue = site.queue("q", "");
    let mut sender = site.connect();
    run(
        &mut sender,
        "begin; select hooks.send('q', 'too late', headers => '{\"x\": \"y\"}')",
    );
    site.run("select hooks.drop_queue('q')");
    run(&mut sender, "commit");
    site.wait_until("select exists (select from hooks.dead_letter)");
    let letter = site.row(
        "select id, queue_id, error_class, body, headers ->> 'x', attempts from hooks.dead_letter",
        &[],
    );
    assert_eq!(
        (letter.get::<_, i64>(1), letter.get::<_, &str>(2)),
        (queue, "queue_dropped")
    );
    assert_eq!(
        (
            letter.get::<_, &str>(3),
            letter.get::<_, &str>(4),
            letter.get::<_, i32>(5)
        ),
        ("too late", "y", 0)
    );
    assert_eq!(site.state(letter.get(0)).as_deref(), Some("dead"));
    assert_eq!(site.value::<i64>("select count(*) from hooks.message"), 0);
    assert_eq!(site.arrived("q"), 0);
}

#[test]
fn dead_letter_queue_in_use_is_not_dropped() {
    let mut site = Site::settled();
    site.queue("dead", "");
    site.queue("q", ", dead_letter_queue => 'dead'");
    assert_eq!(
        refusal(&mut site.client, "select hooks.drop_queue('dead')"),
        "2BP01"
    );
    site.run(
        "select hooks.alter_queue('q', reset => array['dead_letter_queue']); select hooks.drop_queue('dead')",
    );
}

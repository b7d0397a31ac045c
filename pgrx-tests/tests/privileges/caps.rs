//! Queues that hold so many messages, or so many bytes, and no more.

use std::thread;

use pg_hooks_tests::site::{SOON, Site, refusal, run, value};
use pg_hooks_tests::{Behaviour, wait_until};

/// SQLSTATE of a limit that was configured.
const FULL: &str = "53400";

/// A queue "q" that sends nothing yet.
fn site(policy: &str) -> Site {
    let mut site = Site::new();
    site.queue("q", &format!(", active => false{policy}"));
    // What is dropped is logged, and the worker of a new database is making the partitions for that.
    site.wait_until("select count(*) > 4 from pg_inherits where inhparent = 'hooks.message_log'::regclass");
    site
}

fn send(site: &mut Site, messages: i64) {
    site.run(&format!(
        "select hooks.send('q', 'body ' || n) from generate_series(1, {messages}) as n"
    ));
}

fn waiting(site: &mut Site) -> i64 {
    site.value("select count(*) from hooks.message")
}

#[test]
fn queue_without_limits_takes_what_comes() {
    let mut site = site("");
    send(&mut site, 2000);
    assert_eq!(waiting(&mut site), 2000);
}

#[test]
fn message_beyond_the_limit_is_refused_in_every_way_to_send() {
    let mut site = site(", max_messages => 5");
    send(&mut site, 5);
    for statement in [
        "select hooks.send('q', 'x')",
        "select hooks.send('q', 'x'::bytea)",
        "select hooks.send_batch('q', array['x'])",
        "insert into hooks.message (queue_id, body) select id, 'x' from hooks.queue",
        "select hooks.subscribe('a', 'q'); select hooks.publish('a', '1')",
    ] {
        let mut session = site.connect();
        let refused = refusal(&mut session, statement);
        assert_eq!(refused.code, FULL, "{statement}: {}", refused.message);
        assert_eq!(refused.message, "queue \"q\" is full");
        assert!(refused.hint.contains("max_messages"), "{}", refused.hint);
    }
    assert_eq!(waiting(&mut site), 5);
    // Messages that are there may be changed and sent.
    site.run("update hooks.message set headers = '{\"X-A\": \"b\"}'; select hooks.resume('q')");
    site.arrivals("q", 5);
    site.settle();
}

#[test]
fn room_comes_back_with_deliveries_and_with_a_higher_limit() {
    let mut site = site(", max_messages => 3");
    send(&mut site, 3);
    assert_eq!(site.refusal("select hooks.send('q', 'x')").code, FULL);
    site.run("select hooks.alter_queue('q', max_messages => 4); select hooks.send('q', 'x')");
    assert_eq!(site.refusal("select hooks.send('q', 'x')").code, FULL);
    site.run("select hooks.resume('q')");
    site.settle();
    // What it knew of the full queue holds for a moment only.
    pg_hooks_tests::wait_until("the queue to have room", pg_hooks_tests::site::SOON, || {
        site.client.batch_execute("select hooks.send('q', 'x')").is_ok()
    });
    site.run("select hooks.alter_queue('q', reset => '{limits}')");
    send(&mut site, 100);
}

#[test]
fn statement_that_goes_beyond_the_limit_stores_nothing() {
    let mut site = site(", max_messages => 10");
    let batch = "select hooks.send_batch('q', array_fill('x'::text, array[11]))";
    assert_eq!(site.refusal(batch).code, FULL);
    assert_eq!(waiting(&mut site), 0);
    let mut session = site.connect();
    run(
        &mut session,
        "select hooks.send_batch('q', array_fill('x'::text, array[10]))",
    );
}

#[test]
fn bytes_are_limited_too() {
    let mut site = site(", max_bytes => 1000");
    site.run("select hooks.send('q', repeat('x', 600)); select hooks.send('q', repeat('x', 400))");
    assert_eq!(site.refusal("select hooks.send('q', 'x')").code, FULL);
    site.run("select hooks.send('q', '')");
    site.run("delete from hooks.message where body like 'x%'");
    let mut fresh = site.connect();
    assert_eq!(
        refusal(&mut fresh, "select hooks.send('q', repeat('x', 1001))").code,
        FULL
    );
    let mut fresh = site.connect();
    run(&mut fresh, "select hooks.send('q', repeat('x', 1000)::bytea)");
}

#[test]
fn oldest_make_room_if_the_queue_says_so() {
    let mut site = site(", max_messages => 5, overflow => 'drop_oldest'");
    send(&mut site, 12);
    let kept: Vec<String> = site.column("select body from hooks.message order by id");
    assert_eq!(kept, ["body 8", "body 9", "body 10", "body 11", "body 12"]);
    assert_eq!(
        site.value::<i64>("select count(*) from hooks.message_log where state = 'cancelled'"),
        7
    );
}

#[test]
fn oldest_make_room_for_bytes() {
    let mut site = site(", max_bytes => 1000, overflow => 'drop_oldest'");
    for (letter, bytes) in [("a", 300), ("b", 300), ("c", 300), ("d", 800)] {
        site.run(&format!("select hooks.send('q', repeat('{letter}', {bytes}))"));
    }
    let kept: Vec<String> = site.column("select left(body, 1) from hooks.message order by id");
    assert_eq!(kept, ["d"]);
    // One that is larger than the queue drops no others.
    assert_eq!(
        site.refusal("select hooks.send('q', repeat('e', 1001))").code,
        FULL
    );
    assert_eq!(waiting(&mut site), 1);
}

#[test]
fn dropping_waits_for_nobody() {
    let mut site = site(", max_messages => 2, overflow => 'drop_oldest'");
    send(&mut site, 2);
    let mut locker = site.connect();
    run(&mut locker, "begin; select from hooks.message for update");
    site.run("set lock_timeout = '1s'");
    assert_eq!(site.refusal("select hooks.send('q', 'x')").code, FULL);
    run(&mut locker, "rollback");
    site.run("select hooks.send('q', 'x')");
    assert_eq!(waiting(&mut site), 2);
}

#[test]
fn messages_that_somebody_has_locked_are_passed_over_for_the_next_oldest() {
    let mut site = site(", max_messages => 5, overflow => 'drop_oldest'");
    send(&mut site, 5);
    let mut locker = site.connect();
    run(
        &mut locker,
        "begin; select from hooks.message where body in ('body 1', 'body 2') for update",
    );
    site.run("select hooks.send('q', 'new')");
    run(&mut locker, "rollback");
    let kept: Vec<String> = site.column("select body from hooks.message order by id");
    assert_eq!(kept, ["body 1", "body 2", "body 4", "body 5", "new"]);
}

#[test]
fn what_is_too_much_after_the_limit_was_lowered_makes_room_too() {
    let mut site = site(", overflow => 'drop_oldest'");
    send(&mut site, 50);
    site.run("select hooks.alter_queue('q', max_messages => 10); select hooks.send('q', 'new')");
    assert_eq!(waiting(&mut site), 10);
    site.run("select hooks.alter_queue('q', max_bytes => 20); select hooks.send('q', 'newer')");
    let kept: Vec<String> = site.column("select body from hooks.message order by id");
    assert_eq!(kept, ["body 50", "new", "newer"]);
}

#[test]
fn message_that_is_moved_to_a_full_queue_is_refused() {
    let mut site = site("");
    send(&mut site, 2);
    site.queue("small", ", active => false, max_messages => 1");
    let moved = "update hooks.message set queue_id = (select id from hooks.queue where name = 'small')";
    assert_eq!(site.refusal(moved).code, FULL);
    // That there was no room is remembered for a moment.
    let one = format!("{moved} where body = 'body 1'");
    wait_until("room for one", SOON, || site.client.batch_execute(&one).is_ok());
}

#[test]
fn letters_for_which_a_full_queue_has_no_room_stay() {
    let mut site = Site::new();
    site.receiver.on("/dying", Behaviour::status(404));
    site.queue("dying", ", max_attempts => 1");
    site.run("select hooks.send('dying', 'x' || n) from generate_series(1, 5) as n");
    site.wait_until("select count(*) = 5 from hooks.dead_letter");
    site.queue("small", ", active => false, max_messages => 3");
    let redriven: i64 = site.value("select hooks.redrive(queue => 'dying', to_queue => 'small')");
    assert_eq!(redriven, 3);
    assert_eq!(site.value::<i64>("select count(*) from hooks.dead_letter"), 2);
    assert_eq!(waiting(&mut site), 3);
}

#[test]
fn sessions_together_exceed_the_limit_by_a_hundredth_each_at_most() {
    const SESSIONS: i64 = 4;
    let mut site = site(", max_messages => 1000");
    thread::scope(|scope| {
        for _ in 0..SESSIONS {
            let mut session = site.connect();
            scope.spawn(move || {
                let mut sent = 0;
                while session.batch_execute("select hooks.send('q', 'x')").is_ok() {
                    sent += 1;
                    assert!(sent < 5000, "never refused");
                }
            });
        }
    });
    let waiting = waiting(&mut site);
    assert!((990..=1000 + SESSIONS * 10).contains(&waiting), "{waiting}");
}

#[test]
fn what_the_worker_stores_is_counted_and_not_refused() {
    let mut site = Site::new();
    site.receiver.on("/dying", Behaviour::status(404));
    site.queue("grave", ", active => false, max_messages => 1");
    site.queue("dying", ", max_attempts => 1, dead_letter_queue => 'grave'");
    site.run("select hooks.send('dying', 'x'), hooks.send('dying', 'y')");
    site.wait_until("select count(*) = 2 from hooks.message as m join hooks.queue as q on q.id = m.queue_id where q.name = 'grave'");
    let mut session = site.connect();
    assert_eq!(
        refusal(&mut session, "select hooks.send('grave', 'x')").code,
        FULL
    );
}

#[test]
fn limits_that_mean_nothing_are_refused() {
    let mut site = site("");
    for arguments in ["max_messages => 0", "max_bytes => -1", "overflow => 'explode'"] {
        let refused = site.refusal(&format!("select hooks.alter_queue('q', {arguments})"));
        assert_eq!(refused.code, "22023", "{arguments}");
        assert!(!refused.hint.is_empty(), "{arguments}");
    }
    let overflow: String = value(&mut site.client, "select overflow from hooks.queue");
    assert_eq!(overflow, "refuse");
}

//! Events that nothing tells of go after seven days; others stay.

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::site::Site;

#[test]
fn old_events_without_messages_and_dead_letters_are_removed() {
    let mut site = Site::new();
    site.receiver.on("/dead", Behaviour::status(404));
    site.queue("dead", ", max_attempts => 1");
    site.queue("waiting", ", active => false");
    site.run(
        "select hooks.subscribe('waits', 'waiting'), hooks.subscribe('dies', 'dead');
         select hooks.publish(t, '1') from unnest(array['gone', 'waits', 'dies', 'young']) as t;
         insert into hooks.event (type, payload, created_at)
         select 'gone', '1', now() - interval '8 days' from generate_series(1, 2500)",
    );
    site.wait_until("select exists (select from hooks.dead_letter)");
    site.run("update hooks.event set created_at = now() - interval '8 days' where type <> 'young'");
    // The last slice holds a young one, so the order of ids matters: the oldest have the lowest.
    site.run("update hooks.event set id = 100000 where type = 'young'");
    site.run("select pg_terminate_backend(pid) from hooks.worker");
    site.wait_until("select count(*) = 3 from hooks.event");
    let kept: Vec<String> = site.column("select type from hooks.event order by id");
    assert_eq!(kept, ["waits", "dies", "young"]);
}

#[test]
fn message_whose_event_is_gone_becomes_a_dead_letter_and_holds_nobody_up() {
    let mut site = Site::new();
    let queue = site.queue("q", "");
    site.run(&format!(
        "insert into hooks.message (queue_id, event_id) values ({queue}, 77);
         select hooks.send('q', 'next')"
    ));
    assert_eq!(site.arrival("q").text(), "next");
    site.wait_until(
        "select exists (select from hooks.dead_letter
                        where error_class = 'unreadable' and last_error = 'event 77 does not exist')",
    );
}

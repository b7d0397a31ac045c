//! What a finished message said is kept if its queue says so, so that it can be sent again.

use pg_hooks_tests::site::{Site, run};

/// Sends a row of the log again, as the comment of hooks.message_log.kept says.
const AGAIN: &str = "
    insert into hooks.message (queue_id, event_id, headers, body, body_bytes, ordering_key, envelope)
    select queue_id, event_id, headers, body, body_bytes, ordering_key, envelope
    from hooks.message_log where kept order by id";

#[test]
fn bodies_go_with_their_messages_by_default() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.send('q', 'x', headers => '{\"x-a\": \"b\"}', ordering_key => 'k')");
    site.arrival("q");
    site.settle();
    let kept: bool = site.value(
        "select kept or headers is not null or body is not null or ordering_key is not null from hooks.message_log",
    );
    assert!(!kept);
}

#[test]
fn kept_message_is_sent_again_with_the_same_bytes() {
    let mut site = Site::new();
    site.queue("q", ", keep_bodies => true");
    site.run(
        "select hooks.send('q', repeat('long ', 2000), headers => '{\"x-a\": \"b\"}', ordering_key => 'k');
         select hooks.send('q', '\\x00ff'::bytea)",
    );
    let mut first = site.arrivals("q", 2);
    site.settle();
    site.run(AGAIN);
    let mut again = site.arrivals("q", 4).split_off(2);
    first.sort_by_key(|request| request.body.len());
    again.sort_by_key(|request| request.body.len());
    for (again, before) in again.iter().zip(&first) {
        assert!(again.body == before.body);
        assert_eq!(again.header("content-type"), before.header("content-type"));
        assert_eq!(again.header("x-a"), before.header("x-a"));
    }
    assert_eq!(
        site.column::<Option<String>>("select ordering_key from hooks.message_log where id <= 2 order by id"),
        [Some("k".to_owned()), None]
    );
}

#[test]
fn kept_message_of_an_event_keeps_the_event() {
    let mut site = Site::new();
    site.queue("q", ", keep_bodies => true");
    site.run(
        "select hooks.subscribe('order.paid', 'q', envelope => 'cloudevents');
         select hooks.publish('order.paid', '{\"n\": 1}')",
    );
    let first = site.arrival("q");
    site.settle();
    site.run(
        "update hooks.event set created_at = now() - interval '8 days';
         insert into hooks.event (type, payload, created_at) values ('gone', '1', now() - interval '8 days')",
    );
    // A new leader tidies at once.
    site.run("select pg_terminate_backend(pid) from hooks.worker");
    site.wait_until("select not exists (select from hooks.event where type = 'gone')");
    assert_eq!(site.value::<i64>("select count(*) from hooks.event"), 1);
    site.run("update hooks.event set created_at = (select created_at from hooks.message_log)");
    site.run(AGAIN);
    let again = &site.arrivals("q", 2)[1];
    assert_eq!(again.header("content-type"), first.header("content-type"));
    assert_eq!(again.text(), first.text());
}

#[test]
fn expired_message_is_kept_and_a_cancelled_one_is_not() {
    let mut site = Site::new();
    site.queue("q", ", keep_bodies => true, active => false");
    site.run(
        "select hooks.send('q', 'expires', expires_at => now() + interval '200 ms');
         select hooks.send('q', 'cancelled');
         select hooks.cancel(2), pg_sleep(0.3);
         select hooks.resume('q')",
    );
    site.settle();
    assert_eq!(
        site.column::<Option<String>>("select body from hooks.message_log order by id"),
        [Some("expires".to_owned()), None]
    );
}

#[test]
fn reader_sees_the_log_but_no_kept_body() {
    let mut site = Site::new();
    let mut reader = site.connect_as_member("hooks_reader");
    run(
        &mut reader,
        "select id, state, kept, finished_at from hooks.message_log",
    );
    for column in ["headers", "body", "body_bytes", "ordering_key", "envelope"] {
        let refused =
            pg_hooks_tests::site::refusal(&mut reader, &format!("select {column} from hooks.message_log"));
        assert_eq!(refused.code, "42501", "{column}");
    }
}

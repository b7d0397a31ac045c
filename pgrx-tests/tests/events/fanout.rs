//! One event to many queues, and many subscriptions of which few match.

use pg_hooks_tests::site::Site;

#[test]
fn thousand_queues_get_one_message_each() {
    let mut site = Site::new();
    let url = site.receiver.url("/all");
    site.run(&format!(
        "insert into hooks.queue (name, url) select 'q' || n, '{url}' from generate_series(1, 1000) as n;
         insert into hooks.subscription (pattern, queue_id) select 'a.*', id from hooks.queue"
    ));
    assert_eq!(
        site.value::<i32>(r#"select messages from hooks.publish('a.b', '{"n": 1}')"#),
        1000
    );
    let arrived = site.arrivals("all", 1000);
    assert!(arrived.iter().all(|request| request.text() == r#"{"n": 1}"#));
    site.settle();
    let queues: i64 = site.value("select count(distinct queue_id) from hooks.message_log where event_id = 1");
    assert_eq!(queues, 1000);
}

#[test]
fn publish_looks_only_at_subscriptions_that_can_match() {
    let mut site = Site::new();
    let queue = site.queue("q", ", active => false");
    site.run(&format!(
        "insert into hooks.subscription (pattern, queue_id)
         select case n % 3 when 0 then 'kind' || n || '.*' when 1 then '*.event' || n else 'a.b' || n end, {queue}
         from generate_series(1, 10000) as n;
         insert into hooks.subscription (pattern, queue_id)
         select p, {queue} from unnest(array['order.created', 'order.*', '*.created', '**', 'order.**']) as p;
         analyze hooks.subscription"
    ));
    // Counted by the server itself: rows that a publish read of the table.
    let read = "select seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables
                where relid = 'hooks.subscription'::regclass";
    site.run("begin");
    assert_eq!(
        site.value::<i32>("select messages from hooks.publish('order.created', '{}')"),
        5
    );
    let rows: i64 = site.value(read);
    site.run("commit");
    assert!(rows <= 10, "{rows} subscriptions were read");
}

//! Idempotency keys: a repeat gives the first id and makes nothing, also when all come at once.

use std::sync::Barrier;

use pg_hooks_tests::site::{SOON, Site, row, value};
use pg_hooks_tests::wait_until;
use postgres::Client;

#[test]
fn repeated_send_gives_the_first_id() {
    let mut site = Site::new();
    site.queue("q", "");
    site.queue("other", "");
    let send = "select hooks.send('q', 'x', idempotency_key => 'k')";
    let first: i64 = site.value(send);
    assert_eq!(site.value::<i64>(send), first);
    let again = ["'1'::jsonb", "'x'::bytea", "'1'::json"];
    for body in again {
        let id: i64 = site.value(&format!("select hooks.send('q', {body}, idempotency_key => 'k')"));
        assert_eq!(id, first, "{body}");
    }
    assert_ne!(
        site.value::<i64>("select hooks.send('q', 'y', idempotency_key => 'k2')"),
        first
    );
    assert_ne!(
        site.value::<i64>("select hooks.send('other', 'z', idempotency_key => 'k')"),
        first
    );
    site.settle();
    assert_eq!((site.arrived("q"), site.arrived("other")), (2, 1));
    assert_eq!(site.value::<i64>(send), first, "also when it is delivered");
}

#[test]
fn repeated_publish_gives_the_first_event() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.subscribe('*', 'q')");
    let publish = "select event_id, messages from hooks.publish('a', '1', idempotency_key => 'k')";
    let mut published = || {
        let row = row(&mut site.client, publish);
        (row.get::<_, i64>(0), row.get::<_, i32>(1))
    };
    let (first, made) = published();
    assert_eq!(made, 1);
    assert_eq!(published(), (first, 0));
    assert_ne!(
        site.value::<i64>("select event_id from hooks.publish('b', '1', idempotency_key => 'k')"),
        first
    );
    site.settle();
    assert_eq!(site.arrived("q"), 2);
}

#[test]
fn key_of_a_rolled_back_transaction_is_free() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("begin; select hooks.send('q', 'lost', idempotency_key => 'k'); rollback");
    site.run("select hooks.send('q', 'sent', idempotency_key => 'k')");
    assert_eq!(site.arrival("q").text(), "sent");
}

#[test]
fn key_is_free_again_after_its_window_and_is_removed() {
    let mut site = Site::new();
    site.queue("q", "");
    let send = "select hooks.send('q', 'x', idempotency_key => 'k')";
    let first: i64 = site.value(send);
    let window: bool = site.value(
        "select expires_at - now() between interval '23:59' and interval '24:00' from hooks.idempotency_key",
    );
    assert!(window, "the default is 24 hours");
    site.run("update hooks.idempotency_key set expires_at = now()");
    let second: i64 = site.value(send);
    assert_ne!(second, first);
    assert_eq!(site.value::<i64>(send), second);
    // A new leader tidies at once; the others at each rescan.
    site.run("update hooks.idempotency_key set expires_at = now()");
    site.run("select pg_terminate_backend(pid) from hooks.worker");
    site.wait_until("select not exists (select from hooks.idempotency_key)");
}

/// What a query gives, or how it fails.
type Answer = Result<i64, String>;

fn number(client: &mut Client, query: &str) -> Answer {
    let row = client.query_one(query, &[]);
    row.map(|row| row.get(0)).map_err(|error| format!("{error:?}"))
}

#[test]
fn of_many_at_once_one_sends() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.subscribe('a', 'q')");
    let clients: Vec<_> = (0..8).map(|_| site.connect()).collect();
    let start = Barrier::new(clients.len());
    // Whoever panicked would leave the others at the barrier.
    let ids: Vec<Vec<(Answer, Answer)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                let start = &start;
                scope.spawn(move || {
                    let mut ids = Vec::new();
                    for key in 0..40 {
                        start.wait();
                        let sent = number(
                            &mut client,
                            &format!("select hooks.send('q', 'x', idempotency_key => 'k{key}')"),
                        );
                        let published = number(
                            &mut client,
                            &format!(
                                "select event_id from hooks.publish('a', '1', idempotency_key => 'k{key}')"
                            ),
                        );
                        ids.push((sent, published));
                    }
                    ids
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for of_client in &ids {
        for answer in of_client {
            assert!(answer.0.is_ok() && answer.1.is_ok(), "{answer:?}");
        }
        assert_eq!(of_client, &ids[0]);
    }
    site.settle();
    assert_eq!(site.arrived("q"), 80);
    assert_eq!(site.value::<i64>("select count(*) from hooks.event"), 40);
}

/// Whether a session waits for another one.
fn waits(site: &mut Site, pid: i32) -> bool {
    site.value(&format!("select cardinality(pg_blocking_pids({pid})) > 0"))
}

#[test]
fn second_waits_for_the_first_and_sends_if_that_rolls_back() {
    for end in ["commit", "rollback"] {
        let mut site = Site::new();
        site.queue("q", "");
        let (mut first, mut second) = (site.connect(), site.connect());
        let pid: i32 = value(&mut second, "select pg_backend_pid()");
        let send = "select hooks.send('q', 'x', idempotency_key => 'k')";
        first.batch_execute("begin").unwrap();
        let of_first: i64 = value(&mut first, send);
        let of_second = std::thread::scope(|scope| {
            // Gone with the closure, also when that fails, and its transaction with it.
            let mut first = first;
            let second = scope.spawn(|| value::<i64>(&mut second, send));
            wait_until("the second to wait", SOON, || waits(&mut site, pid));
            first.batch_execute(end).unwrap();
            second.join().unwrap()
        });
        assert_eq!(of_first == of_second, end == "commit", "{end}");
        site.settle();
        assert_eq!(site.arrived("q"), 1, "{end}");
    }
}

#[test]
fn repeatable_read_never_sends_twice() {
    let mut site = Site::new();
    site.queue("q", "");
    let mut other = site.connect();
    other
        .batch_execute("begin isolation level repeatable read; select 1 from hooks.queue")
        .unwrap();
    let send = "select hooks.send('q', 'x', idempotency_key => 'k')";
    site.run(send);
    let error = other.batch_execute(send).unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("40001"));
    site.settle();
    assert_eq!(site.arrived("q"), 1);
}

#[test]
fn batch_stores_only_bodies_whose_keys_are_new() {
    for kind in ["text", "json", "jsonb", "bytea"] {
        let mut site = Site::new();
        site.queue("q", "");
        let first: i64 = site.value("select hooks.send('q', '0', idempotency_key => 'b')");
        let ids: Vec<i64> = site.column(&format!(
            "select hooks.send_batch('q', array['1', '2', '3', '4', '5']::{kind}[],
               idempotency_keys => array['c', 'b', null, 'a', 'c'])"
        ));
        assert_eq!(
            ids,
            [2, 1, 4, 5, 2],
            "{kind}: in the order of the bodies, a key of a batch counts once"
        );
        assert_eq!(first, 1);
        site.settle();
        let mut bodies: Vec<String> = site
            .arrivals("q", 4)
            .iter()
            .map(|request| request.text().to_owned())
            .collect();
        bodies.sort();
        assert_eq!(bodies, ["0", "1", "3", "4"], "{kind}");
    }
}

#[test]
fn batch_needs_as_many_keys_as_bodies() {
    let mut site = Site::new();
    site.queue("q", "");
    let refused =
        site.refusal("select hooks.send_batch('q', array['1', '2'], idempotency_keys => array['a'])");
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        ("22023", "1 idempotency keys for 2 bodies")
    );
    assert_eq!(site.value::<i64>("select count(*) from hooks.idempotency_key"), 0);
}

/// Two batches with the same keys in opposite orders would each wait for the other.
#[test]
fn batches_with_the_same_keys_do_not_wait_for_each_other_in_a_circle() {
    let mut site = Site::new();
    site.queue("q", "");
    let batch = |n: usize| {
        let order = if n.is_multiple_of(2) { "asc" } else { "desc" };
        format!(
            "select hooks.send_batch('q', array_agg(k::text order by k {order}),
               idempotency_keys => array_agg('{}-' || k order by k {order})) from generate_series(1, 50) as k",
            n / 2
        )
    };
    let barrier = Barrier::new(2);
    let clients = [site.connect(), site.connect()];
    // Whoever panicked would leave the other one at the barrier.
    let ended: Vec<_> = std::thread::scope(|scope| {
        let threads = (0_usize..).zip(clients).map(|(half, mut client)| {
            let (barrier, batch) = (&barrier, &batch);
            scope.spawn(move || {
                let send_batch = |round: usize| {
                    barrier.wait();
                    client.batch_execute(&batch(round * 2 + half))
                };
                (0..20).map(send_batch).collect::<Vec<_>>()
            })
        });
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    for sent in ended {
        sent.unwrap_or_else(|error| panic!("{error:?}"));
    }
    site.settle();
    assert_eq!(site.arrived("q"), 20 * 50);
}

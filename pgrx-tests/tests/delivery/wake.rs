//! Every way to store a due message wakes the worker, however long it has been idle.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use pg_hooks_tests::cluster::stop_at_rest;

use crate::site::{Site, assert_within, ms, run};

/// Far less than the time between two rescans: only a wake can be so soon.
const WOKEN: Duration = ms(10_000);

/// Runs a script that makes `count` messages of queue `q` due, and asserts that they arrive because of it.
#[track_caller]
fn assert_wakes(site: &mut Site, count: usize, script: &str) {
    let before = site.arrived("q");
    let begun = Instant::now();
    site.run(script);
    site.arrivals("q", before + count);
    assert_within(script, begun.elapsed(), ms(0)..=WOKEN);
    site.wait_until("select not exists (select from hooks.message where due_at <= now())");
}

#[test]
fn second_and_hundredth_message_reach_an_idle_worker() {
    let mut site = Site::settled();
    site.queue("q", "");
    for _ in 0..100 {
        assert_wakes(&mut site, 1, "select hooks.send('q', 'x')");
    }
    let ids: BTreeSet<_> = site
        .arrivals("q", 100)
        .iter()
        .map(|request| request.message_id())
        .collect();
    assert_eq!((ids.len(), site.arrived("q")), (100, 100));
}

#[test]
fn plain_insert_sends_like_the_function() {
    let mut site = Site::settled();
    let queue = site.queue("q", "");
    let insert = "insert into hooks.message (queue_id, body";
    assert_wakes(&mut site, 1, &format!("{insert}) values ({queue}, 'text')"));
    assert_wakes(
        &mut site,
        1,
        &format!("{insert}_bytes) values ({queue}, '\\x00ff')"),
    );
    assert_wakes(
        &mut site,
        1,
        &format!("{insert}, due_at) values ({queue}, 'no time', null)"),
    );
    assert_wakes(
        &mut site,
        1,
        &format!("{insert}, due_at) values ({queue}, 'past', '2001-01-01')"),
    );
    assert_wakes(
        &mut site,
        50,
        &format!("{insert}) select {queue}, n::text from generate_series(1, 50) as n"),
    );
    assert_wakes(
        &mut site,
        1,
        &format!(
            "copy hooks.message (queue_id, headers, body) from program 'printf \"{queue}\\\\t{{}}\\\\tcopied\"'"
        ),
    );
    let arrived = site.arrivals("q", 55);
    assert_eq!(
        (arrived[0].text(), arrived[1].body.as_slice()),
        ("text", &b"\x00\xff"[..])
    );
    assert_eq!(arrived[54].text(), "copied");
}

#[test]
fn due_time_of_the_past_becomes_the_time_of_the_transaction() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    site.run(
        "begin;
         select hooks.send('q', 'a', at => '2001-01-01'), hooks.send('q', 'b', at => null);
         insert into hooks.message (queue_id, due_at) select id, '-infinity' from hooks.queue;
         do $$ begin assert (select count(*) = 3 and bool_and(due_at = now()) from hooks.message); end $$;
         commit",
    );
}

#[test]
fn update_of_the_due_time_to_now_wakes() {
    let mut site = Site::settled();
    site.queue("q", "");
    let id: i64 = site.value("select hooks.send('q', 'later', at => now() + interval '1 day')");
    site.run("select hooks.send('q', 'later still', at => now() + interval '2 days')");
    assert_wakes(
        &mut site,
        1,
        &format!("update hooks.message set due_at = now() where id = {id}"),
    );
    assert_eq!(site.arrival("q").text(), "later");
}

#[test]
fn messages_of_many_clients_all_arrive_once() {
    let site = &mut Site::settled();
    site.queue("q", "");
    let (clients, each) = (8, 50);
    thread::scope(|scope| {
        for client in 0..clients {
            let mut session = site.connect();
            scope.spawn(move || {
                for n in 0..each {
                    run(&mut session, &format!("select hooks.send('q', '{client} {n}')"));
                }
            });
        }
    });
    let arrived = site.arrivals("q", clients * each);
    let bodies: BTreeSet<_> = arrived.iter().map(|request| request.text()).collect();
    assert_eq!(bodies.len(), clients * each);
    site.wait_until("select not exists (select from hooks.message)");
    assert_eq!(site.arrived("q"), clients * each);
}

#[test]
fn one_transaction_may_send_to_hundreds_of_queues() {
    let mut site = Site::settled();
    let url = site.receiver.url("/q");
    let queues = 600;
    let create =
        format!("select hooks.create_queue('q' || n, '{url}') from generate_series(1, {queues}) as n");
    site.run(&create);
    assert_wakes(
        &mut site,
        queues,
        &format!("select hooks.send('q' || n, 'x') from generate_series(1, {queues}) as n"),
    );
}

#[test]
fn more_commits_than_the_worker_can_note_at_once_are_not_lost() {
    let mut site = Site::settled();
    let url = site.receiver.url("/q");
    let queues = 700;
    site.run(&format!(
        "select hooks.create_queue('q' || n, '{url}') from generate_series(1, {queues}) as n"
    ));
    let leader = site.leader();
    let stopped = stop_at_rest(&mut site.client, leader);
    let send: String = (1..=queues)
        .map(|n| format!("select hooks.send('q{n}', 'x'); commit;"))
        .collect();
    site.run(&send);
    drop(stopped);
    let begun = Instant::now();
    site.arrivals("q", queues);
    assert_within("all", begun.elapsed(), ms(0)..=WOKEN);
}

#[test]
fn queue_may_be_created_and_used_in_one_transaction() {
    let mut site = Site::settled();
    let url = site.receiver.url("/q");
    assert_wakes(
        &mut site,
        2,
        &format!(
            "begin; select hooks.create_queue('q', '{url}');
             select hooks.send('q', 'one'); select hooks.send('q', 'two'); commit"
        ),
    );
}

#[test]
fn send_batch_gives_ids_in_the_order_of_the_bodies() {
    let mut site = Site::settled();
    site.queue("q", "");
    for (bodies, texts) in [
        ("array['a', 'b', 'c']", ["a", "b", "c"]),
        ("array['[1]', '[2]', '[3]']::jsonb[]", ["[1]", "[2]", "[3]"]),
        ("array['x', 'y', 'z']::bytea[]", ["x", "y", "z"]),
    ] {
        site.receiver.clear();
        let ids: Vec<i64> = site.value(&format!("select array(select hooks.send_batch('q', {bodies}))"));
        let arrived = site.arrivals("q", 3);
        for (id, text) in ids.iter().zip(texts) {
            let request = arrived
                .iter()
                .find(|request| request.message_id() == Some(*id))
                .unwrap();
            assert_eq!(request.text(), text);
        }
    }
}

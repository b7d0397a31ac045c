//! Locks that users hold for longer than the worker waits for one, many times over.
//!
//! `HELD_SECONDS=60 cargo test -p pg_hooks_tests --test processes held` holds each for a minute.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pg_hooks_tests::{extent, wait_until};
use postgres::Client;

use crate::rig::{Rig, arrived, queue, send, send_many, value, wait_for_delivered, wait_for_leader};

/// The bar for what goes on after a fault.
const BAR: Duration = Duration::from_secs(10);
/// Between two messages to see that others flow.
const PAUSE: Duration = Duration::from_millis(100);

/// How long locks are held. The worker waits for a lock for 0.1 s, and comes back after 0.5 s.
fn long() -> Duration {
    Duration::from_secs(extent::of("HELD_SECONDS", 4))
}

fn delivered(client: &mut Client, ids: &[i64]) -> i64 {
    let query = "select count(*) from hooks.message_log where state = 'delivered' and id = any ($1)";
    client.query_one(query, &[&ids]).unwrap().get(0)
}

fn wait_for(client: &mut Client, what: &str, ids: &[i64]) {
    let all = i64::try_from(ids.len()).unwrap();
    wait_until(what, BAR, || {
        let count = delivered(client, ids);
        if count == all { Ok(()) } else { Err(count) }
    });
}

fn assert_sent_once(rig: &Rig, queue: &str, ids: &[i64]) {
    let mut times: BTreeMap<i64, usize> = BTreeMap::new();
    for id in arrived(&rig.receiver, queue) {
        *times.entry(id).or_default() += 1;
    }
    let expected: BTreeMap<i64, usize> = ids.iter().map(|id| (*id, 1)).collect();
    assert_eq!(times, expected, "{queue}");
}

#[test]
fn messages_that_a_user_keeps_locked_hold_up_neither_their_queue_nor_others() {
    let rig = Rig::start();
    let (name, mut client) = rig.database();
    rig.queue(&mut client, "a");
    rig.queue(&mut client, "b");
    client.batch_execute("select hooks.pause('a')").unwrap();
    let mut of_a = send_many(&mut client, "a", 20);
    let (locked, free) = of_a.split_at(10);
    let (locked, free) = (locked.to_vec(), free.to_vec());
    let mut locker = rig.cluster.connect(&name);
    let mut transaction = locker.transaction().unwrap();
    let lock = "select from hooks.message where id = any ($1) for update";
    transaction.execute(lock, &[&locked]).unwrap();
    client.batch_execute("select hooks.resume('a')").unwrap();

    let begun = Instant::now();
    wait_for(&mut client, "the other messages of the queue", &free);
    let (mut of_b, mut later) = (Vec::new(), Vec::new());
    let mut slowest = Duration::ZERO;
    while begun.elapsed() < long() {
        let sent = Instant::now();
        of_b.push(send(&mut client, "b", "meanwhile"));
        later.push(send(&mut client, "a", "meanwhile"));
        let both = [of_b[of_b.len() - 1], later[later.len() - 1]];
        wait_for(&mut client, "what is sent meanwhile", &both);
        slowest = slowest.max(sent.elapsed());
        std::thread::sleep(PAUSE);
    }
    assert_eq!(delivered(&mut client, &locked), 0, "their rows are locked");
    transaction.commit().unwrap();
    let released = Instant::now();
    wait_for(&mut client, "those that were locked", &locked);
    println!(
        "held for {:?}: {} of others meanwhile, each within {slowest:?}; those that were locked after {:?}",
        long(),
        of_b.len() + later.len(),
        released.elapsed()
    );
    of_a.extend(later);
    assert_sent_once(&rig, "a", &of_a);
    assert_sent_once(&rig, "b", &of_b);
}

/// Keeps tables while users send, and counts what comes once they are free. Another database is served meanwhile.
fn keep(tables: &str) {
    let rig = Rig::start();
    let (name, mut client) = rig.database();
    let (_, mut other) = rig.database();
    rig.queue(&mut client, "a");
    rig.queue(&mut other, "other");
    let leading = wait_for_leader(&mut client);
    let tables: Vec<String> = value(&mut client, tables);
    assert!(!tables.is_empty());
    let before = send_many(&mut client, "a", 5);
    wait_for(&mut client, "what came before", &before);
    let mut locker = rig.cluster.connect(&name);
    let mut transaction = locker.transaction().unwrap();
    let lock = format!("lock table {} in access exclusive mode", tables.join(", "));
    transaction.batch_execute(&lock).unwrap();
    let mut user = rig.cluster.connect(&name);
    // It may have to wait as well.
    let sending = std::thread::spawn(move || send_many(&mut user, "a", 50));
    let begun = Instant::now();
    let (mut of_other, mut slowest) = (Vec::new(), Duration::ZERO);
    while begun.elapsed() < long() {
        let sent = Instant::now();
        let id = send(&mut other, "other", "meanwhile");
        wait_for(&mut other, "what another database sends meanwhile", &[id]);
        slowest = slowest.max(sent.elapsed());
        of_other.push(id);
        std::thread::sleep(PAUSE);
    }
    transaction.commit().unwrap();
    let released = Instant::now();
    let meanwhile = sending.join().unwrap();
    wait_for(&mut client, "what was sent meanwhile", &meanwhile);
    let caught_up = released.elapsed();
    // The queues, and who may send to them, are read again as well.
    queue(&mut client, "after", &rig.receiver.url("/after"));
    let after = send(&mut client, "after", "after");
    wait_for(&mut client, "what is sent afterwards", &[after]);
    assert!(released.elapsed() < BAR, "{:?}", released.elapsed());
    assert_sent_once(&rig, "a", &[before, meanwhile].concat());
    assert_sent_once(&rig, "other", &of_other);
    assert_eq!(wait_for_leader(&mut client), leading);
    wait_for_delivered(&mut client, 56);
    println!(
        "{} held for {:?}: {} of another database meanwhile, each within {slowest:?}; what was sent meanwhile after \
         {caught_up:?}",
        tables.join(", "),
        long(),
        of_other.len()
    );
}

#[test]
fn table_of_messages_that_a_user_keeps_locked_is_caught_up_with() {
    keep("select array['hooks.message']");
}

#[test]
fn table_of_queues_that_a_user_keeps_locked_is_caught_up_with() {
    keep("select array['hooks.queue']");
}

#[test]
fn days_of_the_history_that_a_user_keeps_locked_are_caught_up_with() {
    keep(
        "select array_agg(i.inhrelid::regclass::text) from pg_inherits as i
         where i.inhparent in ('hooks.attempt'::regclass, 'hooks.message_log'::regclass)",
    );
}

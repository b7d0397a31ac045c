//! Order under load: many writers, a receiver that is slow and fails at random.

use std::collections::HashMap;
use std::time::Duration;

use pg_hooks_tests::receiver::Received;
use pg_hooks_tests::{Behaviour, wait_until};
use postgres::Client;

use super::assert_in_order;
use crate::site::{Site, ms, run};

const KEYS: u64 = 12;
const WRITERS: u64 = 4;
const MESSAGES_OF_A_WRITER: u64 = 250;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// One in six requests fails, in one way or another; a third of the others takes a while.
fn whims() -> Behaviour {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let script = (0..10_000).map(|_| match dice.below(18) {
        0 => Behaviour::Reset,
        1 => Behaviour::After(ms(dice.below(20)), Box::new(Behaviour::status(500))),
        2 => Behaviour::status(500),
        3..8 => Behaviour::slow(ms(dice.below(20))),
        _ => Behaviour::status(200),
    });
    Behaviour::Script(script.collect())
}

/// Sends messages of random keys, each in a transaction that is alone with its key.
fn write(client: &mut Client, writer: u64) {
    let mut dice = Dice(writer + 1);
    for _ in 0..MESSAGES_OF_A_WRITER {
        let key = dice.below(KEYS);
        run(
            client,
            &format!(
                "begin;
                 select pg_advisory_xact_lock({key});
                 select hooks.send('q', 'key {key}', ordering_key => 'key {key}');
                 select hooks.send('q', 'unkeyed');
                 commit"
            ),
        );
    }
}

#[test]
fn each_key_keeps_its_order_under_load_with_delays_failures_and_retries() {
    let mut site = Site::settled();
    site.receiver.on("/q", whims());
    site.queue(
        "q",
        ", max_attempts => 100, retry_schedule => array['20 ms']::interval[]",
    );
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let mut client = site.connect();
            scope.spawn(move || write(&mut client, writer));
        }
    });
    wait_until("the table to be empty", Duration::from_secs(60), || {
        match site.value::<i64>("select count(*) from hooks.message") {
            0 => Ok(()),
            left => Err(format!("{left} messages left")),
        }
    });
    let total = (2 * WRITERS * MESSAGES_OF_A_WRITER) as i64;
    let delivered = "select count(*) from hooks.message_log where state = 'delivered'";
    assert_eq!(site.value::<i64>(delivered), total);
    let mut requests = site.receiver.requests("/q");
    requests.retain(|request| request.text() != "unkeyed");
    assert_in_order(&requests, Received::text);
    assert_never_two_at_once(&mut site, &requests);
}

/// Asserts that no attempt of a key began before the one before it had ended.
fn assert_never_two_at_once(site: &mut Site, requests: &[Received]) {
    let keys: HashMap<i64, &str> = requests
        .iter()
        .map(|request| (request.message_id().unwrap(), request.text()))
        .collect();
    let attempts = "select message_id, attempted_at, attempted_at + duration_ms * interval '1 ms', attempt
                    from hooks.attempt order by attempted_at, attempt";
    let mut ends = HashMap::new();
    let mut retries = 0;
    for row in site.client.query(attempts, &[]).unwrap() {
        let id: i64 = row.get(0);
        let Some(key) = keys.get(&id) else { continue };
        let (began, ended): (std::time::SystemTime, std::time::SystemTime) = (row.get(1), row.get(2));
        if let Some((before, end)) = ends.insert(key, (id, ended)) {
            assert!(
                began >= end,
                "messages {before} and {id} of {key} were on the wire together"
            );
        }
        retries += usize::from(row.get::<_, i32>(3) > 1);
    }
    assert!(retries > 50, "only {retries} retries");
}

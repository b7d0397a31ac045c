//! Order within a key when the leader ends in the middle, in whatever way.

use std::collections::HashMap;
use std::time::Duration;

use pg_hooks_tests::{Behaviour, Receiver, wait_until};

use crate::rig::{Rig, SOON, value, wait_for_leader, wait_for_successor};

const MESSAGES: i64 = 3_000;
const KEYS: i64 = 10;

/// Asserts that no message of a key came before one of a lower id was done with.
fn assert_in_order(receiver: &Receiver) {
    let mut last: HashMap<String, i64> = HashMap::new();
    for request in receiver.requests("/q") {
        let id = request.message_id().unwrap();
        let before = last.insert(request.text().to_owned(), id).unwrap_or(id);
        assert!(
            id >= before,
            "message {id} of {} came after {before}",
            request.text()
        );
    }
}

#[test]
fn order_of_a_key_outlives_crashes_and_orderly_ends_of_the_leader() {
    let rig = Rig::start();
    let (database, mut client) = rig.database();
    rig.queue(&mut client, "q");
    let moody = Behaviour::OneIn(7, Box::new(Behaviour::status(500)));
    rig.receiver.on("/q", moody);
    let send = format!(
        "select hooks.send('q', 'key ' || n % {KEYS}, ordering_key => 'key ' || n % {KEYS})
         from generate_series(1, {MESSAGES}) as n"
    );
    client.batch_execute(&send).unwrap();
    for round in 1..=4 {
        rig.receiver.wait_for("/q", round * 400, SOON);
        let leader = wait_for_leader(&mut client);
        if round % 2 == 0 {
            client = rig.crash(leader, &mut client, &database);
        } else {
            let end = format!("select pg_terminate_backend({leader})");
            client.batch_execute(&end).unwrap();
            wait_for_successor(&mut client, leader);
        }
        let left: i64 = value(&mut client, "select count(*) from hooks.message");
        assert!(left > 100, "only {left} messages left in round {round}");
    }
    wait_until("every message to be delivered", 3 * SOON, || {
        std::thread::sleep(Duration::from_millis(20));
        let query = "select count(*) from hooks.message_log where state = 'delivered'";
        let delivered: i64 = value(&mut client, query);
        if delivered == MESSAGES {
            Ok(())
        } else {
            Err(delivered)
        }
    });
    assert_in_order(&rig.receiver);
}

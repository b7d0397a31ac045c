//! After an unclean end: a message that kills the worker is found, and the others are spared.

use std::time::Duration;

use pg_hooks_tests::cluster::{Signal, signal};
use pg_hooks_tests::{Behaviour, wait_until};
use postgres::Client;

use crate::rig::{
    Rig, SOON, leader, send, send_many, value, wait_for_delivered, wait_for_leader, wait_for_successor,
};

fn deaths(client: &mut Client, queue: &str) -> Vec<i16> {
    let query = "select m.deaths from hooks.message as m join hooks.queue as q on q.id = m.queue_id \
                 where q.name = $1 order by m.id";
    let rows = client.query(query, &[&queue]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn death_is_counted_for_what_was_due_until_its_result_is_recorded() {
    let rig = Rig::start();
    let (database, mut client) = rig.database();
    for queue in ["due", "later"] {
        rig.queue(&mut client, queue);
        rig.hang(queue);
    }
    send_many(&mut client, "due", 5);
    rig.receiver.wait_for("/due", 5, SOON);
    let nothing_is_claimed_in_normal_running = [0; 5];
    assert_eq!(deaths(&mut client, "due"), nothing_is_claimed_in_normal_running);

    let leading = wait_for_leader(&mut client);
    let mut client = rig.crash(leading, &mut client, &database);
    rig.receiver.wait_for("/due", 10, SOON);
    send_many(&mut client, "later", 5);
    rig.receiver.wait_for("/later", 5, SOON);
    assert_eq!(deaths(&mut client, "due"), [1; 5]);
    assert_eq!(
        deaths(&mut client, "later"),
        [0; 5],
        "stored after the unclean end"
    );

    rig.receiver.release("/due");
    rig.receiver.release("/later");
    wait_for_delivered(&mut client, 10);
    assert_eq!(value::<i64>(&mut client, "select count(*) from hooks.message"), 0);
    assert_eq!(
        value::<i64>(&mut client, "select count(*) from hooks.dead_letter"),
        0
    );
}

#[test]
fn retry_takes_the_death_back() {
    let rig = Rig::start();
    let (database, mut client) = rig.database();
    rig.queue(&mut client, "q");
    rig.receiver.on(
        "/q",
        Behaviour::Script(vec![Behaviour::Hang, Behaviour::status(503), Behaviour::Hang]),
    );
    send(&mut client, "q", "hello");
    rig.receiver.wait_for("/q", 1, SOON);
    let leading = wait_for_leader(&mut client);
    let mut client = rig.crash(leading, &mut client, &database);
    // Sent with its death counted, refused, and sent again.
    let requests = rig.receiver.wait_for("/q", 3, SOON);
    let attempts: Vec<_> = requests.iter().map(|request| request.attempt()).collect();
    assert_eq!(attempts, [Some(1), Some(1), Some(2)]);
    assert_eq!(deaths(&mut client, "q"), [0]);
}

#[test]
fn message_that_kills_the_worker_is_buried_and_innocent_ones_are_delivered() {
    let rig = Rig::start();
    let (database, mut client) = rig.database();
    rig.queue(&mut client, "poison");
    rig.queue(&mut client, "good");
    rig.hang("poison");
    rig.receiver
        .on("/good", Behaviour::slow(Duration::from_millis(200)));
    client
        .batch_execute(
            "begin; select hooks.send('good', 'body') from generate_series(1, 5); \
             select hooks.send('poison', 'body'); commit",
        )
        .unwrap();
    let buried = "select error_class from hooks.dead_letter as d join hooks.queue as q on q.id = d.queue_id \
                  where q.name = 'poison'";
    let mut kills = 0;
    let error_class = loop {
        let next = wait_until("the poison to arrive or to be buried", SOON, || {
            let dead = client
                .query(buried, &[])
                .unwrap()
                .first()
                .map(|row| row.get::<_, String>(0));
            dead.map(Ok)
                .or((rig.receiver.requests("/poison").len() > kills).then_some(Err(())))
        });
        match next {
            Ok(error_class) => break error_class,
            Err(()) => {
                kills += 1;
                assert!(kills <= 3, "the worker dies of it again and again");
                let leading = wait_for_leader(&mut client);
                client = rig.crash(leading, &mut client, &database);
            }
        }
    };
    assert_eq!(error_class, "worker_died");
    assert_eq!(kills, 3);
    wait_for_delivered(&mut client, 5);
    assert_eq!(
        value::<i64>(&mut client, "select count(*) from hooks.dead_letter"),
        1
    );
    assert_eq!(value::<i64>(&mut client, "select count(*) from hooks.message"), 0);
}

#[test]
fn end_in_order_is_no_death() {
    let rig = Rig::start();
    let (database, mut client) = rig.database();
    rig.queue(&mut client, "q");
    rig.hang("q");
    send(&mut client, "q", "slow, but harmless");
    rig.receiver.wait_for("/q", 1, SOON);
    let leading = wait_for_leader(&mut client);
    let mut client = rig.crash(leading, &mut client, &database);
    rig.receiver.wait_for("/q", 2, SOON);
    assert_eq!(deaths(&mut client, "q"), [1]);
    let leading = wait_for_leader(&mut client);
    assert!(signal(leading, Signal::TERM));
    wait_for_successor(&mut client, leading);
    rig.receiver.wait_for("/q", 3, SOON);
    assert_eq!(deaths(&mut client, "q"), [0], "it was not the message's fault");
    assert!(leader(&mut client).is_some());
}

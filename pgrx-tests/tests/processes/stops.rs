//! The server stops while requests hang, and starts again.

use std::time::Duration;

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::cluster::StopMode;

use crate::rig::{Rig, SOON, arrived, send_many, value, wait_for_delivered};

/// What has arrived when the server stops: 20 messages that are recorded as delivered, and 64 that hang.
struct Before {
    rig: Rig,
    database: String,
    hung: Vec<i64>,
    /// Delivered before the queue could have 64 that hang.
    earlier: i64,
}

fn hang_64() -> Before {
    let rig = Rig::start();
    let (database, mut client) = rig.database();
    rig.queue(&mut client, "good");
    rig.queue(&mut client, "hung");
    let earlier = rig.earn_slots(&mut client, "hung", 64);
    rig.hang("hung");
    send_many(&mut client, "good", 20);
    wait_for_delivered(&mut client, earlier + 20);
    let hung = send_many(&mut client, "hung", 64);
    rig.receiver.wait_for("/hung", 64, SOON);
    Before {
        rig,
        database,
        hung,
        earlier,
    }
}

/// The receiver has recovered: what hung arrives again under its old id, and what was accepted does not.
fn start_and_expect_the_rest(before: &Before) {
    let rig = &before.rig;
    rig.receiver.on("/hung", Behaviour::status(200));
    rig.cluster.start().unwrap();
    let mut client = rig.cluster.connect(&before.database);
    wait_for_delivered(&mut client, before.earlier + 84);
    assert_eq!(value::<i64>(&mut client, "select count(*) from hooks.message"), 0);

    assert_eq!(
        arrived(&rig.receiver, "good").len(),
        20,
        "accepted ones are not sent again"
    );
    let requests = rig.receiver.requests("/hung");
    let ids = |part: &[pg_hooks_tests::receiver::Received]| {
        let mut ids: Vec<_> = part
            .iter()
            .map(|request| {
                (
                    request.message_id().unwrap(),
                    request.webhook_id().unwrap().to_owned(),
                )
            })
            .collect();
        ids.sort();
        ids
    };
    let (first, again) = (ids(&requests[..64]), ids(&requests[64..]));
    assert_eq!(first, again, "each once more, under its old id");
    assert!(first.iter().map(|(id, _)| *id).eq(before.hung.iter().copied()));
}

fn stop_and_start(mode: StopMode) {
    let before = hang_64();
    let took = before.rig.cluster.stop(mode);
    println!("{mode:?} stop with 64 hanging requests took {took:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    start_and_expect_the_rest(&before);
}

#[test]
fn smart_stop_does_not_wait_for_hanging_requests() {
    stop_and_start(StopMode::Smart);
}

#[test]
fn fast_stop_does_not_wait_for_hanging_requests() {
    stop_and_start(StopMode::Fast);
}

#[test]
fn immediate_stop_does_not_wait_for_hanging_requests() {
    stop_and_start(StopMode::Immediate);
}

#[test]
fn killed_postmaster_takes_its_workers_along_and_the_next_one_sends_the_rest() {
    let before = hang_64();
    before.rig.cluster.kill9_postmaster();
    start_and_expect_the_rest(&before);
}

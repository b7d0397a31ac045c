//! Promotions, one after the other, while messages are sent.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use pg_hooks_tests::cluster::StopMode;
use pg_hooks_tests::site::run;
use pg_hooks_tests::{Behaviour, Receiver, wait_until};
use postgres::Client;

use crate::pair::{DATABASE, Pair, SOON};

/// A message sent after a promotion is to arrive within this time of it.
const FIRST_SEND: Duration = Duration::from_secs(10);
/// How long messages are sent before and after each promotion.
const TRAFFIC: Duration = Duration::from_millis(400);

fn rounds() -> usize {
    std::env::var("PROMOTIONS").map_or(3, |rounds| rounds.parse().expect("PROMOTIONS is a number"))
}

/// Sends messages, one in each transaction, until told to end or the server does; gives those acknowledged.
fn send(client: &mut Client, prefix: &str, ended: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        let body = format!("{prefix}-{}", acknowledged.len());
        if client
            .execute("select hooks.send('q', $1::text)", &[&body])
            .is_err()
        {
            break;
        }
        acknowledged.push(body);
    }
    acknowledged
}

#[test]
fn nothing_acknowledged_is_lost_and_standbys_send_nothing_however_often_one_is_promoted() {
    let receiver = Receiver::start();
    let mut pair = Pair::start();
    run(
        &mut pair.primary.connect(DATABASE),
        &format!(
            "select hooks.create_queue('q', '{}', min_backoff => '100 ms', max_backoff => '1 s', max_attempts => 100)",
            receiver.url("/q")
        ),
    );
    let mut acknowledged: Vec<String> = Vec::new();
    let mut slowest = Duration::ZERO;
    for round in 0..rounds() {
        // Some answers are still on the way when the primary ends.
        receiver.on("/q", Behaviour::slow(Duration::from_millis(20)));
        let mut client = pair.primary.connect(DATABASE);
        let ended = AtomicBool::new(false);
        let how = if round % 2 == 0 {
            StopMode::Immediate
        } else {
            StopMode::Fast
        };
        let (sent, (promoted, told)) = thread::scope(|scope| {
            let writer = scope.spawn(|| send(&mut client, &format!("before-{round}"), &ended));
            thread::sleep(TRAFFIC);
            assert_eq!(pair.workers_of_standby(), 0, "a standby has none, rewound or not");
            let promoted = pair.fail_over(how);
            ended.store(true, Ordering::Relaxed);
            (writer.join().unwrap(), promoted)
        });
        pair = promoted;
        assert!(!sent.is_empty(), "nothing was sent in round {round}");
        acknowledged.extend(sent);

        let mark = format!("after-{round}");
        let mut client = pair.primary.connect(DATABASE);
        client
            .execute("select hooks.send('q', $1::text)", &[&mark])
            .unwrap();
        wait_until("the first message of the promoted server", FIRST_SEND, || {
            receiver
                .requests("/q")
                .iter()
                .any(|request| request.text() == mark)
        });
        slowest = slowest.max(told.elapsed());
        acknowledged.push(mark);
        pair.rejoin();
    }
    receiver.on("/q", Behaviour::status(200));
    let missing = || -> Vec<String> {
        let arrived: HashSet<String> = receiver
            .requests("/q")
            .iter()
            .map(|request| request.text().to_owned())
            .collect();
        acknowledged
            .iter()
            .filter(|body| !arrived.contains(*body))
            .cloned()
            .collect()
    };
    wait_until("all that was acknowledged", SOON, || match missing() {
        missing if missing.is_empty() => Ok(()),
        missing => Err(format!("{} missing, such as {}", missing.len(), missing[0])),
    });
    println!(
        "{} promotions: {} acknowledged, {} requests, 0 lost, first send after {slowest:?} at most",
        rounds(),
        acknowledged.len(),
        receiver.requests("/q").len()
    );
}

//! Promotions, one after the other, while messages are sent.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pg_hooks_tests::cluster::StopMode;
use pg_hooks_tests::meanwhile::StopAtEnd;
use pg_hooks_tests::receiver::Received;
use pg_hooks_tests::site::run;
use pg_hooks_tests::{Behaviour, Receiver, extent, wait_until};
use postgres::Client;

use crate::pair::{DATABASE, Pair, SOON};

/// From a promotion to the first send of the new primary, of what is new and of what waited.
const FIRST_SEND: Duration = Duration::from_secs(10);
/// How long messages are sent before and after each promotion.
const TRAFFIC: Duration = Duration::from_millis(400);
/// What is on the wire has so long to be answered when the leader ends in order, or else is sent again.
const LAST_ATTEMPTS: Duration = Duration::from_secs(1);

fn rounds() -> usize {
    extent::of("PROMOTIONS", 3)
}

/// What became known of the messages of all rounds, and how soon promoted servers sent.
#[derive(Default)]
struct Known {
    /// Bodies of messages whose commit was acknowledged.
    acknowledged: Vec<String>,
    /// Messages that a primary showed as delivered, by their ids, and when it first did.
    delivered: HashMap<i64, Instant>,
    /// Bodies of messages that a server ended in order with, having recorded each answer.
    in_order: Vec<String>,
    slowest_new: Duration,
    slowest_old: Duration,
}

/// Sends messages, one in each transaction, until told to end or the server does; gives those acknowledged.
fn send(client: &mut Client, prefix: &str, ended: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        let body = format!("{prefix}-{}", acknowledged.len());
        if try_send(client, "q", &body).is_err() {
            break;
        }
        acknowledged.push(body);
    }
    acknowledged
}

fn try_send(client: &mut Client, queue: &str, body: &str) -> Result<u64, postgres::Error> {
    client.execute("select hooks.send($1, $2::text)", &[&queue, &body])
}

fn make_queues(client: &mut Client, receiver: &Receiver) {
    for queue in ["q", "new", "old"] {
        let url = receiver.url(&format!("/{queue}"));
        run(
            client,
            &format!(
                "select hooks.create_queue('{queue}', '{url}', min_backoff => '100 ms', max_backoff => '1 s',
                                           max_attempts => 100, breaker_threshold => null)"
            ),
        );
    }
}

/// Messages under way, of which some are on the wire and one is refused again and again, when the primary ends.
fn end_under_load(pair: &Pair, receiver: &Receiver, round: usize, how: StopMode, known: &mut Known) {
    receiver.on("/q", Behaviour::slow(Duration::from_millis(20)));
    receiver.on("/old", Behaviour::status(503));
    let mut client = pair.primary.connect(DATABASE);
    let old = format!("old-{round}");
    try_send(&mut client, "old", &old).unwrap();
    first(receiver, "/old", &old, None);
    let mut observer = pair.primary.connect(DATABASE);
    let ended = AtomicBool::new(false);
    let (sent, took) = thread::scope(|scope| {
        let writer = scope.spawn(|| send(&mut client, &format!("before-{round}"), &ended));
        let writing = StopAtEnd(&ended);
        // The one before it was acknowledged by then.
        first(receiver, "/q", &format!("before-{round}-1"), None);
        thread::sleep(TRAFFIC);
        assert_eq!(pair.workers_of_standby(), 0, "a standby has none, rewound or not");
        note_delivered(&mut observer, &mut known.delivered);
        let took = pair.stop_primary(how);
        drop(writing);
        (writer.join().unwrap(), took)
    });
    assert!(!sent.is_empty(), "nothing was sent in round {round}");
    // Had an answer been missing, the leader would have waited for it so long.
    if how == StopMode::Fast && took < LAST_ATTEMPTS {
        known.in_order.extend(sent.iter().cloned());
    }
    known.acknowledged.extend(sent);
    known.acknowledged.push(old);
}

/// What can be seen is on the standby too.
fn note_delivered(client: &mut Client, delivered: &mut HashMap<i64, Instant>) {
    let query = "select id from hooks.message_log where state = 'delivered'";
    let rows = client.query(query, &[]).unwrap();
    let now = Instant::now();
    for row in rows {
        delivered.entry(row.get(0)).or_insert(now);
    }
}

/// The first request with this body, after this moment if one is given.
fn first(receiver: &Receiver, path: &str, body: &str, after: Option<Instant>) -> Received {
    let is_meant =
        |request: &Received| request.text() == body && after.is_none_or(|after| request.arrived.at > after);
    wait_until(format_args!("{body} at {path}"), SOON, || {
        receiver.requests(path).into_iter().find(is_meant)
    })
}

/// How long after the promotion this message arrived.
#[track_caller]
fn first_send(receiver: &Receiver, path: &str, body: &str, told: Instant) -> Duration {
    let took = first(receiver, path, body, Some(told)).arrived.at - told;
    assert!(took < FIRST_SEND, "{body} arrived {took:?} after the promotion");
    took
}

fn assert_all_arrive(receiver: &Receiver, known: &Known) {
    wait_until("all that was acknowledged", SOON, || {
        let requests = receiver.all_requests();
        let arrived: HashSet<&str> = requests.iter().map(Received::text).collect();
        let missing = known
            .acknowledged
            .iter()
            .filter(|body| !arrived.contains(body.as_str()));
        match missing.clone().next() {
            None => Ok(()),
            Some(body) => Err(format!("{} missing, such as {body}", missing.count())),
        }
    });
}

/// Asserts that nothing arrived again of which a server knew that it had arrived.
fn assert_no_repeats(receiver: &Receiver, known: &Known) {
    let requests = receiver.all_requests();
    let was_delivered = |request: &&Received| {
        let seen = known.delivered.get(&request.message_id().unwrap());
        seen.is_some_and(|seen| request.arrived.at > *seen)
    };
    let again: Vec<&str> = requests
        .iter()
        .filter(was_delivered)
        .map(Received::text)
        .collect();
    assert_eq!(again, [""; 0], "shown as delivered, and sent again");
    let mut times: HashMap<&str, usize> = HashMap::new();
    for request in &requests {
        *times.entry(request.text()).or_default() += 1;
    }
    let repeated = known.in_order.iter().filter(|body| times[body.as_str()] > 1);
    let repeated: Vec<&String> = repeated.collect();
    assert_eq!(repeated, [""; 0], "sent again after an orderly end");
}

#[test]
fn nothing_acknowledged_is_lost_and_standbys_send_nothing_however_often_one_is_promoted() {
    let receiver = Receiver::start();
    let mut pair = Pair::start();
    make_queues(&mut pair.primary.connect(DATABASE), &receiver);
    let mut known = Known::default();
    for round in 0..rounds() {
        let how = if round % 2 == 0 {
            StopMode::Fast
        } else {
            StopMode::Immediate
        };
        end_under_load(&pair, &receiver, round, how, &mut known);
        receiver.on("/old", Behaviour::status(200));
        let told;
        (pair, told) = pair.promote();
        let new = format!("new-{round}");
        try_send(&mut pair.primary.connect(DATABASE), "new", &new).unwrap();
        let took = first_send(&receiver, "/new", &new, told);
        known.slowest_new = known.slowest_new.max(took);
        let took = first_send(&receiver, "/old", &format!("old-{round}"), told);
        known.slowest_old = known.slowest_old.max(took);
        known.acknowledged.push(new);
        pair.rejoin();
    }
    receiver.on("/q", Behaviour::status(200));
    assert_all_arrive(&receiver, &known);
    assert_no_repeats(&receiver, &known);
    println!(
        "{} promotions: {} acknowledged, 0 lost, {} requests, 0 of {} shown as delivered and of {} before an orderly \
         end sent again, first send after {:?} at most, of what waited after {:?}",
        rounds(),
        known.acknowledged.len(),
        receiver.count(),
        known.delivered.len(),
        known.in_order.len(),
        known.slowest_new,
        known.slowest_old
    );
}

//! Connections that are kept, and those that turn out to be gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::receiver::Receiver;
use super::{attempt_with, eventually, finished, job, pool, queue};
use crate::domain::message::Body;
use crate::domain::outcome::Outcome;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A receiver that counts its connections.
fn counting(
    serve: impl Fn(&mut super::receiver::Peer) + Send + Sync + 'static,
) -> (Receiver, Arc<AtomicUsize>) {
    let connections = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&connections);
    let receiver = Receiver::new(move |peer| {
        count.fetch_add(1, Ordering::SeqCst);
        serve(peer);
    });
    (receiver, connections)
}

#[test]
fn one_connection_serves_many_attempts() {
    // Longer than what is kept, and shorter than what is drained.
    let answer = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n".as_slice(),
        &[b'x'; 50_000],
    ]
    .concat();
    let (receiver, connections) =
        counting(move |peer| while peer.request().is_some() && peer.send(&answer) {});
    let pool = pool();
    for _ in 0..20 {
        let attempt = attempt_with(&pool, queue(&receiver.url()), Body::Empty);
        assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[test]
fn connection_that_was_closed_while_idle_is_not_used() {
    let closed = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&closed);
    let (receiver, connections) = counting(move |peer| {
        peer.request();
        peer.send(OK);
        let _ = peer.stream.shutdown(std::net::Shutdown::Both);
        count.fetch_add(1, Ordering::SeqCst);
    });
    let pool = pool();
    for round in 1..=5 {
        let attempt = attempt_with(&pool, queue(&receiver.url()), Body::Empty);
        assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
        eventually("connection closed", || closed.load(Ordering::SeqCst) == round);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 5);
    assert_eq!(receiver.requests().len(), 5);
}

/// Answers the first request on each connection and ends the connection on the second by `end`.
fn ending(end: impl Fn(&mut super::receiver::Peer) + Send + Sync + 'static) -> (Receiver, Arc<AtomicUsize>) {
    counting(move |peer| {
        peer.request();
        peer.send(OK);
        end(peer);
    })
}

/// Two attempts, of which the second may get the connection of the first.
fn second_of_two(receiver: &Receiver, body: Body) -> Outcome {
    let pool = pool();
    let first = attempt_with(&pool, queue(&receiver.url()), Body::Empty);
    assert_eq!(first.outcome, Outcome::Accepted { status: 200 });
    attempt_with(&pool, queue(&receiver.url()), body).outcome
}

fn is_lost(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::ConnectionLost { .. })
}

#[test]
fn connection_closed_before_the_request_arrives_costs_no_attempt() {
    let (receiver, connections) = ending(super::receiver::Peer::miss);
    for body in [
        Body::Empty,
        Body::Text(b"{}".to_vec()),
        Body::Binary(vec![0; 3_000_000]),
    ] {
        let second = second_of_two(&receiver, body);
        assert_eq!(second, Outcome::Accepted { status: 200 });
    }
    assert_eq!(connections.load(Ordering::SeqCst), 6);
}

#[test]
fn connection_closed_by_a_receiver_that_has_the_request_costs_an_attempt() {
    let (receiver, connections) = ending(|peer| {
        peer.request();
    });
    let second = second_of_two(&receiver, Body::Text(b"{}".to_vec()));
    assert!(is_lost(&second), "{second:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    assert_eq!(receiver.requests().len(), 2);
}

#[test]
fn connection_reset_within_the_request_costs_no_attempt() {
    let (receiver, connections) = ending(|peer| peer.reset());
    let second = second_of_two(&receiver, Body::Binary(vec![0; 30_000_000]));
    assert_eq!(second, Outcome::Accepted { status: 200 });
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[test]
fn connection_reset_after_the_request_costs_an_attempt() {
    // Whether it was read does not show.
    let (receiver, connections) = ending(|peer| peer.reset());
    let second = second_of_two(&receiver, Body::Text(b"{}".to_vec()));
    assert!(is_lost(&second), "{second:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[test]
fn second_try_does_not_meet_another_closed_connection() {
    let requests = Arc::<AtomicUsize>::default();
    let (receiver, connections) = counting(move |peer| {
        peer.request();
        let count = requests.fetch_add(1, Ordering::SeqCst) + 1;
        // The first two wait for each other, so that there are two connections to be kept.
        eventually("second request", || {
            count > 2 || requests.load(Ordering::SeqCst) >= 2
        });
        peer.send(OK);
        peer.miss();
    });
    let pool = pool();
    let queue = Arc::new(queue(&receiver.url()));
    pool.submit(job(&queue, 1));
    pool.submit(job(&queue, 2));
    finished(&pool, 2);
    pool.submit(job(&queue, 3));
    assert_eq!(
        finished(&pool, 1).remove(0).outcome,
        Outcome::Accepted { status: 200 }
    );
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[test]
fn attempt_is_made_once_more_and_no_more_often() {
    // Every connection but the first ends with its first request.
    let (receiver, connections) = counting(|peer| {
        if peer.number == 0 {
            peer.request();
            peer.send(OK);
        }
        peer.miss();
    });
    let second = second_of_two(&receiver, Body::Empty);
    assert!(is_lost(&second), "{second:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[test]
fn connection_lost_within_an_answer_is_not_tried_again() {
    let (receiver, connections) = ending(|peer| {
        peer.reset();
        peer.send(b"HTTP/1.1 200 OK\r\nX-Half");
        peer.miss();
    });
    let second = second_of_two(&receiver, Body::Empty);
    assert!(is_lost(&second), "{second:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[test]
fn new_connection_that_ends_before_the_request_arrives_costs_an_attempt() {
    let (receiver, connections) = counting(super::receiver::Peer::miss);
    let attempt = attempt_with(&pool(), queue(&receiver.url()), Body::Empty);
    assert!(is_lost(&attempt.outcome), "{:?}", attempt.outcome);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[test]
fn connection_with_unasked_bytes_is_not_used_again() {
    let (receiver, connections) = counting(|peer| {
        peer.request();
        peer.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        );
        peer.hang();
    });
    let pool = pool();
    for _ in 0..3 {
        assert_eq!(
            attempt_with(&pool, queue(&receiver.url()), Body::Empty)
                .response
                .body,
            b"ok"
        );
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[test]
fn answer_that_nobody_asked_for_is_not_taken_for_the_next_one() {
    let sent = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&sent);
    let (receiver, connections) = counting(move |peer| {
        peer.request();
        peer.send(OK);
        // Once the sender has laid the connection aside, or would have.
        std::thread::sleep(std::time::Duration::from_millis(50));
        peer.send(b"HTTP/1.1 500 Late\r\nContent-Length: 0\r\n\r\n");
        count.fetch_add(1, Ordering::SeqCst);
        peer.hang();
    });
    let pool = pool();
    for round in 1..=3 {
        let attempt = attempt_with(&pool, queue(&receiver.url()), Body::Empty);
        assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
        eventually("late answer sent", || sent.load(Ordering::SeqCst) == round);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

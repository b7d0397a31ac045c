//! How many connections there are, and what happens when there cannot be more.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::receiver::Receiver;
use super::{attempt_with, eventually, finished, job, pool, queue, settings};
use crate::deliver::{Pool, Settings, attempt};
use crate::domain::message::Body;
use crate::domain::outcome::Outcome;
use crate::domain::queue::Queue;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// How many connections are open, and were at most.
#[derive(Default)]
struct Count {
    open: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
}

/// A receiver that answers each request after `delay` and counts in `count`.
fn counting(count: &Arc<Count>, delay: Duration) -> Receiver {
    let count = Arc::clone(count);
    Receiver::new(move |peer| {
        count.all.fetch_add(1, Ordering::SeqCst);
        let open = count.open.fetch_add(1, Ordering::SeqCst) + 1;
        count.most.fetch_max(open, Ordering::SeqCst);
        while peer.request().is_some() {
            std::thread::sleep(delay);
            peer.send(OK);
        }
        count.open.fetch_sub(1, Ordering::SeqCst);
    })
}

fn small_pool(max_threads: usize) -> Pool {
    Pool::start(Settings {
        max_threads,
        ..settings()
    })
    .expect("a pool")
}

/// Waits for three attempts of messages with an id.
fn wait_for_three(pool: &Pool) {
    let attempts = RefCell::default();
    eventually("three attempts", || {
        let mut attempts = attempts.borrow_mut();
        pool.take_finished(&mut attempts);
        attempts.retain(|attempt| attempt.message_id > 0);
        attempts.len() >= 3
    });
}

#[test]
fn host_gets_no_more_connections_than_attempts_were_under_way_there() {
    let (crowd, few) = <(Arc<Count>, Arc<Count>)>::default();
    let slow = counting(&crowd, Duration::from_millis(300));
    let host = counting(&few, Duration::from_millis(1));
    let pool = pool();
    let (slow, host) = (Arc::new(queue(&slow.url())), Arc::new(queue(&host.url())));
    for round in 0..6 {
        // Whichever of the many threads are free this time make the attempts.
        for _ in 0..10 * round {
            pool.submit(job(&slow, 0));
        }
        for _ in 0..5 {
            (1..=3).for_each(|id| pool.submit(job(&host, id)));
            wait_for_three(&pool);
        }
    }
    let most = few.all.load(Ordering::SeqCst);
    assert!(most <= 3, "{most} connections for 3 attempts at once");
}

#[test]
fn sockets_stay_within_their_number_and_the_oldest_idle_one_makes_room() {
    let count = Arc::<Count>::default();
    let receivers: Vec<_> = (0..20).map(|_| counting(&count, Duration::ZERO)).collect();
    // Twice as many sockets as threads.
    let pool = small_pool(4);
    for receiver in receivers.iter().chain(&receivers[16..]) {
        let attempt = attempt_with(&pool, queue(&receiver.url()), Body::Empty);
        assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
        eventually("no more than 8 open", || count.open.load(Ordering::SeqCst) <= 8);
    }
    // The last four were still there.
    assert_eq!(count.all.load(Ordering::SeqCst), 20);
    assert_eq!(count.open.load(Ordering::SeqCst), 8);
}

#[test]
fn connections_of_earlier_settings_are_closed() {
    let count = Arc::<Count>::default();
    let receiver = counting(&count, Duration::ZERO);
    let pool = pool();
    attempt_with(&pool, queue(&receiver.url()), Body::Empty);
    pool.reconfigure(settings());
    eventually("connection closed", || count.open.load(Ordering::SeqCst) == 0);
}

#[test]
fn without_a_descriptor_the_attempt_waits_and_nobody_is_blamed() {
    let receiver = Receiver::answering(OK);
    let pool = small_pool(1);
    let descriptors = pool.crew().client().descriptors();
    let hoard: Vec<_> = (0..2).map(|_| descriptors.permit(|| false)).collect();
    assert!(hoard.iter().all(Option::is_some));
    let impatient = Arc::new(Queue {
        timeout: Duration::from_secs(5),
        ..queue(&receiver.url())
    });
    pool.submit(job(&impatient, 1));
    let expected = "could not open a socket: Too many open files; deliveries wait";
    eventually("a complaint", || {
        pool.take_complaint()
            .is_some_and(|complaint| complaint == expected)
    });
    let mut attempts = Vec::new();
    pool.take_finished(&mut attempts);
    assert!(attempts.is_empty(), "{attempts:?}");
    let mut given_back = Vec::new();
    eventually("the job to be given back", || {
        given_back.append(&mut pool.take_unstarted());
        !given_back.is_empty()
    });
    drop(hoard);
    pool.submit(given_back.remove(0));
    let attempt = finished(&pool, 1).remove(0);
    assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
    assert!(attempt.duration < impatient.timeout, "{:?}", attempt.duration);
    assert_eq!(pool.take_complaint(), None);
}

#[test]
fn message_that_expires_in_the_line_is_given_back() {
    let receiver = Receiver::new(|peer| {
        while peer.request().is_some() {
            std::thread::sleep(Duration::from_millis(500));
            peer.send(OK);
        }
    });
    let pool = small_pool(1);
    let queue = Arc::new(queue(&receiver.url()));
    pool.submit(job(&queue, 1));
    let mut expiring = job(&queue, 2);
    expiring.message.expires_at = Some(attempt::now().after(Duration::from_millis(100)));
    pool.submit(expiring);
    finished(&pool, 1);
    let mut given_back = Vec::new();
    eventually("the job to be given back", || {
        given_back.append(&mut pool.take_unstarted());
        given_back.iter().map(|job| job.message.id).eq([2])
    });
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn message_that_waits_for_a_descriptor_is_not_attempted_when_the_pool_is_closed() {
    let receiver = Receiver::answering(OK);
    let pool = small_pool(1);
    let descriptors = pool.crew().client().descriptors();
    let _hoard: Vec<_> = (0..2).map(|_| descriptors.permit(|| false)).collect();
    let impatient = Arc::new(Queue {
        timeout: Duration::from_secs(1),
        ..queue(&receiver.url())
    });
    pool.submit(job(&impatient, 1));
    let unstarted = pool.close();
    eventually("the end of the thread", || pool.threads() == 0);
    assert_eq!(unstarted.len() + pool.take_unstarted().len(), 1);
    let mut finished = Vec::new();
    pool.take_finished(&mut finished);
    assert!(finished.is_empty());
}

#[test]
fn pool_that_may_not_open_enough_sockets_says_so() {
    let pool = small_pool(64);
    assert_eq!((pool.capacity(), pool.shortfall()), (64, None));
    let asked = usize::MAX / 4;
    let pool = small_pool(asked);
    let shortfall = pool.shortfall().expect("a shortfall");
    let expected = format!(
        "makes at most {} attempts at once instead of {asked}: ",
        pool.capacity()
    );
    assert!(shortfall.starts_with(&expected), "{shortfall}");
    assert!(
        shortfall.ends_with(" files, and 256 of them are left to PostgreSQL"),
        "{shortfall}"
    );
}

//! Threads: how many, and that no result is left behind.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::receiver::Receiver;
use super::{eventually, finished, job, pool, queue, settings};
use crate::deliver::client::Client;
use crate::deliver::crew::Crew;
use crate::deliver::{Pool, Settings};
use crate::domain::outcome::Outcome;
use crate::domain::queue::Queue;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn hanging_receiver_gets_every_thread_and_no_more() {
    let receiver = Receiver::new(|peer| peer.hang());
    let pool = Pool::start(Settings {
        max_threads: 100,
        ..settings()
    })
    .expect("a pool");
    let hanging = Arc::new(Queue {
        timeout: Duration::from_secs(2),
        ..queue(&receiver.url())
    });
    for id in 0..300 {
        pool.submit(job(&hanging, id));
    }
    eventually("all threads busy", || pool.threads() == 100);
    let attempts = finished(&pool, 300);
    assert!(attempts.iter().all(|attempt| attempt.outcome
        == Outcome::TimedOut {
            after: hanging.timeout
        }));
    assert_eq!(pool.threads(), 100);
}

#[test]
fn hanging_receiver_does_not_hold_up_another() {
    let (slow, fast) = (Receiver::new(|peer| peer.hang()), Receiver::answering(OK));
    let pool = pool();
    let (slow, fast) = (Arc::new(queue(&slow.url())), Arc::new(queue(&fast.url())));
    for id in 0..40 {
        pool.submit(job(&slow, id));
    }
    let started = Instant::now();
    for id in 100..200 {
        pool.submit(job(&fast, id));
    }
    let attempts = finished(&pool, 100);
    assert!(
        attempts
            .iter()
            .all(|attempt| attempt.outcome == Outcome::Accepted { status: 200 })
    );
    assert!(started.elapsed() < slow.timeout / 2, "{:?}", started.elapsed());
}

#[test]
fn every_job_comes_back_once_and_wakes_the_taker() {
    let receiver = Receiver::answering(OK);
    let pool = pool();
    let queue = Arc::new(queue(&receiver.url()));
    let mut ids = Vec::new();
    // In bursts of every size, so that takes meet every stage of a push.
    for burst in (1..=40).chain(1..=40) {
        for _ in 0..burst {
            pool.submit(job(&queue, i64::try_from(ids.len()).expect("few jobs")));
            ids.push(0);
        }
        for attempt in finished(&pool, burst) {
            assert_eq!(attempt.outcome, Outcome::Accepted { status: 200 });
            ids[usize::try_from(attempt.message_id).expect("an id")] += 1;
        }
    }
    assert!(ids.iter().all(|&times| times == 1));
}

#[test]
fn single_jobs_never_wait_for_a_wake() {
    let receiver = Receiver::answering(OK);
    let pool = pool();
    let queue = Arc::new(queue(&receiver.url()));
    for id in 0..2_000 {
        pool.submit(job(&queue, id));
        finished(&pool, 1);
    }
    assert!(pool.threads() <= 8, "{}", pool.threads());
}

#[test]
fn smaller_pool_sheds_threads() {
    let receiver = Receiver::answering(OK);
    let pool = pool();
    let queue = Arc::new(queue(&receiver.url()));
    for id in 0..200 {
        pool.submit(job(&queue, id));
    }
    finished(&pool, 200);
    pool.reconfigure(Settings {
        max_threads: 1,
        ..settings()
    });
    for id in 0..200 {
        pool.submit(job(&queue, id));
        finished(&pool, 1);
    }
    assert_eq!(pool.threads(), 1);
}

/// The blocked signals of each I/O thread in this process, other tests' ones too.
fn io_thread_masks() -> Vec<String> {
    std::fs::read_dir("/proc/self/task")
        .expect("tasks")
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("status")).ok())
        .filter(|status| status.starts_with("Name:\tpg_hooks io\n"))
        .filter_map(|status| Some(status.split_once("SigBlk:\t")?.1.lines().next()?.to_owned()))
        .collect()
}

#[test]
fn io_threads_block_every_signal() {
    let receiver = Receiver::new(|peer| peer.hang());
    let pool = pool();
    let hanging = Arc::new(Queue {
        timeout: Duration::from_secs(5),
        ..queue(&receiver.url())
    });
    for id in 0..20 {
        pool.submit(job(&hanging, id));
    }
    // A thread has its name only once it runs.
    eventually("all threads named", || io_thread_masks().len() >= 20);
    let blocked = io_thread_masks();
    // All 64 but KILL and STOP, and the two that the C library keeps for itself.
    assert!(
        blocked
            .iter()
            .all(|mask| mask == "fffffffe7ffbfeff" || mask == "fffffffe3ffbfeff"),
        "{blocked:?}"
    );
    finished(&pool, 20);
}

#[test]
fn idle_threads_end_and_new_ones_start() {
    let receiver = Receiver::answering(OK);
    let crew = Crew::new(Client::new(settings()), Duration::from_millis(20)).expect("a crew");
    let queue = Arc::new(queue(&receiver.url()));
    for round in 0..3 {
        for id in 0..8 {
            crew.submit(job(&queue, id));
        }
        let mut attempts = Vec::new();
        eventually("all threads gone", || crew.threads() == 0);
        crew.finished().take(&mut attempts);
        assert_eq!(attempts.len(), 8, "round {round}");
    }
}

#[test]
fn dropping_the_pool_ends_idle_threads() {
    let receiver = Receiver::answering(OK);
    let pool = pool();
    let queue = Arc::new(queue(&receiver.url()));
    pool.submit(job(&queue, 1));
    finished(&pool, 1);
    let crew = pool.crew();
    drop(pool);
    eventually("no threads", || crew.threads() == 0);
}

#[test]
fn taker_is_woken_when_as_many_wait_as_it_asked_for() {
    let receiver = Receiver::answering(OK);
    let pool = pool();
    let queue = Arc::new(queue(&receiver.url()));
    let is_readable = || {
        let mut fds = [PollFd::new(pool.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).expect("poll") > 0
    };
    pool.wake_from(3);
    for id in 0..2 {
        pool.submit(job(&queue, id));
    }
    eventually("two requests", || receiver.requests().len() == 2);
    assert!(!is_readable());
    pool.submit(job(&queue, 2));
    assert_eq!(finished(&pool, 3).len(), 3);
    // What waits already is told of as soon as it is enough.
    pool.submit(job(&queue, 3));
    eventually("four requests", || receiver.requests().len() == 4);
    assert!(!is_readable());
    pool.wake_from(1);
    eventually("a wake", is_readable);
    assert_eq!(finished(&pool, 1).len(), 1);
    assert!(!is_readable());
}

#[test]
fn operator_is_told_once_of_what_goes_on() {
    let pool = pool();
    let crew = pool.crew();
    assert_eq!(pool.take_complaint(), None);
    crew.finished().complain("no descriptors".to_owned());
    crew.finished().complain("still none".to_owned());
    let mut fds = [PollFd::new(pool.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut fds, PollTimeout::ZERO).expect("poll"), 1);
    assert_eq!(pool.take_complaint().as_deref(), Some("no descriptors"));
    assert_eq!(pool.take_complaint(), None);
}

//! The pool against small receivers on 127.0.0.1.

mod answers;
mod auth;
mod connections;
mod crew;
mod failures;
mod limits;
mod mutual_tls;
mod oauth;
mod outcomes;
pub mod pki;
mod preview;
mod proxy;
pub mod receiver;
mod reuse;
mod tls;
mod traces;

use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Backlog, listen};

use super::{Attempt, Job, Pool, Settings};
use crate::domain::address::AddressRules;
use crate::domain::auth::Auth;
use crate::domain::endpoint::Endpoint;
use crate::domain::headers::Headers;
use crate::domain::message::{Body, Message};
use crate::domain::queue::{AcceptedStatuses, Method, Queue};
use crate::domain::retry::RetryPolicy;
use crate::domain::time::Timestamp;

/// For anything that should happen at once, on a machine that is busy with something else.
const SOON: Duration = Duration::from_secs(20);

/// Settings that let 127.0.0.0/8 through.
pub fn settings() -> Settings {
    Settings {
        max_threads: 64,
        capture_limit: 1_000,
        address_rules: Arc::new(AddressRules::parse("127.0.0.0/8", true).expect("valid networks")),
        proxy: None,
        ca_file: None,
    }
}

/// A queue that POSTs to `url` with a generous timeout.
pub fn queue(url: &str) -> Queue {
    Queue {
        id: 1,
        endpoint: Endpoint::parse(url).expect("valid URL"),
        method: Method::Post,
        headers: Headers::default(),
        timeout: SOON,
        accepted: AcceptedStatuses::Successful,
        retry: RetryPolicy::default(),
        max_in_flight: 1_000,
        rate_limit: None,
        breaker: None,
        dead_letters_block: false,
        bury_expired: false,
        secrets: Default::default(),
        keep_bodies: false,
        keep_attempts: Default::default(),
        signing: Default::default(),
        active: true,
        auth: Ok(Auth::default()),
    }
}

pub fn job(queue: &Arc<Queue>, id: i64) -> Job {
    job_with(queue, id, Body::Text(b"{}".to_vec()))
}

fn job_with(queue: &Arc<Queue>, id: i64, body: Body) -> Job {
    let message = Message {
        id,
        webhook_id: format!("msg_{id}"),
        attempt: 1,
        due_at: Timestamp(0),
        expires_at: None,
        waited_since: None,
        stored_at: 0,
        headers: Headers::default(),
        body,
    };
    Job {
        queue: Arc::clone(queue),
        message,
    }
}

fn pool() -> Pool {
    Pool::start(settings()).expect("a pool")
}

/// What comes of one message to `queue`.
fn attempt(queue: Queue) -> Attempt {
    attempt_with(&pool(), queue, Body::Text(b"{}".to_vec()))
}

fn attempt_with(pool: &Pool, queue: Queue, body: Body) -> Attempt {
    pool.submit(job_with(&Arc::new(queue), 1, body));
    finished(pool, 1).remove(0)
}

/// Waits on the eventfd alone until `count` attempts are finished.
fn finished(pool: &Pool, count: usize) -> Vec<Attempt> {
    let deadline = Instant::now() + 3 * SOON;
    let mut attempts = Vec::new();
    while attempts.len() < count {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{} of {count} attempts finished", attempts.len());
        let mut fds = [PollFd::new(pool.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::try_from(left).expect("a short wait")).expect("poll");
        pool.take_finished(&mut attempts);
    }
    assert_eq!(attempts.len(), count);
    attempts
}

/// A listener whose line of connections is full: the system drops what comes next.
pub fn busy(address: impl ToSocketAddrs) -> (TcpListener, TcpStream) {
    let listener = TcpListener::bind(address).expect("a port");
    listen(&listener, Backlog::new(0).expect("none")).expect("a shorter line");
    let first = TcpStream::connect(listener.local_addr().expect("an address")).expect("the only one");
    (listener, first)
}

/// Waits until `condition` holds.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "never came about: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

//! Asking the system for the addresses of a name.
//!
//! `getaddrinfo` blocks, for as long as it likes, so it runs on a few threads of its own. A name is asked
//! for once, however many attempts wait for it, and what came of it is kept for a while.

mod book;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::descriptors::is_shortage;
use super::failure::io_detail;
use super::thread;
use book::{Age, Book, Flight, MAX_THREADS};
pub use book::{Answer, Miss};

use crate::fault;

/// The C library keeps packets and whole files on the stack.
const STACK_BYTES: usize = 512 * 1024;

/// A thread that has nothing to do for this long ends.
const REST: Duration = Duration::from_secs(10);

/// How long a lookup is waited for by somebody who has older addresses to use instead.
const PATIENCE: Duration = Duration::from_millis(300);

/// The names that are known and those that are being looked up.
pub struct Lookups {
    ask: Box<dyn Fn(&str) -> Answer + Send + Sync>,
    book: Mutex<Book>,
    work: Condvar,
}

impl Default for Lookups {
    /// Asks the system.
    fn default() -> Lookups {
        Lookups::new(ask)
    }
}

impl Lookups {
    pub(super) fn new(ask: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Lookups {
        Lookups {
            ask: Box::new(ask),
            book: Mutex::default(),
            work: Condvar::new(),
        }
    }

    /// The addresses of `host`, from memory or, by `deadline`, from the system.
    pub fn find(self: &Arc<Self>, host: &str, deadline: Instant) -> Result<Arc<[IpAddr]>, Miss> {
        let mut book = self.book();
        let now = Instant::now();
        let known = book.known.get(host);
        let known = known.map(|known| (known.answer.clone(), known.age(now)));
        let older = match known {
            Some((answer, Age::Fresh)) => return answer,
            Some((Ok(addresses), Age::Aging)) => {
                self.join(&mut book, host);
                return Ok(addresses);
            }
            Some((Ok(addresses), Age::Stale)) => Some(addresses),
            _ => None,
        };
        let flight = self.join(&mut book, host);
        let until = match older {
            Some(_) => deadline.min(flight.since + PATIENCE),
            None => deadline,
        };
        match (self.wait(book, &flight, until), older) {
            (Some(Ok(addresses)), _) | (_, Some(addresses)) => Ok(addresses),
            (Some(missed), None) => missed,
            (None, None) => Err(Miss::TooSlow),
        }
    }

    /// Waits for a lookup to land.
    fn wait(&self, mut book: MutexGuard<'_, Book>, flight: &Flight, until: Instant) -> Option<Answer> {
        loop {
            if let Some(answer) = flight.answer.get() {
                return Some(answer.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            book = flight
                .landed
                .wait_timeout(book, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lookup of `host` that is under way, or a new one.
    fn join(self: &Arc<Self>, book: &mut Book, host: &str) -> Arc<Flight> {
        if let Some(flight) = book.under_way.get(host) {
            return Arc::clone(flight);
        }
        let flight = book.enqueue(host, Instant::now());
        let startable = book.startable();
        if startable > 0 && startable <= book.idle {
            self.work.notify_one();
        } else if startable > 0 && book.threads < MAX_THREADS {
            self.add_thread(book);
        }
        flight
    }

    /// When the system refuses a thread, those that run do the work; without any, the lookup fails.
    fn add_thread(self: &Arc<Self>, book: &mut Book) {
        let lookups = Arc::clone(self);
        let started = fault::io("thread: dns")
            .and_then(|()| thread::spawn("pg_hooks dns", STACK_BYTES, move || lookups.work()));
        match started {
            Ok(()) => book.threads += 1,
            Err(error) if book.threads == 0 => book.fail_all(&format!("could not start a thread: {error}")),
            Err(_) => {}
        }
    }

    /// The life of a lookup thread.
    fn work(&self) {
        let mut book = self.book();
        loop {
            if let Some(host) = book.next() {
                drop(book);
                let caught = catch_unwind(AssertUnwindSafe(|| (self.ask)(&host)));
                let answer =
                    caught.unwrap_or_else(|_| Err(Miss::NotFound("panic while resolving".to_owned())));
                book = self.book();
                book.land(&host, answer);
                continue;
            }
            book.idle += 1;
            let (guard, waited) = self
                .work
                .wait_timeout(book, REST)
                .unwrap_or_else(PoisonError::into_inner);
            book = guard;
            book.idle -= 1;
            if waited.timed_out() && book.startable() == 0 {
                book.threads -= 1;
                return;
            }
        }
    }
}

/// Asks the system, in the order in which it would have addresses tried.
fn ask(host: &str) -> Answer {
    if fault::strikes("names: panic") {
        panic_any("fault");
    }
    if let Err(short) = fault::io("names: shortage") {
        return Err(missed(&short, Some(&short)));
    }
    let asked = fault::io("names: lookup").and_then(|()| (host, 0).to_socket_addrs());
    match asked {
        Ok(addresses) => Ok(addresses.map(|address| address.ip()).collect()),
        Err(error) => Err(missed(&error, File::open("/dev/null").err().as_ref())),
    }
}

/// What a failed lookup means. The C library calls many failures temporary, also that it could open no file
/// or socket; `probe` is the error of opening a file right after.
fn missed(error: &io::Error, probe: Option<&io::Error>) -> Miss {
    if let Some(shortage) = probe.filter(|probe| is_shortage(probe)) {
        return Miss::Shortage(io_detail(shortage));
    }
    let text = error.to_string();
    let why = text.strip_prefix("failed to lookup address information: ");
    Miss::NotFound(why.unwrap_or(&text).to_owned())
}

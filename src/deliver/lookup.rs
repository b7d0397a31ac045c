//! Asking the system for the addresses of a name.
//!
//! `getaddrinfo` blocks, for as long as it likes, so it runs on a few threads of its own. A name is asked
//! for once, however many attempts wait for it, and what came of it is kept for a while.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::net::{IpAddr, ToSocketAddrs};
use std::panic::catch_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::thread;

/// Most lookups at once. One that hangs holds up at most this many others like it.
const MAX_THREADS: usize = 8;

/// The C library keeps packets and whole files on the stack.
const STACK_BYTES: usize = 512 * 1024;

/// A thread that has nothing to do for this long ends.
const REST: Duration = Duration::from_secs(10);

/// How long addresses are used without asking again.
const FRESH: Duration = Duration::from_secs(30);

/// How long addresses are used while a new lookup is under way, or fails.
const USABLE: Duration = Duration::from_secs(120);

/// How long a name that was not found is not asked for again.
const NOT_FOUND_FRESH: Duration = Duration::from_secs(5);

/// Names kept, at most.
const MAX_NAMES: usize = 10_000;

type Answer = Result<Arc<[IpAddr]>, String>;

/// Why there is no address.
#[derive(Debug)]
pub enum Miss {
    /// The system said so, in these words.
    NotFound(String),
    /// The deadline passed first.
    TooSlow,
}

/// The names that are known and those that are being looked up.
#[derive(Default)]
pub struct Lookups {
    book: Mutex<Book>,
    work: Condvar,
}

#[derive(Default)]
struct Book {
    known: HashMap<String, Known>,
    under_way: HashMap<String, Arc<Flight>>,
    waiting: VecDeque<String>,
    threads: usize,
    idle: usize,
}

struct Known {
    answer: Answer,
    since: Instant,
}

/// One lookup and those who wait for it.
#[derive(Default)]
struct Flight {
    answer: OnceLock<Answer>,
    landed: Condvar,
}

impl Lookups {
    /// The addresses of `host`, from memory or, by `deadline`, from the system.
    pub fn find(self: &Arc<Self>, host: &str, deadline: Instant) -> Result<Arc<[IpAddr]>, Miss> {
        let mut book = self.book();
        let old = match book.known.get(host) {
            Some(known) if known.is_fresh() => return known.answer.clone().map_err(Miss::NotFound),
            Some(known) if known.is_usable() => known.answer.as_ref().ok().map(Arc::clone),
            _ => None,
        };
        let flight = self.join(&mut book, host);
        if let Some(addresses) = old {
            return Ok(addresses);
        }
        loop {
            if let Some(answer) = flight.answer.get() {
                return answer.clone().map_err(Miss::NotFound);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Miss::TooSlow);
            }
            book = flight.landed.wait_timeout(book, left).unwrap_or_else(PoisonError::into_inner).0;
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
        let flight = Arc::new(Flight::default());
        book.under_way.insert(host.to_owned(), Arc::clone(&flight));
        book.waiting.push_back(host.to_owned());
        if book.idle > 0 {
            self.work.notify_one();
        } else if book.threads < MAX_THREADS {
            self.add_thread(book);
        }
        flight
    }

    /// When the system refuses a thread, those that run do the work; without any, the lookup fails.
    fn add_thread(self: &Arc<Self>, book: &mut Book) {
        let lookups = Arc::clone(self);
        match thread::spawn("pg_hooks dns", STACK_BYTES, move || lookups.work()) {
            Ok(()) => book.threads += 1,
            Err(error) if book.threads == 0 => {
                for host in mem::take(&mut book.waiting) {
                    book.land(&host, Err(format!("could not start a thread: {error}")));
                }
            }
            Err(_) => {}
        }
    }

    /// The life of a lookup thread.
    fn work(&self) {
        let mut book = self.book();
        loop {
            if let Some(host) = book.waiting.pop_front() {
                drop(book);
                let answer = catch_unwind(|| ask(&host)).unwrap_or_else(|_| Err("lookup failed".to_owned()));
                book = self.book();
                book.land(&host, answer);
                continue;
            }
            book.idle += 1;
            let (guard, waited) = self.work.wait_timeout(book, REST).unwrap_or_else(PoisonError::into_inner);
            book = guard;
            book.idle -= 1;
            if waited.timed_out() && book.waiting.is_empty() {
                book.threads -= 1;
                return;
            }
        }
    }
}

impl Book {
    /// Keeps an answer and hands it to those who wait for it. Known addresses outlive a failed lookup.
    fn land(&mut self, host: &str, answer: Answer) {
        if let Some(flight) = self.under_way.remove(host) {
            let _ = flight.answer.set(answer.clone());
            flight.landed.notify_all();
        }
        if answer.is_err() && self.known.get(host).is_some_and(Known::is_usable) {
            return;
        }
        if self.known.len() >= MAX_NAMES {
            self.known.retain(|_, known| known.is_fresh());
        }
        if self.known.len() < MAX_NAMES {
            self.known.insert(host.to_owned(), Known { answer, since: Instant::now() });
        }
    }
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < if self.answer.is_ok() { FRESH } else { NOT_FOUND_FRESH }
    }

    fn is_usable(&self) -> bool {
        self.answer.is_ok() && self.since.elapsed() < USABLE
    }
}

/// Asks the system, in the order in which it would have addresses tried.
fn ask(host: &str) -> Answer {
    match (host, 0).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.map(|address| address.ip()).collect()),
        Err(error) => {
            let text = error.to_string();
            Err(text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned())
        }
    }
}

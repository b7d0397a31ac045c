//! Asking the system for the addresses of a name.
//!
//! `getaddrinfo` blocks, for as long as it likes, so it runs on a few threads of its own. A name is asked
//! for once, however many attempts wait for it, and what came of it is kept for a while.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::net::{IpAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::thread;

/// Most lookups at once. As long as fewer than this many hang, no other name waits.
const MAX_THREADS: usize = 16;

/// The C library keeps packets and whole files on the stack.
const STACK_BYTES: usize = 512 * 1024;

/// A thread that has nothing to do for this long ends.
const REST: Duration = Duration::from_secs(10);

/// How long addresses are used without asking again.
const FRESH: Duration = Duration::from_secs(30);

/// How long addresses are used while a new lookup is under way, and after one failed.
const USABLE: Duration = Duration::from_secs(120);

/// How long a name that was not found is not asked for again.
const NOT_FOUND_FRESH: Duration = Duration::from_secs(5);

/// Names kept, at most.
const MAX_NAMES: usize = 10_000;

/// The addresses of a name, in the order in which to try them, or why there are none.
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
pub struct Lookups {
    ask: Box<dyn Fn(&str) -> Answer + Send + Sync>,
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

/// One lookup; those who wait for it hold it too.
#[derive(Default)]
struct Flight {
    /// Whether it is for the time to come, so that nobody needs to wait for it.
    refresh: bool,
    answer: OnceLock<Answer>,
    landed: Condvar,
}

impl Default for Lookups {
    /// Asks the system.
    fn default() -> Lookups {
        Lookups::new(ask)
    }
}

impl Lookups {
    fn new(ask: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Lookups {
        Lookups {
            ask: Box::new(ask),
            book: Mutex::default(),
            work: Condvar::new(),
        }
    }

    /// The addresses of `host`, from memory or, by `deadline`, from the system.
    pub fn find(self: &Arc<Self>, host: &str, deadline: Instant) -> Result<Arc<[IpAddr]>, Miss> {
        let mut book = self.book();
        let known = book
            .known
            .get(host)
            .map(|known| (known.answer.clone(), known.age(Instant::now())));
        let flight = match known {
            Some((answer, Age::Fresh)) => return answer.map_err(Miss::NotFound),
            Some((Ok(addresses), Age::Usable)) => {
                self.join(&mut book, host, true);
                return Ok(addresses);
            }
            _ => self.join(&mut book, host, false),
        };
        loop {
            if let Some(answer) = flight.answer.get() {
                return answer.clone().map_err(Miss::NotFound);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Miss::TooSlow);
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
    fn join(self: &Arc<Self>, book: &mut Book, host: &str, refresh: bool) -> Arc<Flight> {
        if let Some(flight) = book.under_way.get(host) {
            return Arc::clone(flight);
        }
        let flight = Arc::new(Flight {
            refresh,
            ..Flight::default()
        });
        book.under_way.insert(host.to_owned(), Arc::clone(&flight));
        book.waiting.push_back(host.to_owned());
        if book.waiting.len() <= book.idle {
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
            if let Some(host) = book.next() {
                drop(book);
                let caught = catch_unwind(AssertUnwindSafe(|| (self.ask)(&host)));
                let answer = caught.unwrap_or_else(|_| Err("panic while resolving".to_owned()));
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
            if waited.timed_out() && book.waiting.is_empty() {
                book.threads -= 1;
                return;
            }
        }
    }
}

impl Book {
    /// The next name to ask for. Names that nobody waits for any more are dropped.
    fn next(&mut self) -> Option<String> {
        while let Some(host) = self.waiting.pop_front() {
            match self.under_way.get(&host) {
                Some(flight) if flight.refresh || Arc::strong_count(flight) > 1 => return Some(host),
                _ => self.under_way.remove(&host),
            };
        }
        None
    }

    /// Keeps an answer and hands it to those who wait for it. A failed lookup does not take away
    /// addresses that can still be used.
    fn land(&mut self, host: &str, answer: Answer) {
        if let Some(flight) = self.under_way.remove(host) {
            let _ = flight.answer.set(answer.clone());
            flight.landed.notify_all();
        }
        let now = Instant::now();
        let known = self.known.get(host);
        if answer.is_err() && known.is_some_and(|known| known.answer.is_ok() && known.age(now) != Age::Old) {
            return;
        }
        if self.known.len() >= MAX_NAMES {
            self.known.retain(|_, known| known.age(now) == Age::Fresh);
        }
        if self.known.len() < MAX_NAMES {
            self.known.insert(host.to_owned(), Known { answer, since: now });
        }
    }
}

/// How far an answer can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Fresh,
    /// Until there is a newer one.
    Usable,
    Old,
}

impl Known {
    fn age(&self, now: Instant) -> Age {
        let age = now.saturating_duration_since(self.since);
        let (fresh, usable) = if self.answer.is_ok() {
            (FRESH, USABLE)
        } else {
            (NOT_FOUND_FRESH, NOT_FOUND_FRESH)
        };
        match age {
            age if age < fresh => Age::Fresh,
            age if age < usable => Age::Usable,
            _ => Age::Old,
        }
    }
}

/// Asks the system, in the order in which it would have addresses tried.
fn ask(host: &str) -> Answer {
    match (host, 0).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.map(|address| address.ip()).collect()),
        Err(error) => {
            let text = error.to_string();
            Err(text
                .strip_prefix("failed to lookup address information: ")
                .unwrap_or(&text)
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests;

//! What is known of names, what is being asked, and whose turn is next. Always behind a mutex.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, OnceLock};
use std::time::{Duration, Instant};

/// Most lookups at once.
pub const MAX_THREADS: usize = 16;

/// So many of them are left to names that had addresses when last asked for. However many names hang that
/// nobody ever reached, those in use are found.
pub const PROVEN_THREADS: usize = 4;

/// How long addresses are used without asking again. The system does not say how long they hold.
pub const FRESH: Duration = Duration::from_secs(5);

/// How long after that they are used at once while they are asked for again, so that a name in constant use
/// is never waited for.
pub const AGING: Duration = Duration::from_secs(10);

/// How long addresses are used when asking again fails or takes long.
pub const USABLE: Duration = Duration::from_secs(120);

/// How long a name that was not found is not asked for again. Shorter than any sensible backoff, so that
/// each attempt of a message asks, while those of a burst do not.
pub const NOT_FOUND_FRESH: Duration = Duration::from_secs(1);

/// Names kept, at most.
const MAX_NAMES: usize = 10_000;

/// The addresses of a name, in the order in which to try them, or why there are none.
pub type Answer = Result<Arc<[IpAddr]>, Miss>;

/// Why there is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// The system said so, in these words.
    NotFound(String),
    /// The deadline passed first.
    TooSlow,
    /// The system had no descriptor to ask with, in these words.
    Shortage(String),
}

/// The names that are known and those that are being looked up.
#[derive(Default)]
pub struct Book {
    pub known: HashMap<String, Known>,
    pub under_way: HashMap<String, Arc<Flight>>,
    /// Names to be asked for that had addresses when last asked for, and others.
    proven: VecDeque<String>,
    others: VecDeque<String>,
    /// Threads that ask for one of the others.
    asking_others: usize,
    pub threads: usize,
    pub idle: usize,
}

pub struct Known {
    pub answer: Answer,
    pub since: Instant,
}

/// One lookup; those who wait for it hold it too.
pub struct Flight {
    /// Whether it is to be made even if nobody waits for it.
    refresh: bool,
    proven: bool,
    pub since: Instant,
    pub answer: OnceLock<Answer>,
    pub landed: Condvar,
}

impl Book {
    /// Puts a name in the line.
    pub fn enqueue(&mut self, host: &str, refresh: bool, now: Instant) -> Arc<Flight> {
        let proven = self.known.get(host).is_some_and(|known| known.answer.is_ok());
        let flight = Arc::new(Flight {
            refresh,
            proven,
            since: now,
            answer: OnceLock::new(),
            landed: Condvar::new(),
        });
        self.under_way.insert(host.to_owned(), Arc::clone(&flight));
        let line = if proven {
            &mut self.proven
        } else {
            &mut self.others
        };
        line.push_back(host.to_owned());
        flight
    }

    /// Names that could be asked for now, were there a thread for each.
    pub fn startable(&self) -> usize {
        let others = (MAX_THREADS - PROVEN_THREADS).saturating_sub(self.asking_others);
        self.proven.len() + self.others.len().min(others)
    }

    /// The next name to ask for. Names that nobody waits for any more are dropped.
    pub fn next(&mut self) -> Option<String> {
        while self.startable() > 0 {
            let host = self.proven.pop_front().or_else(|| self.others.pop_front())?;
            match self.under_way.get(&host) {
                Some(flight) if flight.refresh || Arc::strong_count(flight) > 1 => {
                    self.asking_others += usize::from(!flight.proven);
                    return Some(host);
                }
                _ => self.under_way.remove(&host),
            };
        }
        None
    }

    /// Keeps the answer for a name that [`Book::next`] gave.
    pub fn land(&mut self, host: &str, answer: Answer) {
        if self.under_way.get(host).is_some_and(|flight| !flight.proven) {
            self.asking_others -= 1;
        }
        self.conclude(host, answer);
    }

    /// Fails everything in the line.
    pub fn fail_all(&mut self, why: &str) {
        while let Some(host) = self.proven.pop_front().or_else(|| self.others.pop_front()) {
            self.conclude(&host, Err(Miss::NotFound(why.to_owned())));
        }
    }

    /// Keeps an answer and hands it to those who wait for it. A failed lookup does not take away
    /// addresses that can still be used.
    fn conclude(&mut self, host: &str, answer: Answer) {
        if let Some(flight) = self.under_way.remove(host) {
            let _ = flight.answer.set(answer.clone());
            flight.landed.notify_all();
        }
        let now = Instant::now();
        let known = self.known.get(host);
        let still_usable = known.is_some_and(|known| known.answer.is_ok() && known.age(now) != Age::Old);
        if matches!(answer, Err(Miss::Shortage(_))) || (answer.is_err() && still_usable) {
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
pub enum Age {
    Fresh,
    /// While a newer one is asked for.
    Aging,
    /// When there is no newer one soon.
    Stale,
    Old,
}

impl Known {
    pub fn age(&self, now: Instant) -> Age {
        let age = now.saturating_duration_since(self.since);
        match &self.answer {
            Ok(_) if age < FRESH => Age::Fresh,
            Ok(_) if age < AGING => Age::Aging,
            Ok(_) if age < USABLE => Age::Stale,
            Err(_) if age < NOT_FOUND_FRESH => Age::Fresh,
            _ => Age::Old,
        }
    }
}

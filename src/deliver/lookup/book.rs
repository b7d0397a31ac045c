//! What is known of names, what is being asked, and whose turn is next. Always behind a mutex.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, OnceLock};
use std::time::{Duration, Instant};

/// Most lookups at once.
pub const MAX_THREADS: usize = 24;

/// So many of them are left to names that had addresses when last asked for. However many others hang, those in
/// use are found.
pub const PROVEN_THREADS: usize = 4;

/// Most of them for names that had none when last asked for. However many of these hang, names that were never
/// asked for get their turn, as all are after a start.
pub const FAILED_THREADS: usize = 8;

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
    proven: VecDeque<String>,
    new: VecDeque<String>,
    failed: VecDeque<String>,
    asking_new: usize,
    asking_failed: usize,
    pub threads: usize,
    pub idle: usize,
}

pub struct Known {
    pub answer: Answer,
    pub since: Instant,
}

/// What is known of a name that is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Record {
    /// It had addresses when last asked for.
    Proven,
    New,
    /// It had none.
    Failed,
}

/// One lookup; those who wait for it hold it too. It is made even if nobody waits any more: who comes next finds
/// the answer, however long the line was.
pub struct Flight {
    record: Record,
    pub since: Instant,
    pub answer: OnceLock<Answer>,
    pub landed: Condvar,
}

impl Book {
    /// Puts a name in its line.
    pub fn enqueue(&mut self, host: &str, now: Instant) -> Arc<Flight> {
        let known = self.known.get(host);
        let record = known.map_or(Record::New, |known| match known.answer {
            Ok(_) => Record::Proven,
            Err(_) => Record::Failed,
        });
        let flight = Arc::new(Flight {
            record,
            since: now,
            answer: OnceLock::new(),
            landed: Condvar::new(),
        });
        self.under_way.insert(host.to_owned(), Arc::clone(&flight));
        let line = match record {
            Record::Proven => &mut self.proven,
            Record::New => &mut self.new,
            Record::Failed => &mut self.failed,
        };
        line.push_back(host.to_owned());
        flight
    }

    /// Names never asked for, and names that failed, that could be asked for now.
    fn startable_others(&self) -> (usize, usize) {
        let room = (MAX_THREADS - PROVEN_THREADS).saturating_sub(self.asking_new + self.asking_failed);
        let new = self.new.len().min(room);
        let failed = FAILED_THREADS.saturating_sub(self.asking_failed);
        (new, self.failed.len().min(failed).min(room - new))
    }

    /// Names that could be asked for now, were there a thread for each.
    pub fn startable(&self) -> usize {
        let (new, failed) = self.startable_others();
        self.proven.len() + new + failed
    }

    /// The next name to ask for.
    pub fn next(&mut self) -> Option<String> {
        if let Some(host) = self.proven.pop_front() {
            return Some(host);
        }
        match self.startable_others() {
            (1.., _) => {
                self.asking_new += 1;
                self.new.pop_front()
            }
            (0, 1..) => {
                self.asking_failed += 1;
                self.failed.pop_front()
            }
            (0, 0) => None,
        }
    }

    /// Keeps the answer for a name that [`Book::next`] gave.
    pub fn land(&mut self, host: &str, answer: Answer) {
        match self.under_way.get(host).map(|flight| flight.record) {
            Some(Record::New) => self.asking_new -= 1,
            Some(Record::Failed) => self.asking_failed -= 1,
            Some(Record::Proven) | None => {}
        }
        self.conclude(host, answer);
    }

    /// Fails everything in the line.
    pub fn fail_all(&mut self, why: &str) {
        let lines = [&mut self.proven, &mut self.new, &mut self.failed].map(std::mem::take);
        for host in lines.into_iter().flatten() {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(last: u8) -> Answer {
        Ok(Arc::new([IpAddr::from([192, 0, 2, last])]))
    }

    #[test]
    fn everything_in_the_line_fails_and_what_was_known_stays() {
        let mut book = Book::default();
        book.land("known", addresses(1));
        let now = Instant::now();
        let flights = ["known", "new"].map(|host| book.enqueue(host, now));
        assert_eq!(book.startable(), 2);
        book.fail_all("could not start a thread");
        let failed = Err(Miss::NotFound("could not start a thread".to_owned()));
        for flight in flights {
            assert_eq!(flight.answer.get(), Some(&failed));
        }
        assert_eq!((book.startable(), book.under_way.len()), (0, 0));
        assert_eq!(book.known["known"].answer, addresses(1));
        assert_eq!(book.known["new"].answer, failed);
        assert_eq!(book.next(), None);
    }

    #[test]
    fn names_that_failed_leave_room_for_new_ones_and_both_for_those_in_use() {
        let mut book = Book::default();
        let now = Instant::now();
        for number in 0..MAX_THREADS {
            book.land(
                &format!("failed{number}"),
                Err(Miss::NotFound("no such host".to_owned())),
            );
            book.enqueue(&format!("failed{number}"), now);
        }
        let asked = |book: &mut Book| std::iter::from_fn(|| book.next()).count();
        assert_eq!(asked(&mut book), FAILED_THREADS);
        for number in 0..MAX_THREADS {
            book.enqueue(&format!("new{number}"), now);
        }
        let new = MAX_THREADS - PROVEN_THREADS - FAILED_THREADS;
        assert_eq!(asked(&mut book), new);
        book.land("in use", addresses(1));
        book.enqueue("in use", now);
        assert_eq!(book.next().as_deref(), Some("in use"));
        book.land("new0", addresses(1));
        assert_eq!(book.next().as_deref(), Some(&*format!("new{new}")));
        book.land("failed0", addresses(1));
        assert_eq!(book.next().as_deref(), Some(&*format!("new{}", new + 1)));
        assert_eq!((book.next(), book.startable()), (None, 0));
    }

    #[test]
    fn shortage_is_handed_on_and_not_kept() {
        let mut book = Book::default();
        let flight = book.enqueue("host", Instant::now());
        assert_eq!(book.next().as_deref(), Some("host"));
        let short = Err(Miss::Shortage("Too many open files".to_owned()));
        book.land("host", short.clone());
        assert_eq!(flight.answer.get(), Some(&short));
        assert!(book.known.is_empty());
    }

    #[test]
    fn memory_is_bounded_and_old_names_make_room() {
        let mut book = Book::default();
        let old = Instant::now()
            .checked_sub(USABLE)
            .expect("a machine that runs for a while");
        for number in 0..MAX_NAMES {
            book.land(&format!("host{number}"), addresses(1));
        }
        book.land("one more", addresses(1));
        assert_eq!(book.known.len(), MAX_NAMES);
        assert!(!book.known.contains_key("one more"), "all others are fresh");
        book.known
            .values_mut()
            .take(10)
            .for_each(|known| known.since = old);
        book.land("one more", addresses(1));
        assert_eq!(book.known.len(), MAX_NAMES - 9);
        assert!(book.known.contains_key("one more"));
    }
}

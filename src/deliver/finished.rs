//! The way back: finished attempts, and the eventfd that announces them.

use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{Attempt, Job};
use crate::fault;

/// One complaint in this time is enough.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Attempts that nobody has taken yet.
///
/// The eventfd is written once for everything that comes in until the next [`Finished::take`].
pub struct Finished {
    shelf: Mutex<Shelf>,
    event: EventFd,
}

#[derive(Default)]
struct Shelf {
    attempts: Vec<Attempt>,
    unstarted: Vec<Job>,
    /// Whether the eventfd was written, or is about to be, since the last take.
    announced: bool,
    /// Fewer are not announced; 0 counts as 1.
    enough: usize,
    /// What the operator should know.
    complaint: Option<String>,
    complained_at: Option<Instant>,
}

impl Shelf {
    /// Whether the eventfd is to be written now.
    fn is_news(&mut self) -> bool {
        let enough = !self.attempts.is_empty() && self.attempts.len() >= self.enough;
        let news = !self.announced && (enough || !self.unstarted.is_empty());
        self.announced |= news;
        news
    }
}

impl Finished {
    /// # Errors
    /// The process is out of file descriptors.
    pub fn new() -> io::Result<Finished> {
        fault::io("eventfd: open")?;
        let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Finished {
            shelf: Mutex::default(),
            event,
        })
    }

    /// Readable when there are attempts to take.
    pub fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    /// Adds an attempt and announces it, unless the taker already has something to wake up for.
    pub fn push(&self, attempt: Attempt) {
        let mut shelf = self.shelf();
        shelf.attempts.push(attempt);
        let news = shelf.is_news();
        drop(shelf);
        self.announce(news);
    }

    /// Gives back a job that no attempt was made of, and announces it.
    pub fn give_back(&self, job: Job) {
        let mut shelf = self.shelf();
        shelf.unstarted.push(job);
        let news = shelf.is_news();
        drop(shelf);
        self.announce(news);
    }

    /// The jobs that were given back.
    pub fn take_unstarted(&self) -> Vec<Job> {
        mem::take(&mut self.shelf().unstarted)
    }

    /// From now on announces only when at least `enough` attempts wait. The taker sees to it that it
    /// looks in time by itself if it asks for more than one.
    pub fn announce_from(&self, enough: usize) {
        let mut shelf = self.shelf();
        shelf.enough = enough;
        let news = shelf.is_news();
        drop(shelf);
        self.announce(news);
    }

    /// A write that fails is made up for by the next one, and until then the taker looks by itself now and
    /// then. When the counter is full, the fd is readable anyway.
    fn announce(&self, news: bool) {
        if !news {
            return;
        }
        let written = fault::io("eventfd: write").and_then(|()| Ok(self.event.write(1)?));
        if written.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
            self.shelf().announced = false;
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has something told to the operator, unless something was told lately.
    pub fn complain(&self, complaint: String) {
        let mut shelf = self.shelf();
        let now = Instant::now();
        let lately = |at: Instant| now.saturating_duration_since(at) < COMPLAIN_EVERY;
        if shelf.complained_at.is_some_and(lately) {
            return;
        }
        shelf.complained_at = Some(now);
        shelf.complaint = Some(complaint);
        let news = !mem::replace(&mut shelf.announced, true);
        drop(shelf);
        self.announce(news);
    }

    /// What is to be told to the operator, once.
    pub fn take_complaint(&self) -> Option<String> {
        self.shelf().complaint.take()
    }

    /// Moves everything into `into`.
    ///
    /// The eventfd is cleared first: what comes in after that either finds `announced` still set and is
    /// taken below, or announces itself again. A wake may be for nothing; none is missed.
    pub fn take(&self, into: &mut Vec<Attempt>) {
        let _ = self.event.read();
        let mut shelf = self.shelf();
        shelf.announced = false;
        into.append(&mut shelf.attempts);
    }
}

//! The threads that make attempts: who takes the next job, and who waits for it.
//!
//! Threads that finish an attempt take the next job by themselves. While jobs wait, one further thread,
//! the watcher, looks after the line: when the head of it waits for too long (see `growth`), the watcher
//! takes that job and calls the next watcher, an idle thread or a new one. So the submitting thread
//! wakes at most one thread, and only when the line was empty before.
//!
//! Idle threads are called last in, first out. Under light load few threads and few connections are in
//! use, and the rest end after [`REST`].

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::client::{Client, Group};
use super::finished::Finished;
use super::growth::Crowd;
use super::{Attempt, Job, attempt, thread};

/// Enough for a TLS handshake in a debug build, twice over; only what is touched takes memory.
const STACK_BYTES: usize = 256 * 1024;

/// A thread that has nothing to do for this long ends.
const REST: Duration = Duration::from_secs(30);

/// The threads, their line of jobs, and where their results go.
pub struct Crew {
    roster: Mutex<Roster>,
    finished: Finished,
}

struct Roster {
    waiting: VecDeque<Waiting>,
    /// Threads with nothing to do; the one that rested last is at the end.
    idle: Vec<Arc<Bell>>,
    /// The thread that looks after the line. Whenever jobs wait, there is one, unless every thread works
    /// or the system refuses another thread.
    watcher: Option<Arc<Bell>>,
    /// Threads that exist, busy, idle or about to start.
    threads: usize,
    /// Threads that are making an attempt.
    running: usize,
    last_taken: Instant,
    max_threads: usize,
    client: Arc<Client>,
    groups: Vec<Weak<Group>>,
    closing: bool,
}

struct Waiting {
    job: Job,
    since: Instant,
}

/// By which one particular thread is called. Belongs to the roster's mutex.
#[derive(Default)]
struct Bell {
    rung: Condvar,
    called: AtomicBool,
}

impl Crew {
    pub fn new(client: Client) -> io::Result<Arc<Crew>> {
        Ok(Arc::new(Crew {
            roster: Mutex::new(Roster {
                waiting: VecDeque::new(),
                idle: Vec::new(),
                watcher: None,
                threads: 0,
                running: 0,
                last_taken: Instant::now(),
                max_threads: client.max_threads(),
                client: Arc::new(client),
                groups: Vec::new(),
                closing: false,
            }),
            finished: Finished::new()?,
        }))
    }

    pub fn finished(&self) -> &Finished {
        &self.finished
    }

    /// The client that attempts from now on use.
    pub fn client(&self) -> Arc<Client> {
        Arc::clone(&self.roster().client)
    }

    /// Lets attempts that start from now on use `client`.
    pub fn set_client(&self, client: Client) {
        let mut roster = self.roster();
        roster.max_threads = client.max_threads();
        roster.client = Arc::new(client);
    }

    /// Puts a job in the line.
    pub fn submit(self: &Arc<Self>, job: Job) {
        let mut roster = self.roster();
        let first = roster.waiting.is_empty();
        roster.waiting.push_back(Waiting { job, since: Instant::now() });
        match &roster.watcher {
            // It may be waiting for the sake of a job that is gone.
            Some(watcher) if first => {
                let watcher = Arc::clone(watcher);
                drop(roster);
                watcher.rung.notify_one();
            }
            Some(_) => {}
            None => self.call_watcher(roster),
        }
    }

    /// Calls a watcher if jobs wait and have none, as after the system refused a thread.
    pub fn nudge(self: &Arc<Self>) {
        let roster = self.roster();
        if roster.watcher.is_none() && !roster.waiting.is_empty() {
            self.call_watcher(roster);
        }
    }

    /// Lets every thread end once it is done with what it does; waiting jobs are dropped.
    pub fn close(&self) {
        let mut roster = self.roster();
        roster.closing = true;
        roster.waiting.clear();
        for bell in mem::take(&mut roster.idle) {
            bell.called.store(true, Ordering::Relaxed);
            bell.rung.notify_one();
        }
    }

    #[cfg(test)]
    pub fn threads(&self) -> usize {
        self.roster().threads
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an idle thread the watcher, or a new one, if there is or may be one.
    fn call_watcher(self: &Arc<Self>, mut roster: MutexGuard<'_, Roster>) {
        if let Some(bell) = roster.idle.pop() {
            bell.called.store(true, Ordering::Relaxed);
            roster.watcher = Some(Arc::clone(&bell));
            drop(roster);
            bell.rung.notify_one();
        } else if roster.threads < roster.max_threads {
            let bell = Arc::new(Bell::default());
            roster.watcher = Some(Arc::clone(&bell));
            roster.threads += 1;
            let group = roster.join_group();
            drop(roster);
            if let Err(error) = self.spawn(bell, group) {
                self.refused(&error);
            }
        }
    }

    fn spawn(self: &Arc<Self>, bell: Arc<Bell>, group: Arc<Group>) -> io::Result<()> {
        let crew = Arc::clone(self);
        thread::spawn("pg_hooks io", STACK_BYTES, move || crew.work(&bell, &group))
    }

    /// The system refused a thread: those that run take over what waits. When there is none at all, what
    /// waits fails, which leaves it to the retry policy.
    fn refused(&self, error: &io::Error) {
        let mut roster = self.roster();
        roster.threads -= 1;
        roster.watcher = None;
        if roster.threads == 0 {
            for Waiting { job, .. } in mem::take(&mut roster.waiting) {
                self.finished.push(Attempt::fault(&job, format!("could not start a thread: {error}")));
            }
        }
    }

    /// The life of a thread. It starts as the watcher, since that is what it was started for.
    fn work(self: Arc<Self>, bell: &Arc<Bell>, group: &Group) {
        let mut watching = true;
        while let Some((job, client)) = self.next(bell, watching) {
            watching = false;
            self.finished.push(attempt::perform(group, &client, &job));
        }
    }

    /// Waits for a job. `None` when the thread shall end.
    fn next(self: &Arc<Self>, bell: &Arc<Bell>, mut watching: bool) -> Option<(Job, Arc<Client>)> {
        let mut roster = self.roster();
        if !watching {
            roster.running -= 1;
        }
        loop {
            if roster.closing || roster.threads > roster.max_threads {
                return self.leave(roster, watching);
            }
            let Some(head) = roster.waiting.front() else {
                roster = rest(roster, bell, watching)?;
                watching = true;
                continue;
            };
            let now = Instant::now();
            if watching && let Some(patience) = roster.crowd(head).patience(now) {
                roster = wait(bell, roster, patience);
                continue;
            }
            return self.take(roster, watching, now);
        }
    }

    /// Takes the head of the line; if that leaves jobs without a watcher, calls one.
    fn take(
        self: &Arc<Self>,
        mut roster: MutexGuard<'_, Roster>,
        watching: bool,
        now: Instant,
    ) -> Option<(Job, Arc<Client>)> {
        let Waiting { job, .. } = roster.waiting.pop_front()?;
        let client = Arc::clone(&roster.client);
        roster.running += 1;
        roster.last_taken = now;
        if watching {
            roster.watcher = None;
        }
        if roster.watcher.is_none() && !roster.waiting.is_empty() {
            self.call_watcher(roster);
        }
        Some((job, client))
    }

    /// Ends the calling thread.
    fn leave<T>(self: &Arc<Self>, mut roster: MutexGuard<'_, Roster>, watching: bool) -> Option<T> {
        roster.threads -= 1;
        if watching {
            roster.watcher = None;
            if !roster.waiting.is_empty() {
                self.call_watcher(roster);
            }
        }
        None
    }
}

impl Roster {
    fn crowd(&self, head: &Waiting) -> Crowd {
        Crowd {
            running: self.running,
            max_threads: self.max_threads,
            head_since: head.since,
            last_taken: self.last_taken,
        }
    }

    /// A group with a free place.
    fn join_group(&mut self) -> Arc<Group> {
        self.groups.retain(|group| group.strong_count() > 0);
        let open = self.groups.iter().find(|group| group.strong_count() < Group::SIZE);
        open.and_then(Weak::upgrade).unwrap_or_else(|| {
            let group = Arc::new(Group::default());
            self.groups.push(Arc::downgrade(&group));
            group
        })
    }
}

/// Rests until called to be the watcher. `None` when nobody called within [`REST`] and the thread has
/// been taken off the roster.
fn rest<'a>(
    mut roster: MutexGuard<'a, Roster>,
    bell: &Arc<Bell>,
    watching: bool,
) -> Option<MutexGuard<'a, Roster>> {
    if watching {
        roster.watcher = None;
    }
    bell.called.store(false, Ordering::Relaxed);
    roster.idle.push(Arc::clone(bell));
    let until = Instant::now() + REST;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        roster = wait(bell, roster, left);
        if bell.called.load(Ordering::Relaxed) {
            return Some(roster);
        }
        if left.is_zero() {
            roster.idle.retain(|idle| !Arc::ptr_eq(idle, bell));
            roster.threads -= 1;
            return None;
        }
    }
}

/// Waits for the bell, or for `limit` to pass.
fn wait<'a>(bell: &Bell, roster: MutexGuard<'a, Roster>, limit: Duration) -> MutexGuard<'a, Roster> {
    let waited = bell.rung.wait_timeout(roster, limit);
    waited.unwrap_or_else(PoisonError::into_inner).0
}

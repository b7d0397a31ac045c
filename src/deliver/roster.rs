//! Who is there, who is busy, and what waits: the state that the crew's threads share.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Weak};
use std::time::Instant;

use super::Job;
use super::client::{Client, Group};
use super::growth::{Crowd, FREE, Patience};
use super::running::{Begun, Running};

/// The line of jobs and the threads. Always behind the crew's mutex.
///
/// While jobs wait, some thread is on its way to them or watches them, unless every thread works or the
/// system refuses another one.
pub struct Roster {
    line: VecDeque<Waiting>,
    /// Threads with nothing to do; the one that rested last is at the end and called first.
    idle: Vec<Arc<Bell>>,
    /// Whether a thread looks after the jobs that wait.
    pub watched: bool,
    /// Threads that exist or are about to, busy or not.
    pub threads: usize,
    /// Threads called or started that have not looked at the line yet.
    pub arriving: usize,
    /// Threads that are making an attempt.
    pub running: Running,
    last_taken: Instant,
    pub client: Arc<Client>,
    groups: Vec<Weak<Group>>,
    pub closing: bool,
}

struct Waiting {
    job: Job,
    since: Instant,
}

/// By which one particular thread is called.
#[derive(Default)]
pub struct Bell {
    pub rung: Condvar,
    called: AtomicBool,
}

impl Bell {
    /// Whether the thread was called since it rested. Only under the roster's mutex.
    pub fn is_called(&self) -> bool {
        self.called.load(Ordering::Relaxed)
    }
}

/// Threads to be woken or started once the mutex is released.
#[derive(Default)]
pub struct Calls {
    pub idle: Vec<Arc<Bell>>,
    pub recruits: Vec<Arc<Group>>,
}

impl Roster {
    pub fn new(client: Client) -> Roster {
        Roster {
            line: VecDeque::new(),
            idle: Vec::new(),
            watched: false,
            threads: 0,
            arriving: 0,
            running: Running::new(Instant::now()),
            last_taken: Instant::now(),
            client: Arc::new(client),
            groups: Vec::new(),
            closing: false,
        }
    }

    /// Puts a job at the end of the line.
    pub fn enqueue(&mut self, job: Job, now: Instant) {
        self.line.push_back(Waiting { job, since: now });
    }

    /// Takes the job at the head of the line for the calling thread.
    pub fn dequeue(&mut self, now: Instant) -> Option<(Job, Begun)> {
        let Waiting { job, .. } = self.line.pop_front()?;
        self.last_taken = now;
        Some((job, self.running.begin(now)))
    }

    /// Empties the line.
    pub fn clear(&mut self) -> impl Iterator<Item = Job> {
        mem::take(&mut self.line).into_iter().map(|waiting| waiting.job)
    }

    /// How long the head of the line can wait for a thread that is busy now; `None` when nothing waits.
    pub fn patience(&mut self, now: Instant) -> Option<Patience> {
        let head = self.line.front()?;
        let crowd = Crowd {
            busy: self.running.expected(now) + self.arriving,
            max_threads: self.client.max_threads(),
            head_since: head.since,
            last_taken: self.last_taken,
        };
        Some(crowd.patience(now))
    }

    /// Whether there are more threads than there may be by now.
    pub fn is_crowded(&self) -> bool {
        self.threads > self.client.max_threads()
    }

    /// Calls whom the line needs: one thread for each job that shall not wait, a few at a time, or one to
    /// watch. Nobody when there is nobody left.
    pub fn call(&mut self, now: Instant) -> Calls {
        let wanted = match self.patience(now) {
            Some(Patience::Over) => self.line.len().min(FREE),
            Some(Patience::For(_)) if !self.watched => 1,
            _ => 0,
        };
        let mut calls = Calls::default();
        while self.arriving < wanted {
            if let Some(bell) = self.idle.pop() {
                bell.called.store(true, Ordering::Relaxed);
                calls.idle.push(bell);
            } else if self.threads < self.client.max_threads() {
                self.threads += 1;
                let group = self.join_group();
                calls.recruits.push(group);
            } else {
                break;
            }
            self.arriving += 1;
        }
        calls
    }

    /// Calls every idle thread.
    pub fn call_all(&mut self) -> Calls {
        let idle = mem::take(&mut self.idle);
        for bell in &idle {
            bell.called.store(true, Ordering::Relaxed);
        }
        self.arriving += idle.len();
        Calls {
            idle,
            recruits: Vec::new(),
        }
    }

    /// Makes the calling thread idle.
    pub fn rest(&mut self, bell: &Arc<Bell>) {
        bell.called.store(false, Ordering::Relaxed);
        self.idle.push(Arc::clone(bell));
    }

    /// Ends the idle thread with this bell, which nobody has called.
    pub fn dismiss(&mut self, bell: &Arc<Bell>) {
        self.idle.retain(|idle| !Arc::ptr_eq(idle, bell));
        self.threads -= 1;
    }

    /// A group with a free place.
    fn join_group(&mut self) -> Arc<Group> {
        self.groups.retain(|group| group.strong_count() > 0);
        let open = self
            .groups
            .iter()
            .find(|group| group.strong_count() < Group::SIZE);
        open.and_then(Weak::upgrade).unwrap_or_else(|| {
            let group = Arc::new(Group::default());
            self.groups.push(Arc::downgrade(&group));
            group
        })
    }
}

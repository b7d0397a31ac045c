//! The threads that make attempts.
//!
//! A thread that finishes an attempt takes the next job by itself. While jobs wait, one further thread
//! watches the line: when its head waits for too long (see `growth`), the watcher takes that job and
//! calls others, idle ones first and then new ones. So a fast receiver is served by few threads and the
//! submitting thread hardly ever wakes one, and yet no job waits behind threads that hang.
//!
//! Idle threads are called last in, first out. Under light load few threads and few connections are in
//! use, and the rest end after a while.

use std::io;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::client::{Client, Group};
use super::exchange::Shortage;
use super::finished::Finished;
use super::growth::Patience;
use super::roster::{Bell, Roster};
use super::running::Begun;
use super::{Attempt, Job, attempt, thread};
use crate::domain::outcome::Outcome;
use crate::fault;

/// Enough for a TLS handshake in a debug build; only what is touched takes memory.
const STACK_BYTES: usize = 256 * 1024;

/// How long an attempt waits for a descriptor here. Meanwhile nobody heeds what becomes of the message.
const BEARABLE: Duration = Duration::from_secs(1);

/// The threads, their line of jobs, and where their results go.
pub struct Crew {
    roster: Mutex<Roster>,
    finished: Finished,
    /// A thread that has nothing to do for this long ends.
    rest: Duration,
}

/// How a thread comes to look for a job.
enum Coming {
    Called,
    Back(Begun),
}

impl Crew {
    /// A crew without threads; each ends after `rest` without work.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub fn new(client: Client, rest: Duration) -> io::Result<Arc<Crew>> {
        Ok(Arc::new(Crew {
            roster: Mutex::new(Roster::new(client)),
            finished: Finished::new()?,
            rest,
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
        let before = mem::replace(&mut self.roster().client, Arc::new(client));
        before.retire();
    }

    /// Puts a job in the line.
    pub fn submit(self: &Arc<Self>, job: Job) {
        let mut roster = self.roster();
        let now = Instant::now();
        roster.enqueue(job, now);
        self.call(roster, now);
    }

    /// Calls whom the line needs, as nobody else may be left to do so after the system refused a thread.
    pub fn nudge(self: &Arc<Self>) {
        self.call(self.roster(), Instant::now());
    }

    /// Lets every thread end once it is done with what it does. Returns the jobs that no thread took.
    pub fn close(&self) -> Vec<Job> {
        let mut roster = self.roster();
        roster.closing = true;
        let waiting = roster.clear().collect();
        for bell in roster.call_all().idle {
            bell.rung.notify_one();
        }
        waiting
    }

    #[cfg(test)]
    pub fn threads(&self) -> usize {
        self.roster().threads
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(self: &Arc<Self>, mut roster: MutexGuard<'_, Roster>, now: Instant) {
        let calls = roster.call(now);
        drop(roster);
        for bell in calls.idle {
            bell.rung.notify_one();
        }
        for group in calls.recruits {
            if let Err(error) = self.recruit(group) {
                self.refused(&error);
            }
        }
    }

    fn recruit(self: &Arc<Self>, group: Arc<Group>) -> io::Result<()> {
        let crew = Arc::clone(self);
        fault::io("thread: io")?;
        thread::spawn("pg_hooks io", STACK_BYTES, move || crew.work(&group))
    }

    /// The system refused a thread: those that run take over what waits. When there is none at all, what
    /// waits fails, which leaves it to the retry policy.
    fn refused(&self, error: &io::Error) {
        let mut roster = self.roster();
        roster.threads -= 1;
        roster.arriving -= 1;
        if roster.threads == 0 {
            for job in roster.clear() {
                self.finished
                    .push(Attempt::fault(&job, format!("could not start a thread: {error}")));
            }
        }
    }

    /// The life of a thread.
    fn work(self: Arc<Self>, group: &Group) {
        let bell = Arc::default();
        let mut coming = Coming::Called;
        while let Some((job, client, begun)) = self.next(&bell, coming) {
            match self.attempt(group, client, &job) {
                Some(attempt) => self.finished.push(attempt),
                None => self.finished.give_back(job),
            }
            coming = Coming::Back(begun);
        }
        self.client().sweep();
    }

    /// Makes the attempt. It begins when the machine has what it takes; until then the message waits, and
    /// nobody is to blame but the machine. `None` when that takes too long, or the message has expired in the line,
    /// or the pool is closed: no attempt was made.
    fn attempt(&self, group: &Group, mut client: Arc<Client>, job: &Job) -> Option<Attempt> {
        let since = Instant::now();
        loop {
            let now = attempt::now();
            if job.message.expires_at.is_some_and(|at| at <= now) {
                return None;
            }
            match attempt::perform(group, &client, job, now) {
                Ok(Attempt {
                    outcome: Outcome::Accepted { .. },
                    ..
                }) if fault::strikes("bug: sent twice") => {}
                Ok(attempt) => return Some(attempt),
                Err(Shortage(_)) if self.roster().closing => return None,
                Err(Shortage(detail)) if since.elapsed() > BEARABLE => {
                    self.finished.complain(format!("{detail}; deliveries wait"));
                    return None;
                }
                Err(Shortage(_)) => {
                    client.pause();
                    client = self.client();
                }
            }
        }
    }

    /// Waits for a job. `None` when the thread shall end.
    fn next(self: &Arc<Self>, bell: &Arc<Bell>, coming: Coming) -> Option<(Job, Arc<Client>, Begun)> {
        let mut roster = self.roster();
        let mut take_any = match coming {
            Coming::Called => {
                roster.arriving -= 1;
                false
            }
            Coming::Back(begun) => {
                roster.running.end(begun, Instant::now());
                true
            }
        };
        loop {
            let now = Instant::now();
            if roster.closing || roster.is_crowded() {
                roster.threads -= 1;
                self.call(roster, now);
                return None;
            }
            roster = match roster.patience(now) {
                Some(Patience::For(time)) if !take_any && !roster.watched => watch(bell, roster, time),
                Some(Patience::For(_)) if !take_any => self.rest(bell, roster)?,
                Some(_) => return self.take(roster, now),
                None => self.rest(bell, roster)?,
            };
            take_any = false;
        }
    }

    fn take(
        self: &Arc<Self>,
        mut roster: MutexGuard<'_, Roster>,
        now: Instant,
    ) -> Option<(Job, Arc<Client>, Begun)> {
        let (job, begun) = roster.dequeue(now)?;
        let client = Arc::clone(&roster.client);
        self.call(roster, now);
        Some((job, client, begun))
    }

    /// Rests until called. `None` when nobody did in time, and the thread is off the roster.
    fn rest<'a>(
        &self,
        bell: &Arc<Bell>,
        mut roster: MutexGuard<'a, Roster>,
    ) -> Option<MutexGuard<'a, Roster>> {
        roster.rest(bell);
        let until = Instant::now() + self.rest;
        while !bell.is_called() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                roster.dismiss(bell);
                return None;
            }
            roster = wait(bell, roster, left);
        }
        roster.arriving -= 1;
        Some(roster)
    }
}

/// Looks after the line for `time`.
fn watch<'a>(bell: &Bell, mut roster: MutexGuard<'a, Roster>, time: Duration) -> MutexGuard<'a, Roster> {
    roster.watched = true;
    roster = wait(bell, roster, time);
    roster.watched = false;
    roster
}

/// Waits for the bell, or for `limit` to pass.
fn wait<'a>(bell: &Bell, roster: MutexGuard<'a, Roster>, limit: Duration) -> MutexGuard<'a, Roster> {
    bell.rung
        .wait_timeout(roster, limit)
        .unwrap_or_else(PoisonError::into_inner)
        .0
}

#[cfg(test)]
mod tests {
    use super::super::tests::{job, queue, settings};
    use super::*;
    use crate::domain::outcome::Outcome;

    /// A crew with one job in the line, and so many threads of which one has not come yet.
    fn waiting(threads: usize) -> Arc<Crew> {
        let crew = Crew::new(Client::new(settings()), Duration::from_secs(1)).expect("a crew");
        let mut roster = crew.roster();
        roster.enqueue(job(&Arc::new(queue("http://127.0.0.1:9/")), 7), Instant::now());
        (roster.threads, roster.arriving) = (threads, 1);
        drop(roster);
        crew
    }

    #[test]
    fn thread_that_the_system_refuses_leaves_its_work_to_others() {
        let crew = waiting(2);
        crew.refused(&io::ErrorKind::WouldBlock.into());
        let mut attempts = Vec::new();
        crew.finished().take(&mut attempts);
        assert!(attempts.is_empty());
        assert_eq!((crew.threads(), crew.roster().arriving), (1, 0));
        assert_eq!(crew.close().len(), 1);
    }

    #[test]
    fn without_any_thread_what_waits_fails_at_once() {
        let crew = waiting(1);
        crew.refused(&io::Error::from_raw_os_error(nix::libc::EAGAIN));
        let mut attempts = Vec::new();
        crew.finished().take(&mut attempts);
        assert_eq!(attempts.len(), 1);
        assert_eq!((attempts[0].message_id, attempts[0].attempt), (7, 1));
        match &attempts[0].outcome {
            Outcome::Fault { detail } => {
                assert!(detail.starts_with("could not start a thread: "), "{detail}")
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(attempts[0].duration, Duration::ZERO);
        assert!(crew.close().is_empty());
    }
}

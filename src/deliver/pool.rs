//! What the main thread calls. Nothing here blocks on the network, and nothing panics.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use super::client::Client;
use super::crew::Crew;
use super::settings::Settings;
use super::{Attempt, Job};

/// A thread that has nothing to do for this long ends, so that a burst does not hold its memory for good.
const REST: Duration = Duration::from_secs(30);

/// The I/O threads. Made once by the leader; dropping it lets the threads end in their own time, without
/// waiting for those that are on the wire.
pub struct Pool {
    crew: Arc<Crew>,
}

impl Pool {
    /// A pool without threads; they start when there is work.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub fn start(settings: Settings) -> io::Result<Pool> {
        Ok(Pool {
            crew: Crew::new(Client::new(settings), REST)?,
        })
    }

    /// An eventfd that is readable while finished attempts wait to be taken; belongs to the pool.
    #[must_use]
    pub fn wake_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }

    /// Hands over a job. Exactly one [`Attempt`] comes back for it, about as late as the queue's timeout at most
    /// once a thread has taken it and has a socket for it; or the job itself, see [`Pool::take_unstarted`], unless
    /// the pool is closed first. More jobs than `max_threads` wait for a free thread.
    pub fn submit(&self, job: Job) {
        self.crew.submit(job);
    }

    /// Moves every finished attempt into `into`, in the order in which they finished.
    pub fn take_finished(&self, into: &mut Vec<Attempt>) {
        self.crew.finished().take(into);
        self.crew.nudge();
    }

    /// Jobs of which no attempt was made: the message expired before, or this machine had no socket for it within a
    /// second. [`Pool::wake_fd`] announces them too.
    #[must_use]
    pub fn take_unstarted(&self) -> Vec<Job> {
        self.crew.finished().take_unstarted()
    }

    /// What the operator should know about attempts that cannot be made, for the server's log: at most one
    /// line a minute, without the name of the process in front. The eventfd announces it too.
    #[must_use]
    pub fn take_complaint(&self) -> Option<String> {
        self.crew.finished().take_complaint()
    }

    /// Makes the descriptor readable from now on only when so many finished attempts wait. Whoever asks
    /// for more than one looks in time without being told.
    pub fn wake_from(&self, attempts: usize) {
        self.crew.finished().announce_from(attempts);
    }

    /// Lets attempts that start from now on use `settings`, with fresh connections and with
    /// certificates read anew. Those under way end as they began.
    pub fn reconfigure(&self, settings: Settings) {
        let client = self.crew.client().with(settings);
        self.crew.set_client(client);
    }

    /// Attempts that can be under way at once: `max_threads`, or fewer if the process may not open
    /// that many sockets.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.crew.client().max_threads()
    }

    /// What the operator should know, for the server's log, if the process may not open enough sockets.
    #[must_use]
    pub fn shortfall(&self) -> Option<String> {
        self.crew.client().shortfall()
    }

    /// What the operator should know, for the server's log, if the file of certificate authorities is of no
    /// use. Reads it.
    #[must_use]
    pub fn distrust(&self) -> Option<String> {
        self.crew.client().distrust()
    }

    /// Starts nothing more, and gives back the jobs that were not started. Those under way go on, and
    /// their results can be taken.
    pub fn close(&self) -> Vec<Job> {
        self.crew.close()
    }

    #[cfg(test)]
    pub fn threads(&self) -> usize {
        self.crew.threads()
    }

    #[cfg(test)]
    pub fn crew(&self) -> Arc<Crew> {
        Arc::clone(&self.crew)
    }
}

impl AsFd for Pool {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.crew.finished().event()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.crew.close();
    }
}

//! How many sockets there may be. The rest of the process' file descriptors belongs to Postgres.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::fault;

/// Descriptors left to Postgres for its own files, and to lookups of names.
const RESERVE: usize = 256;

/// How long to wait at a time for a socket to be closed.
const MOMENT: Duration = Duration::from_millis(50);

/// The budget of sockets. Shared by all configurations of the pool, as the limit is one of the process.
pub struct Descriptors {
    budget: Mutex<Budget>,
    freed: Condvar,
}

#[derive(Default)]
struct Budget {
    open: usize,
    /// Most sockets at once.
    most: usize,
    /// The process' limit on open files that `most` comes from.
    limit: usize,
    waiting: usize,
}

/// The right to one socket; gone with it.
pub struct Permit {
    descriptors: Arc<Descriptors>,
}

impl Descriptors {
    /// For `max_threads` attempts at once.
    pub fn new(max_threads: usize) -> Descriptors {
        let descriptors = Descriptors {
            budget: Mutex::default(),
            freed: Condvar::new(),
        };
        descriptors.adapt(max_threads);
        descriptors
    }

    /// Makes room for `max_threads` attempts at once and as many kept connections. Raises the soft limit
    /// of the process where that is too low, as far as the hard one allows.
    pub fn adapt(&self, max_threads: usize) {
        let wanted = max_threads.saturating_mul(2);
        let limit = raised_limit(wanted.saturating_add(RESERVE));
        let mut budget = self.budget();
        budget.limit = limit;
        budget.most = wanted.min(sockets_within(limit));
    }

    /// Most sockets at once.
    pub fn most(&self) -> usize {
        self.budget().most
    }

    /// The process' limit on open files, and how many of them may be sockets.
    pub fn limit(&self) -> (usize, usize) {
        let limit = self.budget().limit;
        (limit, sockets_within(limit))
    }

    /// The right to open one more socket. While there are as many as there may be, `make_room` is asked to
    /// close one that nobody needs; if it has none, waits for a moment.
    pub fn permit(self: &Arc<Self>, make_room: impl Fn() -> bool) -> Option<Permit> {
        loop {
            if let Some(permit) = self.try_permit() {
                return Some(permit);
            }
            if !make_room() {
                self.pause();
                return self.try_permit();
            }
        }
    }

    fn try_permit(self: &Arc<Self>) -> Option<Permit> {
        if fault::strikes("socket: permit") {
            return None;
        }
        let mut budget = self.budget();
        if budget.open >= budget.most {
            return None;
        }
        budget.open += 1;
        let descriptors = Arc::clone(self);
        Some(Permit { descriptors })
    }

    /// Waits until a socket is closed, for a moment.
    pub fn pause(&self) {
        let mut budget = self.budget();
        budget.waiting += 1;
        let (mut budget, _) = self
            .freed
            .wait_timeout(budget, MOMENT)
            .unwrap_or_else(PoisonError::into_inner);
        budget.waiting -= 1;
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut budget = self.descriptors.budget();
        budget.open -= 1;
        if budget.waiting > 0 {
            self.descriptors.freed.notify_one();
        }
    }
}

/// Whether the process or the machine lacks what a socket takes, which is no fault of the receiver.
pub fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    error
        .raw_os_error()
        .is_some_and(|number| shortages.contains(&Errno::from_raw(number)))
}

/// How many of so many descriptors may be sockets.
fn sockets_within(limit: usize) -> usize {
    limit.saturating_sub(RESERVE).max(limit / 2)
}

/// The soft limit on open files, raised to `wanted` if it is lower and the hard one permits.
fn raised_limit(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return 1024;
    };
    let raised = hard.min(u64::try_from(wanted).unwrap_or(u64::MAX));
    let limit = if soft < raised && setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok() {
        raised
    } else {
        soft
    };
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_leave_descriptors_to_postgres() {
        assert_eq!(sockets_within(65_536), 65_280);
        assert_eq!(sockets_within(1_024), 768);
        assert_eq!(sockets_within(512), 256);
        assert_eq!(sockets_within(100), 50);
    }

    #[test]
    fn soft_limit_is_raised_as_far_as_the_hard_one() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits");
        let most = usize::try_from(hard).expect("a limit");
        setrlimit(Resource::RLIMIT_NOFILE, hard / 2, hard).expect("a lower soft limit");
        assert_eq!(raised_limit(1), most / 2);
        assert_eq!(raised_limit(most / 2 + 1), most / 2 + 1);
        assert_eq!(raised_limit(usize::MAX), most);
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE), Ok((hard, hard)));
    }

    #[test]
    fn budget_follows_the_number_of_threads() {
        let descriptors = Descriptors::new(8);
        assert_eq!(descriptors.most(), 16);
        descriptors.adapt(2);
        assert_eq!(descriptors.most(), 4);
    }

    #[test]
    fn there_are_no_more_permits_than_sockets() {
        let descriptors = Arc::new(Descriptors::new(1));
        let permit = || descriptors.permit(|| false);
        let (first, second) = (permit(), permit());
        assert!(first.is_some() && second.is_some());
        assert!(permit().is_none());
        drop(first);
        assert!(permit().is_some());
    }

    #[test]
    fn room_is_made_before_anybody_waits() {
        let descriptors = Arc::new(Descriptors::new(1));
        let permit = || descriptors.permit(|| false);
        let kept = Mutex::new(vec![permit(), permit()]);
        let evict = || kept.lock().expect("kept").pop().is_some();
        assert!(descriptors.permit(evict).is_some());
        assert_eq!(kept.lock().expect("kept").len(), 1);
    }
}

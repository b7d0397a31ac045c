//! The leader of one database: the loop that moves messages from the table to the I/O threads and
//! results back.
//!
//! It decides nothing: the scheduler does. It holds no transaction while HTTP is under way, and when
//! nothing is due it sleeps until a commit, a result, a due time or the next rescan.

mod delivery;
mod follow;
mod notices;
mod results;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::deliver::{Pool, Settings};
use crate::domain::address::AddressRules;
use crate::domain::queue::QueueId;
use crate::domain::scheduler::{Notice, Scheduler};
use crate::domain::time::Timestamp;
use crate::session::{self, Failure};
use crate::store::{self, Record};
use crate::wait::WaitSet;
use crate::{guc, wake};

/// How long an orderly end waits for attempts that are on the wire.
const LAST_ATTEMPTS: Duration = Duration::from_secs(2);
/// How long a result may wait for others to be recorded with it, while more are on the way. A
/// transaction costs as much as recording thirty results.
const LINGER: Duration = Duration::from_millis(1);
/// Results that are recorded without waiting for more.
const FULL_BATCH: usize = 128;
/// Pause after a failed transaction.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);

/// Everything the leader holds. All of it can be lost: the tables say what is still to be sent.
struct Leader {
    database: &'static wake::Database,
    extension: pg_sys::Oid,
    webhook_key: String,
    scheduler: Scheduler,
    pool: Pool,
    /// Results that are not recorded yet; their messages count as in flight.
    unrecorded: Vec<Record>,
    /// What the scheduler learnt of queues and is not shown in the tables yet.
    notices: Vec<(QueueId, Notice)>,
    /// When `unrecorded` is recorded at the latest.
    linger_until: Timestamp,
    /// Results of messages whose rows somebody else has locked.
    held_up: Vec<Record>,
    /// When to look at these locks again.
    held_up_until: Timestamp,
    next_rescan: Timestamp,
    /// After a failed transaction, no other before this time.
    paused_until: Timestamp,
    /// Transactions are prepared, so that rows may become visible without a note.
    prepared: bool,
    random: fastrand::Rng,
}

/// Leads until the process is told to end.
pub fn run(database: &'static wake::Database, extension: pg_sys::Oid) -> ! {
    session::bound_lock_waits();
    session::end_in_order_on_sigterm();
    let mut leader = begin(database, extension);
    let waits = WaitSet::new(leader.pool.wake_fd());
    database.lead(leader_since());
    log!("pg_hooks worker leads in this database");
    while !session::terminating() {
        let busy = leader.turn();
        if !busy.is_zero() {
            session::report_idle();
            if busy > FAILURE_PAUSE {
                session::flush_statistics();
            }
        }
        // While results linger, more of them are no reason to wake.
        waits.wait(busy, leader.unrecorded.is_empty());
        session::check_interrupts();
        if session::reload_settings() {
            leader.reconfigure();
        }
    }
    leader.end(&waits)
}

fn leader_since() -> i64 {
    session::to_postgres(session::now()).into()
}

fn begin(database: &'static wake::Database, extension: pg_sys::Oid) -> Leader {
    let begun = session::transaction(c"pg_hooks: beginning to lead", |client| {
        store::forget_open_breakers(client)?;
        store::begin_leading(client)
    });
    let installation = begun.unwrap_or_else(|failure| give_up("could not begin to lead", &failure));
    let pool = Pool::start(pool_settings()).unwrap_or_else(|error| {
        warning!("pg_hooks worker could not start: {error}");
        session::exit_for_restart()
    });
    let now = session::now();
    let mut leader = Leader {
        database,
        extension,
        webhook_key: installation.webhook_key,
        scheduler: Scheduler::new(guc::max_in_flight(), (!installation.ended_clean).then_some(now)),
        pool,
        unrecorded: Vec::new(),
        notices: Vec::new(),
        linger_until: now,
        held_up: Vec::new(),
        held_up_until: now,
        next_rescan: now,
        paused_until: now,
        prepared: true,
        random: fastrand::Rng::new(),
    };
    if let Err(failure) = leader.load_everything() {
        give_up("could not load the queues", &failure);
    }
    leader
}

fn give_up(what: &str, failure: &Failure) -> ! {
    warning!("pg_hooks worker {what}: {failure}");
    session::exit_for_restart()
}

fn pool_settings() -> Settings {
    let rules = guc::address_rules().unwrap_or_else(|problem| {
        warning!("hooks.allowed_networks is not valid, so it allows nothing: {problem}");
        AddressRules::strictest()
    });
    Settings {
        max_threads: guc::max_in_flight(),
        capture_limit: guc::response_capture(),
        address_rules: Arc::new(rules),
        ca_file: guc::ca_file(),
    }
}

impl Leader {
    /// One round of work. Returns how long the loop may sleep; zero when there is more to do.
    fn turn(&mut self) -> Duration {
        self.take_results();
        let now = session::now();
        if now >= self.paused_until {
            let done = self
                .follow(now)
                .and_then(|()| self.record_in_time(now))
                .and_then(|()| self.show_notices())
                .and_then(|()| self.deliver());
            if let Err(failure) = done {
                self.pause(&failure);
            }
        }
        let in_flight = u32::try_from(self.scheduler.in_flight()).unwrap_or(u32::MAX);
        self.database.in_flight.store(in_flight, Ordering::Relaxed);
        self.time_to_sleep()
    }

    fn time_to_sleep(&self) -> Duration {
        let mut wake = self.next_rescan;
        if let Some(at) = self.scheduler.next_wake() {
            wake = wake.min(at);
        }
        if !self.held_up.is_empty() {
            wake = wake.min(self.held_up_until);
        }
        if !self.unrecorded.is_empty() {
            wake = wake.min(self.linger_until);
        }
        wake.max(self.paused_until).since(session::now())
    }

    /// Records when it is worth a transaction: the batch is large, most of what is in flight has come
    /// back, or the first result has waited long enough.
    fn record_in_time(&mut self, now: Timestamp) -> Result<(), Failure> {
        let enough = FULL_BATCH.min(self.scheduler.in_flight().div_ceil(2));
        if self.unrecorded.len() < enough && now < self.linger_until && self.held_up.is_empty() {
            return Ok(());
        }
        self.record()
    }

    /// Nothing is lost by a failed transaction: what it was to do stays to be done.
    fn pause(&mut self, failure: &Failure) {
        self.leave_if_extension_is_gone(failure);
        warning!(
            "pg_hooks worker tries again in {} ms: {failure}",
            FAILURE_PAUSE.as_millis()
        );
        self.paused_until = session::now().after(FAILURE_PAUSE);
    }

    fn reconfigure(&mut self) {
        self.scheduler.set_slots(guc::max_in_flight());
        self.pool.reconfigure(pool_settings());
    }

    /// Ends in order: starts nothing more, gives what is on the wire a moment, records what came.
    fn end(mut self, waits: &WaitSet) -> ! {
        let deadline = session::now().after(LAST_ATTEMPTS);
        while self.scheduler.in_flight() > 0 && session::now() < deadline {
            self.take_results();
            if self.record().is_err() {
                break;
            }
            waits.wait(
                deadline.since(session::now()).min(Duration::from_millis(50)),
                true,
            );
        }
        if let Err(failure) = session::transaction(c"pg_hooks: ending", store::end_leading) {
            log!("pg_hooks worker could not note its end: {failure}");
        }
        session::exit_for_restart()
    }
}

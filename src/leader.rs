//! The leader of one database: the loop that moves messages from the table to the I/O threads and
//! results back.
//!
//! It decides nothing: the scheduler does. It holds no transaction while HTTP is under way, and when
//! nothing is due it sleeps until a commit, a result, a due time or the next rescan.

mod bulletins;
mod cron;
mod delivery;
mod follow;
mod loading;
mod notices;
mod prepared;
mod punctual;
mod results;
mod showing;
mod standing;
mod survey;
mod tallying;
mod tidying;
mod trials;
mod turn;

use std::cell::RefCell;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pgrx::pg_sys;

use cron::Cron;
use prepared::Prepared;
use showing::Showing;
use standing::Standing;
use survey::Survey;
use tallying::Tallying;
use tidying::Tidying;
use trials::Trying;

use crate::deliver::{Pool, Settings};
use crate::domain::address::AddressRules;
use crate::domain::bulletin::Press;
use crate::domain::queue::QueueId;
use crate::domain::scheduler::{MessageId, Notice, Scheduler};
use crate::domain::time::Timestamp;
use crate::session::{self, Failure};
use crate::store::{self, Record};
use crate::wait::WaitSet;
use crate::{guc, log, wake};

/// How long an orderly end waits for attempts that are on the wire.
const LAST_ATTEMPTS: Duration = Duration::from_secs(1);
/// How long a result may wait for others to be recorded with it, while more are on the way. A
/// transaction costs as much as recording thirty results.
const LINGER: Duration = Duration::from_millis(1);
/// How often to look again at rows that somebody else has locked.
const LOCK_POLL: Duration = Duration::from_millis(500);
/// A sleep so long is worth handing the statistics over first.
const LONG_SLEEP: Duration = Duration::from_secs(1);

/// Everything the leader holds. All of it can be lost: the tables say what is still to be sent.
struct Leader {
    database: &'static wake::Database,
    extension: pg_sys::Oid,
    webhook_key: String,
    /// Whether there are queues, or ever were some.
    had_queues: bool,
    /// What was found means that nothing may be sent from here: this process makes room for one that waits.
    is_held: bool,
    /// Whether `hooks.start_paused` was on when this process began to lead.
    began_paused: bool,
    scheduler: Scheduler,
    pool: Pool,
    /// Results that are not recorded yet; their messages count as in flight.
    unrecorded: Vec<Record>,
    /// Messages that no attempt was made of, with when they are due.
    given_back: Vec<(MessageId, Timestamp)>,
    /// What the scheduler learnt of queues and is not shown in the tables yet.
    notices: Vec<(QueueId, Notice)>,
    standing: Standing,
    /// When `unrecorded` is recorded at the latest.
    linger_until: Timestamp,
    /// Results of messages whose rows somebody else has locked.
    held_up: Vec<Record>,
    /// Messages to be read again, as their rows could not be claimed or moved, with their due times.
    postponed: Vec<(MessageId, Timestamp)>,
    /// When to come back to what is held up or postponed.
    held_up_until: Timestamp,
    survey: Survey,
    cron: Cron,
    /// When to look at all queues again.
    next_survey: Timestamp,
    tidying: Tidying,
    tallying: Tallying,
    trying: Trying,
    showing: Showing,
    press: RefCell<Press>,
    /// Queues that do not exist and that messages name.
    orphaned: Vec<QueueId>,
    prepared: Prepared,
    /// After a failed transaction, that part of the work rests.
    follow_at: Timestamp,
    record_at: Timestamp,
    deliver_at: Timestamp,
    notices_at: Timestamp,
    random: fastrand::Rng,
    /// The time when last looked.
    told: Timestamp,
}

/// Leads until the process is told to end.
pub fn run(database: &'static wake::Database, extension: pg_sys::Oid) -> ! {
    session::end_in_order_on_sigterm();
    let mut leader = begin(database, extension);
    leader.begin_history();
    let waits = WaitSet::new(leader.pool.wake_fd());
    database.lead(session::to_postgres(session::now()).into());
    log::leads();
    while !session::terminating() && !leader.is_held {
        let sleep = leader.turn();
        if !sleep.is_zero() {
            session::report_idle();
            if sleep > LONG_SLEEP {
                session::flush_statistics();
            }
        }
        // Waiting for a lock or a standby resets the latch, and so may have swallowed a call that came meanwhile.
        session::check_interrupts();
        let called = database.notes.has_news()
            || leader.is_asked_to_try()
            || session::terminating()
            || session::reload_pending();
        let sleep = if called {
            leader.follow_at.since(session::now()).min(sleep)
        } else {
            sleep
        };
        leader.pool.wake_from(leader.results_to_wake_for());
        waits.wait(sleep);
        session::check_interrupts();
        if session::reload_settings() {
            leader.reconfigure();
        }
    }
    leader.end(&waits)
}

fn begin(database: &'static wake::Database, extension: pg_sys::Oid) -> Leader {
    let begun = session::transaction(c"pg_hooks: beginning to lead", |client| {
        let installation = store::begin_leading(client)?;
        Ok((
            installation,
            store::load_failing(client)?,
            store::load_held(client)?,
            store::load_open(client)?,
        ))
    });
    let (installation, failing, held, open) = begun.unwrap_or_else(|failure| {
        if !session::terminating() {
            log::could_not_begin(failure);
        }
        session::exit_for_restart()
    });
    let pool = Pool::start(pool_settings()).unwrap_or_else(|error| {
        log::could_not_start(error);
        session::exit_for_restart()
    });
    tell_of_lacks(&pool);
    let now = session::now();
    let mut scheduler = Scheduler::new(pool.capacity(), (!installation.ended_clean).then_some(now));
    scheduler.set_disable_after(guc::disable_after());
    scheduler.recall_failing(failing);
    Leader {
        database,
        extension,
        webhook_key: installation.webhook_key,
        had_queues: installation.had_queues,
        is_held: false,
        began_paused: guc::start_paused(),
        scheduler,
        pool,
        unrecorded: Vec::new(),
        given_back: Vec::new(),
        notices: Vec::new(),
        standing: Standing::begin(held, open),
        linger_until: now,
        held_up: Vec::new(),
        postponed: Vec::new(),
        held_up_until: now,
        survey: Survey::begin(),
        cron: Cron::begin(),
        next_survey: Timestamp::MAX,
        tidying: Tidying::begin(),
        tallying: Tallying::begin(now),
        trying: Trying::new(),
        showing: Showing::new(),
        press: RefCell::default(),
        orphaned: Vec::new(),
        prepared: Prepared::begin(),
        follow_at: now,
        record_at: now,
        deliver_at: now,
        notices_at: now,
        random: fastrand::Rng::new(),
        told: now,
    }
}

/// Tells the operator what the I/O threads lack.
fn tell_of_lacks(pool: &Pool) {
    if let Some(shortfall) = pool.shortfall() {
        log::few_descriptors(shortfall);
    }
    if let Some(problem) = pool.distrust() {
        log::distrusts(problem);
    }
}

fn pool_settings() -> Settings {
    let rules = guc::address_rules().unwrap_or_else(|problem| {
        log::addresses_invalid(problem);
        AddressRules::strictest()
    });
    let proxy = guc::proxy().unwrap_or_else(|problem| {
        log::proxy_invalid(problem);
        None
    });
    Settings {
        max_threads: guc::max_in_flight(),
        capture_limit: guc::response_capture(),
        address_rules: Arc::new(rules),
        proxy,
        ca_file: guc::ca_file(),
    }
}

impl Leader {
    /// A transaction that is rolled back if the extension is not the one this leader serves: ids of
    /// another one mean other messages. Asked at the end, when the tables are locked against a drop.
    fn transaction<T>(
        &self,
        activity: &CStr,
        work: impl FnOnce(&mut session::Client<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        session::transaction(activity, |client| {
            let value = work(client)?;
            if session::extension_is(self.extension) {
                Ok(value)
            } else {
                Err(Failure::extension_gone())
            }
        })
    }

    fn reconfigure(&mut self) {
        if guc::start_paused() && !self.began_paused {
            self.is_held = true;
        }
        self.pool.reconfigure(pool_settings());
        tell_of_lacks(&self.pool);
        self.scheduler.set_slots(self.pool.capacity());
        self.scheduler.set_disable_after(guc::disable_after());
        // The files that hold secrets and keys may have changed as well.
        let scheduler = &self.scheduler;
        self.survey
            .reload(|id| scheduler.queue(id).is_some_and(|queue| !queue.secrets.is_empty()));
    }

    /// Ends in order: starts nothing more, gives what is on the wire a moment, records what came.
    fn end(mut self, waits: &WaitSet) -> ! {
        session::begin_to_end();
        let deadline = Instant::now() + LAST_ATTEMPTS;
        let mut unstarted: Vec<MessageId> = self.pool.close().iter().map(|job| job.message.id).collect();
        for id in &unstarted {
            self.scheduler.release(*id, None);
        }
        loop {
            self.take_results();
            for (id, _) in std::mem::take(&mut self.given_back) {
                self.scheduler.release(id, None);
                unstarted.push(id);
            }
            let recorded = self.record();
            let left = deadline.saturating_duration_since(Instant::now());
            if (self.scheduler.in_flight() == 0 && recorded.is_ok()) || left.is_zero() {
                break;
            }
            waits.wait(left.min(Duration::from_millis(50)));
            session::check_interrupts();
        }
        // What fails is learnt anew by the next leader.
        let _ = self.show_notices();
        self.fold_at_the_end();
        let cut_short = self.scheduler.ids_in_flight().chain(unstarted).collect();
        let ended = self.transaction(c"pg_hooks: ending", |client| {
            store::forgive(client, cut_short)?;
            store::end_leading(client)
        });
        if let Err(failure) = ended {
            log::could_not_note_end(failure);
        }
        session::exit_for_restart()
    }
}

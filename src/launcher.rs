//! The launcher: one static worker per cluster, which starts the workers of each database.
//!
//! It reads pg_database and nothing else. Whether a database has the extension only a process inside
//! can see, so it starts a worker there once, which ends again if not. From then on CREATE EXTENSION
//! announces itself at commit, and only databases never seen before are looked at.
//!
//! Only databases that have the extension, or had it, take a place in shared memory.

use std::collections::{HashMap, HashSet};
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pgrx::bgworkers::{
    BackgroundWorkerBuilder, BackgroundWorkerStatus, BgWorkerStartTime, DynamicBackgroundWorker,
};
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::wake::{Extension, MAX_PROBES};
use crate::{fault, guc, log, session, wake};

/// How often it looks for databases that appeared without CREATE EXTENSION: copies of a template.
const RESCAN: Duration = Duration::from_secs(60);
/// A worker that ends is replaced at once, but not twice within this time: one that cannot start must
/// not spin.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// How soon to look again whether what was started is there.
const GLANCE: Duration = Duration::from_millis(20);
/// Registers the launcher when the library is loaded at server start.
pub fn register() {
    // SAFETY: reads plain globals, in the postmaster.
    let wanted = unsafe { pg_sys::process_shared_preload_libraries_in_progress && !pg_sys::IsBinaryUpgrade };
    if wanted {
        BackgroundWorkerBuilder::new("pg_hooks launcher")
            .set_library("pg_hooks")
            .set_function("pg_hooks_launcher_main")
            .enable_spi_access()
            .set_start_time(BgWorkerStartTime::RecoveryFinished)
            .set_restart_time(Some(Duration::from_secs(1)))
            .load();
    }
}

/// Main function of the launcher process.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_hooks_launcher_main(_argument: pg_sys::Datum) {
    session::handle_signals();
    session::connect_to_shared_catalogs();
    let Some(shared) = wake::shared() else {
        session::exit_for_good()
    };
    shared.launch();
    let mut launcher = Launcher {
        shared,
        looked_into: HashSet::new(),
        unanswered: HashMap::new(),
        starts: HashMap::new(),
        next_rescan: None,
        told_of_no_room: false,
    };
    loop {
        let pause = launcher.look_after_databases();
        session::report_idle();
        session::sleep(pause);
        session::reload_settings();
    }
}

/// Starts of one database.
struct Starts {
    last: Instant,
    last_but_one: Option<Instant>,
    /// A worker has ended since the last start.
    ended: bool,
    running: Vec<DynamicBackgroundWorker>,
}

impl Starts {
    /// How long to wait with the next start.
    fn pause(&self) -> Duration {
        match self.last_but_one {
            Some(start) if self.ended => RESTART_PAUSE.saturating_sub(start.elapsed()),
            _ => Duration::ZERO,
        }
    }
}

struct Launcher {
    shared: &'static wake::Shared,
    /// Databases in which a worker was started to look for the extension.
    looked_into: HashSet<u32>,
    /// Those whose worker ended before it could say what it found, and when that was seen.
    unanswered: HashMap<u32, Instant>,
    starts: HashMap<u32, Starts>,
    next_rescan: Option<Instant>,
    /// The log says already that there is no room for a worker.
    told_of_no_room: bool,
}

impl Launcher {
    /// Starts what is missing. Returns how long nothing more is to be done.
    fn look_after_databases(&mut self) -> Duration {
        self.forget_ended_workers();
        // One time for all questions: a release that ends between two of them would look like none.
        let now = wake::wall_clock();
        self.end_surplus();
        let rescan = self.until_rescan().is_zero();
        if !rescan && !self.entered().any(|database| self.lacks(database, now)) {
            return self.until_rescan().min(self.until_wanted_back(now));
        }
        // Listed before pg_database is read: what is entered later may be a database made later.
        let entered: Vec<&wake::Database> = self.entered().collect();
        let Ok(databases) = session::transaction(c"pg_hooks: reading pg_database", |_| Ok(databases()))
        else {
            return RESTART_PAUSE;
        };
        self.forget_dropped(&entered, &databases);
        let waits = databases
            .into_iter()
            .filter(|database| database.is_to_be_served)
            .filter_map(|database| self.start_missing(database.oid, now));
        let pause = waits.fold(RESCAN, Duration::min);
        self.next_rescan = Some(Instant::now() + pause);
        pause.min(self.until_wanted_back(now))
    }

    /// Ends followers of which there are too many since `hooks.workers` was lowered. Who leads, or is held, stays.
    fn end_surplus(&self) {
        for database in self.entered() {
            for pid in database.surplus(guc::workers()) {
                // SAFETY: asks a process of ours to end. One that leads by now ends in order, and another one takes
                // over.
                unsafe { libc::kill(pid, libc::SIGTERM) };
            }
        }
    }

    /// When the first database that was released wants its workers back.
    fn until_wanted_back(&self, now: i64) -> Duration {
        let waits = self
            .entered()
            .map(|database| database.released_for(now))
            .filter(|wait| *wait > 0);
        waits.min().map_or(Duration::MAX, Duration::from_micros)
    }

    fn until_rescan(&self) -> Duration {
        self.next_rescan
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
    }

    fn forget_ended_workers(&mut self) {
        for (oid, starts) in &mut self.starts {
            let before = starts.running.len();
            starts
                .running
                .retain(|worker| !matches!(worker.pid(), Err(BackgroundWorkerStatus::Stopped)));
            starts.ended |= starts.running.len() < before;
            if starts.running.is_empty() && self.shared.probes.give_up(*oid) {
                self.looked_into.remove(oid);
                self.unanswered.insert(*oid, Instant::now());
            }
        }
    }

    /// Databases that have an entry.
    fn entered(&self) -> impl Iterator<Item = &'static wake::Database> {
        let entered = |database: &&wake::Database| database.oid.load(Ordering::Acquire) != 0;
        self.shared.databases.iter().filter(entered)
    }

    /// Frees the entries of databases that no longer exist. In one that is a template now, or lets nobody connect,
    /// sessions may go on, and use its entry.
    fn forget_dropped(&mut self, entered: &[&wake::Database], databases: &[Listed]) {
        let exists = |oid: u32| databases.iter().any(|database| database.oid == oid);
        self.starts.retain(|oid, _| {
            // Its worker may have ended without an answer.
            exists(*oid) || {
                self.shared.probes.give_up(*oid);
                false
            }
        });
        self.looked_into.retain(|oid| exists(*oid));
        self.unanswered.retain(|oid, _| exists(*oid));
        for database in entered {
            if !exists(database.oid.load(Ordering::Acquire)) && database.worker_count() == 0 {
                database.free();
            }
        }
    }

    fn lacks(&self, database: &wake::Database, now: i64) -> bool {
        if database.released_for(now) > 0 {
            return false;
        }
        let wanted = match database.extension() {
            Extension::Absent => 0,
            Extension::Present => guc::workers(),
            Extension::Unknown => 1,
        };
        let started = self.running(database.oid.load(Ordering::Relaxed));
        database.worker_count().max(started) < wanted
    }

    fn running(&self, oid: u32) -> usize {
        self.starts.get(&oid).map_or(0, |starts| starts.running.len())
    }

    /// Starts one worker if the database lacks one. Returns when to look again, if that is soon.
    fn start_missing(&mut self, oid: u32, now: i64) -> Option<Duration> {
        let lacks = match self.shared.find(oid) {
            Some(database) => self.lacks(database, now),
            None => !self.looked_into.contains(&oid),
        };
        if !lacks {
            return None;
        }
        let unanswered = self.unanswered.get(&oid);
        let rest = unanswered.map_or(Duration::ZERO, |at| RESCAN.saturating_sub(at.elapsed()));
        if !rest.is_zero() && self.shared.find(oid).is_none() {
            return Some(rest);
        }
        if self.probing() >= MAX_PROBES {
            return Some(GLANCE);
        }
        let pause = self.starts.get(&oid).map_or(Duration::ZERO, Starts::pause);
        if !pause.is_zero() {
            return Some(pause);
        }
        if self.shared.find(oid).is_none() {
            self.shared.probes.begin(oid);
        }
        let Some(worker) = start_worker(oid) else {
            self.shared.probes.give_up(oid);
            if !std::mem::replace(&mut self.told_of_no_room, true) {
                log::no_worker_slot();
            }
            return Some(RESTART_PAUSE);
        };
        self.told_of_no_room = false;
        self.looked_into.insert(oid);
        self.unanswered.remove(&oid);
        self.remember(oid, worker);
        Some(GLANCE)
    }

    fn remember(&mut self, oid: u32, worker: DynamicBackgroundWorker) {
        let now = Instant::now();
        let starts = self.starts.entry(oid).or_insert(Starts {
            last: now,
            last_but_one: None,
            ended: false,
            running: Vec::new(),
        });
        if starts.ended {
            starts.last_but_one = Some(starts.last);
        }
        starts.last = now;
        starts.ended = false;
        starts.running.push(worker);
    }

    /// Databases in which a worker was started that has not entered yet: it may find no extension.
    fn probing(&self) -> usize {
        let known = |oid: u32| {
            let database = self.shared.find(oid);
            database.map_or((false, 0), |database| {
                (
                    database.extension() == Extension::Present,
                    database.worker_count(),
                )
            })
        };
        self.starts
            .iter()
            .filter(|(oid, starts)| {
                let (is_present, entered) = known(**oid);
                !is_present && starts.running.len() > entered
            })
            .count()
    }
}

fn start_worker(oid: u32) -> Option<DynamicBackgroundWorker> {
    if fault::strikes("worker: start") {
        return None;
    }
    // SAFETY: reads a plain global of this process.
    let launcher = unsafe { pg_sys::MyProcPid };
    BackgroundWorkerBuilder::new("pg_hooks worker")
        .set_library("pg_hooks")
        .set_function("pg_hooks_worker_main")
        .enable_spi_access()
        .set_argument(Some(pg_sys::Datum::from(oid)))
        .set_notify_pid(launcher)
        .load_dynamic()
        .ok()
}

/// PostgreSQL's DATCONNLIMIT_INVALID_DB: DROP DATABASE was interrupted, and nobody can connect.
const CONNECTION_LIMIT_OF_INVALID_DATABASE: i32 = -2;

/// A database as `pg_database` lists it.
struct Listed {
    oid: u32,
    /// One can connect to it, and it is no template. A worker in a template would keep CREATE DATABASE from copying it.
    is_to_be_served: bool,
}

fn databases() -> Vec<Listed> {
    let mut listed = Vec::new();
    // SAFETY: within a transaction of a process that may read shared catalogs; what is opened is
    // closed, and each tuple is read while the scan stands on it.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
        let scan = pg_sys::systable_beginscan(
            relation,
            pg_sys::InvalidOid,
            false,
            ptr::null_mut(),
            0,
            ptr::null_mut(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let database = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
            let dropped_halfway = (*database).datconnlimit == CONNECTION_LIMIT_OF_INVALID_DATABASE;
            listed.push(Listed {
                oid: (*database).oid.to_u32(),
                is_to_be_served: (*database).datallowconn && !(*database).datistemplate && !dropped_halfway,
            });
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
    }
    listed
}

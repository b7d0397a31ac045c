//! The launcher: one static worker per cluster, which starts the workers of each database.
//!
//! It reads pg_database and nothing else. Whether a database has the extension only a process inside
//! can see, so it starts a worker there once, which ends again if not. From then on CREATE EXTENSION
//! announces itself at commit, and only databases never seen before are looked at.

use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pgrx::bgworkers::{
    BackgroundWorkerBuilder, BackgroundWorkerStatus, BgWorkerStartTime, DynamicBackgroundWorker,
};
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::{guc, session, wake};

/// How often it looks for databases that appeared without CREATE EXTENSION: copies of a template.
const RESCAN: Duration = Duration::from_secs(60);
/// Shortest time between two starts in one database, so that a worker that cannot start does not spin.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// Databases looked into at the same time.
const MAX_PROBES: usize = 4;

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
        starts: HashMap::new(),
        next_rescan: None,
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
    running: Vec<DynamicBackgroundWorker>,
}

struct Launcher {
    shared: &'static wake::Shared,
    starts: HashMap<u32, Starts>,
    next_rescan: Option<Instant>,
}

impl Launcher {
    /// Starts what is missing. Returns how long nothing more is to be done.
    fn look_after_databases(&mut self) -> Duration {
        self.forget_ended_workers();
        let rescan = self.next_rescan.is_none_or(|at| at <= Instant::now());
        let entered = |database: &wake::Database| database.oid.load(Ordering::Acquire) != 0;
        let lacking = self
            .shared
            .databases
            .iter()
            .filter(|db| entered(db))
            .any(|db| self.lacks(db));
        if !rescan && !lacking {
            return self.until_rescan();
        }
        let Ok(databases) = session::transaction(c"pg_hooks: reading pg_database", |_| Ok(connectable()))
        else {
            return RESTART_PAUSE;
        };
        self.next_rescan = Some(Instant::now() + RESCAN);
        self.forget_dropped(&databases);
        let mut pause = self.until_rescan();
        for oid in databases {
            if let Some(wait) = self.start_missing(oid) {
                pause = pause.min(wait);
            }
        }
        pause
    }

    fn until_rescan(&self) -> Duration {
        self.next_rescan
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(Instant::now()))
    }

    fn forget_ended_workers(&mut self) {
        for starts in self.starts.values_mut() {
            starts
                .running
                .retain(|worker| !matches!(worker.pid(), Err(BackgroundWorkerStatus::Stopped)));
        }
    }

    /// Frees the entries of databases that no longer exist.
    fn forget_dropped(&mut self, databases: &[u32]) {
        self.starts.retain(|oid, _| databases.contains(oid));
        for database in &self.shared.databases {
            let oid = database.oid.load(Ordering::Acquire);
            if oid != 0 && !databases.contains(&oid) && database.worker_count() == 0 {
                database.free();
            }
        }
    }

    fn lacks(&self, database: &wake::Database) -> bool {
        let wanted = match database.extension.load(Ordering::Acquire) {
            wake::EXTENSION_ABSENT => 0,
            wake::EXTENSION_PRESENT => guc::workers(),
            _ => 1,
        };
        let started = self
            .starts
            .get(&database.oid.load(Ordering::Relaxed))
            .map_or(0, |s| s.running.len());
        database.worker_count().max(started) < wanted
    }

    /// Starts one worker if the database lacks one. Returns when to look again, if that is soon.
    fn start_missing(&mut self, oid: u32) -> Option<Duration> {
        let database = self.shared.find_or_claim(oid)?;
        if !self.lacks(database) {
            return None;
        }
        if self.probing() >= MAX_PROBES {
            return Some(Duration::from_millis(20));
        }
        if let Some(starts) = self.starts.get(&oid) {
            let pause = RESTART_PAUSE.saturating_sub(starts.last.elapsed());
            let first_of_many = database.extension.load(Ordering::Acquire) != wake::EXTENSION_PRESENT
                || !starts.running.is_empty();
            if !pause.is_zero() && !first_of_many {
                return Some(pause);
            }
        }
        let Some(worker) = start_worker(oid) else {
            log!("could not start a pg_hooks worker: max_worker_processes is used up");
            return Some(RESTART_PAUSE);
        };
        let starts = self.starts.entry(oid).or_insert(Starts {
            last: Instant::now(),
            running: Vec::new(),
        });
        starts.last = Instant::now();
        starts.running.push(worker);
        Some(Duration::from_millis(20))
    }

    /// Workers that were started in a database of which nothing is known yet.
    fn probing(&self) -> usize {
        let unknown = |oid: u32| {
            let database = self.shared.find(oid);
            database.is_some_and(|db| db.extension.load(Ordering::Acquire) == wake::EXTENSION_UNKNOWN)
        };
        self.starts
            .iter()
            .filter(|(oid, starts)| !starts.running.is_empty() && unknown(**oid))
            .count()
    }
}

fn start_worker(oid: u32) -> Option<DynamicBackgroundWorker> {
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

/// Oids of the databases that one can connect to and that are not templates. A worker in a template
/// would keep CREATE DATABASE from copying it.
fn connectable() -> Vec<u32> {
    let mut oids = Vec::new();
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
            if (*database).datallowconn && !(*database).datistemplate {
                oids.push((*database).oid.to_u32());
            }
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
    }
    oids
}

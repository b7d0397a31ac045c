//! A worker process of one database: connects, enters itself, waits until it leads.

use std::ptr;
use std::time::Duration;

use pgrx::prelude::*;
use pgrx::{PgTryBuilder, pg_sys};

use crate::session::Failure;
use crate::{hold, leader, log, session, store, wake};

/// `locktag_field4` of the leader lock. The SQL functions for advisory locks can only set 1 and 2, so
/// no user can take this lock.
const LEADER_LOCK_FIELD: u16 = 0x5048;
/// How soon to ask for the lock again when that failed.
const LOCK_RETRY: Duration = Duration::from_millis(200);

/// Main function of a worker process; the argument is the oid of its database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_hooks_worker_main(argument: pg_sys::Datum) {
    session::handle_signals();
    // SAFETY: the launcher passes the oid by value.
    let oid = unsafe { pg_sys::Oid::from_datum(argument, false) }.unwrap_or(pg_sys::InvalidOid);
    session::connect(oid);
    if look_for_extension().is_none() {
        wake::answer_probe();
        session::exit_for_good()
    }
    let Some(database) = wake::my_database() else {
        log::too_many_databases(wake::MAX_DATABASES);
        session::exit_for_good()
    };
    wake::answer_probe();
    enter(database);
    // Asked when hooks.release() can see this process: it ends those that it sees.
    if database.released_for(wake::wall_clock()) > 0 {
        session::exit_for_good()
    }
    // The database may have further workers from now on.
    wake::wake_launcher();
    wait_until_leader();
    session::bound_lock_waits();
    session::reload_settings();
    // It may have been dropped, or made anew, while another process led.
    match look_for_extension() {
        Some(extension) => {
            hold::wait_until_free(database, extension);
            leader::run(database, extension)
        }
        None => session::exit_for_good(),
    }
}

/// Oid of the extension in this database. What is found is noted in the entry of the database, which has
/// one as soon as the extension was found or announced there.
fn look_for_extension() -> Option<pg_sys::Oid> {
    let begun = wake::known_database().map(|database| (database, database.begin_look()));
    let found = session::transaction(c"pg_hooks: looking for the extension", store::extension_oid);
    let found = found.unwrap_or_else(|failure| {
        log::could_not_look(failure);
        // With an entry, the launcher has somebody look again.
        wake::my_database();
        session::exit_for_restart()
    });
    match begun {
        Some((database, look)) => database.conclude(look, found.is_some()),
        None if found.is_some() => {
            if let Some(database) = wake::my_database() {
                database.conclude(database.begin_look(), true);
            }
        }
        None => {}
    }
    found
}

/// Enters this process into shared memory, and has it taken out whenever and however it ends.
fn enter(database: &wake::Database) {
    // SAFETY: plain globals of this process; the callback is an `extern "C-unwind"` function.
    let (pid, now) = unsafe {
        pg_sys::before_shmem_exit(Some(leave), pg_sys::Datum::null());
        (pg_sys::MyProcPid, pg_sys::GetCurrentTimestamp())
    };
    if database.enter_worker(pid, now).is_none() {
        session::exit_for_good();
    }
}

/// Atomics and SetLatch only: the process is ending.
unsafe extern "C-unwind" fn leave(_code: i32, _argument: pg_sys::Datum) {
    // SAFETY: a plain global of this process.
    let pid = unsafe { pg_sys::MyProcPid };
    if let Some(database) = wake::my_database() {
        database.leave_worker(pid);
    }
    wake::wake_launcher();
}

fn leader_lock() -> pg_sys::LOCKTAG {
    pg_sys::LOCKTAG {
        // SAFETY: a plain global of this process, set when it connected.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: 0,
        locktag_field3: 0,
        locktag_field4: LEADER_LOCK_FIELD,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
    }
}

/// Whether this process holds the leader lock.
pub fn leads() -> bool {
    let (tag, mode) = (leader_lock(), pg_sys::ExclusiveLock as i32);
    // SAFETY: looks into this process's own table of locks.
    unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
        let held = pg_sys::LockHeldByMe(ptr::from_ref(&tag), mode);
        #[cfg(not(any(feature = "pg14", feature = "pg15", feature = "pg16")))]
        let held = pg_sys::LockHeldByMe(ptr::from_ref(&tag), mode, false);
        held
    }
}

/// Returns when this process holds the leader lock. It is held until the process ends.
fn wait_until_leader() {
    loop {
        session::report_idle();
        let locked = PgTryBuilder::new(|| {
            session::fail_if_struck(|| "worker: lead".to_owned());
            let tag = leader_lock();
            // SAFETY: outside of a transaction; a session lock needs none.
            unsafe { pg_sys::LockAcquire(ptr::from_ref(&tag), pg_sys::ExclusiveLock as i32, true, false) };
            Ok(())
        })
        .catch_others(|error| Err(Failure::from(error)))
        .execute();
        match locked {
            Ok(()) => return,
            Err(failure) => {
                // SAFETY: cleans up a lock wait that an error ended; harmless otherwise.
                unsafe { pg_sys::LockErrorCleanup() };
                session::uninterrupted(|| debug1!("pg_hooks worker goes on waiting for the lead: {failure}"));
                // There may be no room for a lock. This is also where SIGTERM is heard then.
                session::sleep(LOCK_RETRY);
            }
        }
    }
}

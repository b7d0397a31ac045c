//! The way from a commit to the worker: shared memory, a commit callback, SetLatch.
//!
//! While a transaction runs it collects what it stored. At commit, when the rows are visible, the
//! callback puts one note per queue into the ring of the database and wakes the leader. The callback
//! uses atomics and SetLatch only: an error there would take the server down.

mod board;
mod prepare;
mod probes;
mod ring;
mod shared;
mod trial;

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pgrx::{pg_guard, pg_sys};

pub use probes::MAX_PROBES;
pub use ring::Note;
pub use shared::{Database, Extension, MAX_DATABASES, Shared, WorkerEntry};
pub use trial::{Ticket, Trials, wait as wait_for_trial};

/// Different queues one transaction is noted for one by one; beyond, the leader looks at everything.
const MAX_PENDING: usize = 64;

static SHARED: AtomicPtr<Shared> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    static PENDING: RefCell<Pending> = const { RefCell::new(Pending::new()) };
    static CALLBACK_REGISTERED: Cell<bool> = const { Cell::new(false) };
    static MY_DATABASE: Cell<Option<&'static Database>> = const { Cell::new(None) };
}

/// What the running transaction will tell at commit.
struct Pending {
    notes: Vec<Note>,
    overflowed: bool,
    /// Also when its note had no room.
    queue_changed: bool,
    announce: bool,
    /// The part of it in which a script of the extension ran.
    makes_extension: Option<pg_sys::SubTransactionId>,
}

impl Pending {
    const fn new() -> Pending {
        Pending {
            notes: Vec::new(),
            overflowed: false,
            queue_changed: false,
            announce: false,
            makes_extension: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.notes.is_empty() && !self.overflowed && !self.announce
    }

    fn add(&mut self, note: Note) {
        self.queue_changed |= note.due_at == Note::QUEUE_CHANGED;
        if let Some(known) = self.notes.iter_mut().rev().find(|known| known.repeats(&note)) {
            known.due_at = known.due_at.min(note.due_at);
        } else if self.notes.len() < MAX_PENDING {
            self.notes.push(note);
        } else {
            self.overflowed = true;
        }
    }

    fn clear(&mut self) {
        self.notes.clear();
        self.overflowed = false;
        self.queue_changed = false;
        self.announce = false;
        self.makes_extension = None;
    }
}

/// Asks for shared memory when the library is loaded at server start.
pub fn register() {
    // SAFETY: runs in _PG_init, in the postmaster, before other processes exist. The hooks are
    // chained, and plain assignment is what PostgreSQL documents for them.
    unsafe {
        if !pg_sys::process_shared_preload_libraries_in_progress {
            return;
        }
        #[cfg(feature = "pg14")]
        pg_sys::RequestAddinShmemSpace(size_of::<Shared>());
        #[cfg(not(feature = "pg14"))]
        {
            PREVIOUS_REQUEST_HOOK = pg_sys::shmem_request_hook;
            pg_sys::shmem_request_hook = Some(request_shared_memory);
        }
        PREVIOUS_STARTUP_HOOK = pg_sys::shmem_startup_hook;
        pg_sys::shmem_startup_hook = Some(start_shared_memory);
    }
}

#[cfg(not(feature = "pg14"))]
static mut PREVIOUS_REQUEST_HOOK: pg_sys::shmem_request_hook_type = None;
static mut PREVIOUS_STARTUP_HOOK: pg_sys::shmem_startup_hook_type = None;

#[cfg(not(feature = "pg14"))]
#[pg_guard]
#[expect(
    ffi_unwind_calls,
    reason = "the previous hook may raise an error, which pg_guard hands on"
)]
extern "C-unwind" fn request_shared_memory() {
    // SAFETY: called by the postmaster as shmem_request_hook, the one place where this is allowed.
    unsafe {
        if let Some(previous) = PREVIOUS_REQUEST_HOOK {
            previous();
        }
        pg_sys::RequestAddinShmemSpace(size_of::<Shared>());
    }
}

#[pg_guard]
#[expect(
    ffi_unwind_calls,
    reason = "the previous hook may raise an error, which pg_guard hands on"
)]
extern "C-unwind" fn start_shared_memory() {
    // SAFETY: called as shmem_startup_hook. Everything in `Shared` is an atomic, for which every bit
    // pattern is valid; the postmaster alone runs while it is cleared, also after a crash.
    unsafe {
        if let Some(previous) = PREVIOUS_STARTUP_HOOK {
            previous();
        }
        let mut found = false;
        let shared = pg_sys::ShmemInitStruct(c"pg_hooks".as_ptr(), size_of::<Shared>(), &raw mut found)
            .cast::<Shared>();
        if !found {
            (*shared).clear();
        }
        SHARED.store(shared, Ordering::Release);
    }
}

/// The shared state; `None` when the library was not loaded at server start.
pub fn shared() -> Option<&'static Shared> {
    // SAFETY: null, or shared memory that lives as long as the process and holds only atomics.
    unsafe { SHARED.load(Ordering::Acquire).as_ref() }
}

/// The entry of the database this process is connected to, made when it has none.
pub fn my_database() -> Option<&'static Database> {
    // SAFETY: reads a plain global that is set once when the process connects.
    let oid = unsafe { pg_sys::MyDatabaseId }.to_u32();
    let known = MY_DATABASE
        .get()
        .filter(|database| database.oid.load(Ordering::Relaxed) == oid);
    let found = known.or_else(|| shared()?.find_or_claim(oid));
    MY_DATABASE.set(found);
    found
}

/// Wakes the launcher, if it runs.
pub fn wake_launcher() {
    if let Some(shared) = shared() {
        shared.wake_launcher();
    }
}

/// Tells the launcher that this worker has looked into its database.
pub fn answer_probe() {
    // SAFETY: as above.
    let oid = unsafe { pg_sys::MyDatabaseId }.to_u32();
    if let Some(shared) = shared() {
        shared.probes.answer(oid);
    }
}

/// The entry of the database this process is connected to, if it has one.
pub fn known_database() -> Option<&'static Database> {
    // SAFETY: as above.
    let oid = unsafe { pg_sys::MyDatabaseId }.to_u32();
    shared()?.find(oid)
}

/// Tells the leader at commit that messages of this queue are due from `due_at` on, in PostgreSQL's
/// microseconds.
pub fn note_due(queue_id: i64, due_at: i64) {
    note(Note {
        queue_id,
        due_at: due_at.max(Note::EARLIEST),
    });
}

/// Tells the leader and the caches of all backends at commit that this queue changed.
pub fn note_queue(queue_id: i64) {
    note(Note {
        queue_id,
        due_at: Note::QUEUE_CHANGED,
    });
}

/// Tells the leader at commit that this entry of `hooks.cron` changed.
pub fn note_cron(cron_id: i64) {
    note(Note {
        queue_id: cron_id,
        due_at: Note::CRON_CHANGED,
    });
}

/// Has the launcher look at this database at commit.
pub fn announce() {
    if my_database().is_some() {
        register_callback();
        // SAFETY: reads a plain global of this process.
        if unsafe { pg_sys::creating_extension } {
            prepare::note_extension();
        }
        PENDING.with_borrow_mut(|pending| pending.announce = true);
    }
}

fn note(note: Note) {
    // The entry is looked up here, where failing is harmless, and not in the callback.
    if my_database().is_some() {
        register_callback();
        PENDING.with_borrow_mut(|pending| pending.add(note));
    }
}

/// Current generation of the queue table, if what is looked up now may be kept for it.
///
/// Not without shared memory; not in a transaction that changed a queue itself, which may yet roll
/// back; not under a snapshot that may be older than the generation; not on a standby, where nobody raises it.
pub fn queue_generation() -> Option<i64> {
    let changed_here = PENDING.with_borrow(|pending| pending.queue_changed);
    // SAFETY: reads a plain global of this process.
    let old_snapshot = unsafe { pg_sys::XactIsoLevel } >= pg_sys::XACT_REPEATABLE_READ as i32;
    // SAFETY: looks at the state of the server, and at shared memory until a promotion was seen.
    if changed_here || old_snapshot || unsafe { pg_sys::RecoveryInProgress() } {
        return None;
    }
    my_database().map(|database| database.generation.load(Ordering::Acquire))
}

/// Start of the running transaction, in PostgreSQL's microseconds: what `now()` returns.
pub fn transaction_start() -> i64 {
    // SAFETY: returns a plain value; always valid within a transaction.
    unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }
}

/// When the client sent the statement that runs, in PostgreSQL's microseconds.
pub fn statement_start() -> i64 {
    // SAFETY: returns a plain value.
    unsafe { pg_sys::GetCurrentStatementStartTimestamp() }
}

/// The clock, in PostgreSQL's microseconds.
pub fn wall_clock() -> i64 {
    // SAFETY: returns a plain value.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

fn register_callback() {
    if !CALLBACK_REGISTERED.replace(true) {
        // SAFETY: the callbacks are `extern "C-unwind"` functions that live for ever.
        unsafe {
            pg_sys::RegisterXactCallback(Some(at_transaction_end), ptr::null_mut());
            pg_sys::RegisterXactCallback(Some(prepare::refuse_extension), ptr::null_mut());
            pg_sys::RegisterSubXactCallback(Some(prepare::follow_extension), ptr::null_mut());
        }
    }
}

/// Runs after the transaction became visible. Atomics and SetLatch only.
unsafe extern "C-unwind" fn at_transaction_end(event: pg_sys::XactEvent::Type, _arg: *mut std::ffi::c_void) {
    PENDING.with(|pending| {
        let Ok(mut pending) = pending.try_borrow_mut() else {
            return;
        };
        if pending.is_empty() {
            return;
        }
        match event {
            pg_sys::XactEvent::XACT_EVENT_COMMIT => tell(&pending),
            pg_sys::XactEvent::XACT_EVENT_PREPARE => prepare::tell(),
            pg_sys::XactEvent::XACT_EVENT_ABORT => {}
            _ => return,
        }
        pending.clear();
    });
}

fn tell(pending: &Pending) {
    let Some(database) = MY_DATABASE.get() else { return };
    for note in &pending.notes {
        if note.due_at == Note::QUEUE_CHANGED {
            database.generation.fetch_add(1, Ordering::AcqRel);
        }
        database.notes.push(*note);
    }
    if pending.announce {
        database.announce();
        // Whoever leads looks whether the extension is still the one it serves.
        database.notes.overflow();
    }
    if pending.overflowed {
        if pending.queue_changed {
            database.generation.fetch_add(1, Ordering::AcqRel);
        }
        database.notes.overflow();
    }
    database.wake_leader();
    if pending.announce {
        wake_launcher();
    }
}

/// Makes unknown settings with this prefix an error.
#[cfg(not(feature = "pg14"))]
pub fn reserve_setting_prefix(prefix: &CStr) {
    // SAFETY: called from _PG_init after all settings are defined, as PostgreSQL documents it.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) };
}

//! Every statement of a session, whoever runs it, as a place where a test can have it fail.

use pgrx::{pg_guard, pg_sys};

use super::fail_if_struck;

static mut PREVIOUS_HOOK: pg_sys::ExecutorStart_hook_type = None;

/// Has each statement ask the plan when the executor begins with it: also those of SQL and PL/pgSQL.
pub fn ask_for_each_statement() {
    // SAFETY: runs in _PG_init. The hook is chained, and plain assignment is what PostgreSQL documents for it.
    unsafe {
        PREVIOUS_HOOK = pg_sys::ExecutorStart_hook;
        pg_sys::ExecutorStart_hook = Some(begin);
    }
}

#[pg_guard]
#[expect(
    ffi_unwind_calls,
    reason = "the previous hook may raise an error, which pg_guard hands on"
)]
unsafe extern "C-unwind" fn begin(query: *mut pg_sys::QueryDesc, flags: i32) {
    fail_if_struck(|| "session: query".to_owned());
    // SAFETY: handed on as PostgreSQL gave it.
    unsafe {
        match PREVIOUS_HOOK {
            Some(previous) => previous(query, flags),
            None => pg_sys::standard_ExecutorStart(query, flags),
        }
    }
}

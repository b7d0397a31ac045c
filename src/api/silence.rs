//! Errors that tell nothing of who called.

use std::ptr;

use pgrx::prelude::*;

/// Has errors from here to the end of the calling function in PL/pgSQL come without the context of its
/// callers, which would show statements and parameters: to the client, to `log_destination` of every kind,
/// to handlers. `log_min_error_statement` keeps only the outermost statement out of the log.
///
/// It has to be the whole of an expression, such as the value of a declaration: PL/pgSQL computes that
/// without a statement, whose end would bring back the context as it was.
#[pg_extern(sql = false)]
fn hide_context() -> bool {
    // SAFETY: who calls functions puts the stack back as it was: PL/pgSQL when the function ends, and
    // PG_TRY when an error leaves it.
    unsafe { pg_sys::error_context_stack = ptr::null_mut() };
    true
}

//! Errors that tell nothing of who called.

use std::cell::Cell;
use std::{ptr, thread};

use pgrx::prelude::*;

thread_local! {
    /// Whether the context was hidden in the innermost scope.
    static HIDDEN: Cell<bool> = const { Cell::new(false) };
}

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
    HIDDEN.set(true);
    true
}

/// A call that hands errors on, and so reports them anew, under the context that it was called in. An error from where
/// the context was hidden is handed on without one.
pub struct Scope {
    outer: bool,
}

impl Scope {
    pub fn begin() -> Scope {
        Scope {
            outer: HIDDEN.replace(false),
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let hides_error = HIDDEN.get() && thread::panicking();
        if hides_error {
            // SAFETY: the error goes to the nearest PG_TRY, which puts the stack back as it was.
            unsafe { pg_sys::error_context_stack = ptr::null_mut() };
        }
        HIDDEN.set(self.outer || hides_error);
    }
}

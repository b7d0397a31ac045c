//! Transactions that are prepared: `COMMIT PREPARED` runs in any session and calls nothing of ours.

use std::ffi::c_void;

use pgrx::{pg_guard, pg_sys};

use super::{MY_DATABASE, Note, PENDING};
use crate::error::Error;

/// The leader must poll.
pub fn tell() {
    if let Some(database) = MY_DATABASE.get() {
        // SAFETY: reads the state of this backend, where the transaction still has its id.
        let transaction = unsafe { pg_sys::GetTopTransactionIdIfAny() }.into_inner();
        database.notes.push(Note {
            queue_id: transaction.into(),
            due_at: Note::PREPARED,
        });
        database.wake_leader();
    }
}

/// A script of the extension runs. That may be undone with a part of the transaction.
pub fn note_extension() {
    // SAFETY: gives a plain value, within a transaction.
    let part = unsafe { pg_sys::GetCurrentSubTransactionId() };
    // What is noted already is of this part or of one around it.
    PENDING.with_borrow_mut(|pending| {
        pending.makes_extension.get_or_insert(part);
    });
}

/// What ran in a part of the transaction is undone with it, or belongs to the part around it from its end on.
pub unsafe extern "C-unwind" fn follow_extension(
    event: pg_sys::SubXactEvent::Type,
    part: pg_sys::SubTransactionId,
    around: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    PENDING.with(|pending| {
        let Ok(mut pending) = pending.try_borrow_mut() else {
            return;
        };
        if pending.makes_extension == Some(part) {
            match event {
                pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => pending.makes_extension = None,
                pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => pending.makes_extension = Some(around),
                _ => {}
            }
        }
    });
}

/// A transaction that makes or updates the extension cannot be prepared: when it is committed, nobody would start
/// a worker. Called before anything of the `PREPARE` is done, where an error is an error.
#[pg_guard]
pub unsafe extern "C-unwind" fn refuse_extension(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    let is_refused = event == pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE
        && PENDING.with_borrow(|pending| pending.makes_extension.is_some());
    if is_refused {
        Error::NotSupported {
            message: "cannot prepare a transaction that has created or updated extension \"pg_hooks\""
                .to_owned(),
            hint: "Commit it with COMMIT.".to_owned(),
        }
        .raise()
    }
}

//! The new row of a trigger, read in place.
//!
//! pgrx copies the tuple descriptor for each row and detoasts a value to learn its size. Both would
//! cost more than the rest of the trigger, hence this one piece of unsafe code outside the process
//! shells.

use std::num::NonZeroUsize;

use pgrx::htup::heap_getattr_raw;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::{FromDatum, pg_guard, pg_sys};

use super::message;
use crate::error::OrRaise;

/// `hooks.check_message()`: checks the new row of `hooks.message` and wakes the worker at commit.
#[pg_guard]
#[unsafe(no_mangle)]
extern "C-unwind" fn check_message(call: FunctionCallInfo) -> Datum {
    // SAFETY: PostgreSQL calls a function with a valid call frame; `of` checks that it is a trigger.
    let row = unsafe { NewRow::of(call) };
    let Some(row) = row else { return Datum::null() };
    match message::check(&row).or_raise() {
        None => row.unchanged(),
        Some((column, value)) => row.with(column, value),
    }
}

/// Tells PostgreSQL how `check_message` is called.
#[unsafe(no_mangle)]
extern "C-unwind" fn pg_finfo_check_message() -> &'static pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// The row that an INSERT or UPDATE is about to store.
pub struct NewRow<'a> {
    trigger: &'a pg_sys::TriggerData,
    tuple: *mut pg_sys::HeapTupleData,
}

impl<'a> NewRow<'a> {
    /// The new row, if this is a call as a row-level trigger.
    ///
    /// # Safety
    /// `call` is the argument of a function that PostgreSQL called.
    unsafe fn of(call: FunctionCallInfo) -> Option<NewRow<'a>> {
        // SAFETY: as said; a call as trigger has a TriggerData as its context.
        unsafe {
            if !pgrx::trigger_support::called_as_trigger(call) {
                return None;
            }
            let trigger = (*call).context.cast::<pg_sys::TriggerData>().as_ref()?;
            let updates = pgrx::trigger_support::trigger_fired_by_update(trigger.tg_event);
            let tuple = if updates {
                trigger.tg_newtuple
            } else {
                trigger.tg_trigtuple
            };
            (!tuple.is_null()).then_some(NewRow { trigger, tuple })
        }
    }

    /// A column by number, counted from 1; `None` for null.
    pub fn get<T: FromDatum>(&self, column: usize) -> Option<T> {
        let datum = self.datum(column)?;
        // SAFETY: callers name a type that fits the column of the table this trigger is made for.
        unsafe { T::from_datum(datum, false) }
    }

    /// Bytes of a text or bytea column, without fetching or decompressing it; `None` for null.
    pub fn size(&self, column: usize) -> Option<usize> {
        let datum = self.datum(column)?;
        // SAFETY: the datum is a varlena of the row, as for `get`.
        let with_header = unsafe { pg_sys::toast_raw_datum_size(datum) };
        Some(with_header.saturating_sub(pg_sys::VARHDRSZ))
    }

    fn datum(&self, column: usize) -> Option<Datum> {
        let column = NonZeroUsize::new(column)?;
        // SAFETY: PostgreSQL keeps the row and the relation valid for the whole trigger call, and
        // heap_getattr checks the column number against the row.
        unsafe { heap_getattr_raw(self.tuple, column, (*self.trigger.tg_relation).rd_att) }
    }

    /// The row to store, unchanged.
    pub fn unchanged(&self) -> Datum {
        Datum::from(self.tuple)
    }

    /// The row to store, with another value in one column of a pass-by-value type.
    pub fn with(&self, column: i32, value: Datum) -> Datum {
        let (mut columns, mut values, mut nulls) = ([column], [value], [false]);
        // SAFETY: as for `datum`; the arrays have one element each, as said.
        let changed = unsafe {
            pg_sys::heap_modify_tuple_by_cols(
                self.tuple,
                (*self.trigger.tg_relation).rd_att,
                1,
                columns.as_mut_ptr(),
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            )
        };
        Datum::from(changed)
    }
}

//! What the catalogs say of the objects around a trigger, and when that may have changed.

use std::cell::Cell;
use std::ffi::{CStr, c_char};

use pgrx::pg_sys::{self, Datum, Oid};

use crate::domain::emission::Name;

thread_local! {
    static GENERATION: Cell<u64> = const { Cell::new(0) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// A number that changes with any table, trigger or schema: what was read before is valid while it stays.
pub fn generation() -> u64 {
    if !REGISTERED.replace(true) {
        let schemas = pg_sys::SysCacheIdentifier::NAMESPACEOID as i32;
        // SAFETY: the callbacks are functions that live for ever and only count.
        unsafe {
            pg_sys::CacheRegisterRelcacheCallback(Some(table_changed), Datum::null());
            pg_sys::CacheRegisterSyscacheCallback(schemas, Some(schema_changed), Datum::null());
        }
    }
    GENERATION.get()
}

unsafe extern "C-unwind" fn table_changed(_: Datum, _: Oid) {
    GENERATION.set(GENERATION.get().wrapping_add(1));
}

unsafe extern "C-unwind" fn schema_changed(_: Datum, _: i32, _: u32) {
    GENERATION.set(GENERATION.get().wrapping_add(1));
}

/// The time of the clock, in UTC as ISO 8601, and the id of the transaction.
pub fn moment() -> (String, u64) {
    // What PostgreSQL reserves for a time as JSON.
    let mut text: [c_char; 128] = [0; 128];
    let utc = 0;
    // SAFETY: writes a C string that is shorter than the array.
    unsafe {
        let now = Datum::from(pg_sys::GetCurrentTimestamp());
        pg_sys::JsonEncodeDateTime(text.as_mut_ptr(), now, pg_sys::TIMESTAMPTZOID, &raw const utc);
        let at = CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned();
        (at, pg_sys::GetTopFullTransactionId().value)
    }
}

/// Schema and name of a table; empty if it has gone.
pub fn names_of(table: Oid) -> (Name, Name) {
    // SAFETY: the functions give null or a C string of their own for any oid.
    unsafe {
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(table));
        (bytes(schema), bytes(pg_sys::get_rel_name(table)))
    }
}

/// # Safety
/// `name` is null or a C string.
unsafe fn bytes(name: *const c_char) -> Name {
    if name.is_null() {
        return Name::new();
    }
    // SAFETY: as said.
    unsafe { CStr::from_ptr(name) }.to_bytes().to_vec()
}

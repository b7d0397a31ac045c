//! What the catalogs say of the objects around a trigger, and when that may have changed.

use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::ptr;

use pgrx::IntoDatum;
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

/// A trigger as the catalog has it.
pub struct Made {
    /// The table that it is on.
    pub table: Oid,
    pub name: Name,
    /// The trigger that it is a copy of, for a partition.
    parent: Oid,
}

/// The trigger that somebody made, for one that it was copied to a partition as, or for itself.
///
/// As the catalog is now: the snapshot of a transaction may be older than a partition that its rows are routed to.
pub fn origin_of(trigger: Oid) -> Option<Made> {
    let mut made = trigger_of(trigger)?;
    while made.parent != pg_sys::InvalidOid {
        made = trigger_of(made.parent)?;
    }
    Some(made)
}

fn trigger_of(oid: Oid) -> Option<Made> {
    let mut key = pg_sys::ScanKeyData::default();
    // SAFETY: within a transaction; the key is of the column that the index is on, what is opened is closed, and the
    // tuple is read while the scan stands on it.
    unsafe {
        pg_sys::ScanKeyInit(
            &raw mut key,
            pg_sys::Anum_pg_trigger_oid as i16,
            pg_sys::BTEqualStrategyNumber as u16,
            pg_sys::F_OIDEQ.into(),
            oid.into_datum()?,
        );
        let relation = pg_sys::table_open(pg_sys::TriggerRelationId, pg_sys::AccessShareLock as i32);
        let index = pg_sys::TriggerOidIndexId.into();
        let scan = pg_sys::systable_beginscan(relation, index, true, ptr::null_mut(), 1, &raw mut key);
        let tuple = pg_sys::systable_getnext(scan);
        let found = (!tuple.is_null()).then(|| {
            let trigger = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_trigger>();
            Made {
                table: (*trigger).tgrelid,
                name: bytes((*trigger).tgname.data.as_ptr()),
                parent: (*trigger).tgparentid,
            }
        });
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
        found
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

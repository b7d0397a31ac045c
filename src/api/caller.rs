//! Who calls a function that runs with the rights of its owner.
//!
//! PostgreSQL does not tell a `SECURITY DEFINER` function that: `current_user` is the owner by then, and
//! `session_user` is someone else as soon as `SET ROLE`, a function of a user or a maintenance command
//! stands in between. So functions that must know are written in the language `hooks_plpgsql`, which is
//! PL/pgSQL but for its call handler: that notes who calls, and runs the function as its owner.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_void};
use std::ptr;

use pgrx::pg_guard;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, Oid};

use super::memory;
use super::owner::Called;
use super::silence;
use crate::error::OrRaise;

thread_local! {
    /// The callers of the functions that are running, the innermost last.
    static CALLERS: RefCell<Vec<Oid>> = const { RefCell::new(Vec::new()) };
    static PLPGSQL: Cell<*mut c_void> = const { Cell::new(ptr::null_mut()) };
    static ROLE_CHANGES: Cell<u64> = const { Cell::new(0) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// The call handler of `hooks_plpgsql`, as PostgreSQL calls it for each of its functions.
#[pg_guard]
#[unsafe(no_mangle)]
extern "C-unwind" fn call_as_owner(call: FunctionCallInfo) -> Datum {
    let called = Called::by(call);
    memory::reserve_for_errors().or_raise();
    let _scope = silence::Scope::begin();
    let _caller = Noted::new(caller(called));
    called.as_owner(|| {
        // SAFETY: the frame is that of a function whose body and arguments PL/pgSQL has checked.
        unsafe { run_plpgsql(call) }
    })
}

/// Tells PostgreSQL how `call_as_owner` is called.
#[unsafe(no_mangle)]
extern "C-unwind" fn pg_finfo_call_as_owner() -> &'static pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// The validator of `hooks_plpgsql`, which is that of PL/pgSQL: it asks whether it is the one of the function's language,
/// by the oid in the frame. `pg_upgrade` makes a language anew only if its functions come with it, as this one does.
#[pg_guard]
#[unsafe(no_mangle)]
extern "C-unwind" fn check_body(call: FunctionCallInfo) -> Datum {
    // SAFETY: the frame is that of a validator, with the oid of a function.
    unsafe { pass_on(call, of_plpgsql(c"plpgsql_validator")) }
}

/// Tells PostgreSQL how `check_body` is called.
#[unsafe(no_mangle)]
extern "C-unwind" fn pg_finfo_check_body() -> &'static pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// A caller that is noted while a function runs, however that ends.
struct Noted;

impl Noted {
    fn new(caller: Oid) -> Noted {
        CALLERS.with_borrow_mut(|callers| callers.push(caller));
        Noted
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        CALLERS.with_borrow_mut(|callers| callers.pop());
    }
}

/// # Safety
/// As for any call handler.
unsafe fn run_plpgsql(call: FunctionCallInfo) -> Datum {
    if PLPGSQL.get().is_null() {
        PLPGSQL.set(of_plpgsql(c"plpgsql_call_handler"));
    }
    // SAFETY: the call handler of PL/pgSQL finds the function to run by the oid in the frame.
    unsafe { pass_on(call, PLPGSQL.get()) }
}

/// A function of PL/pgSQL's library.
fn of_plpgsql(name: &CStr) -> *mut c_void {
    // SAFETY: raises an error unless there is such a function, which stays loaded.
    unsafe {
        pg_sys::load_external_function(c"$libdir/plpgsql".as_ptr(), name.as_ptr(), true, ptr::null_mut())
    }
}

/// Calls a function of PL/pgSQL with the frame that we were called with.
///
/// # Safety
/// The frame must be as the function expects it.
unsafe fn pass_on(call: FunctionCallInfo, function: *mut c_void) -> Datum {
    type Function = unsafe extern "C-unwind" fn(FunctionCallInfo) -> Datum;
    // SAFETY: it takes a call frame and gives a datum, as all functions do.
    #[expect(ffi_unwind_calls, reason = "errors of PostgreSQL are caught at the boundary")]
    unsafe {
        let function = std::mem::transmute::<*mut c_void, Function>(function);
        pg_sys::ffi::pg_guard_ffi_boundary(|| function(call))
    }
}

/// The role on whose behalf a function of ours was called: the current user, but what our own functions
/// call while they run as their owner is called by their caller.
pub fn caller(called: Called) -> Oid {
    // SAFETY: gives a plain value.
    let user = unsafe { pg_sys::GetUserId() };
    let innermost = CALLERS.with_borrow(|callers| callers.last().copied());
    innermost.filter(|_| called.owner() == Some(user)).unwrap_or(user)
}

/// Whether a role has the rights of a predefined role of ours, or is a superuser.
pub fn has_rights_of(role: Oid, predefined: &CStr) -> bool {
    // SAFETY: asks for a role by its name, which may be missing.
    let predefined = unsafe { pg_sys::get_role_oid(predefined.as_ptr(), true) };
    predefined != pg_sys::InvalidOid && has_rights_of_role(role, predefined)
}

/// Whether a role has the rights of another one: by itself, by inherited membership, or as a superuser.
pub fn has_rights_of_role(role: Oid, other: Oid) -> bool {
    // SAFETY: asks for memberships.
    unsafe { pg_sys::has_privs_of_role(role, other) }
}

/// Whether the role is there and has this name, in the encoding of the database.
pub fn is_named(role: Oid, name: &[u8]) -> bool {
    // SAFETY: gives null or a C string.
    unsafe {
        let found = pg_sys::GetUserNameFromId(role, true);
        !found.is_null() && CStr::from_ptr(found).to_bytes() == name
    }
}

/// A number that changes with any role or membership: what was found out before is valid while it stays.
pub fn role_changes() -> u64 {
    use pg_sys::SysCacheIdentifier::{AUTHMEMROLEMEM, AUTHOID};
    if !REGISTERED.replace(true) {
        for cache in [AUTHOID, AUTHMEMROLEMEM] {
            // SAFETY: the callback is a function that lives for ever and only counts.
            unsafe { pg_sys::CacheRegisterSyscacheCallback(cache as i32, Some(role_changed), Datum::null()) };
        }
    }
    ROLE_CHANGES.get()
}

unsafe extern "C-unwind" fn role_changed(_: Datum, _: i32, _: u32) {
    ROLE_CHANGES.set(ROLE_CHANGES.get().wrapping_add(1));
}

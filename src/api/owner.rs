//! Running with the rights of a function's owner and a fixed search path, as `SECURITY DEFINER` with
//! `SET search_path` does.
//!
//! Those two cost 4 us a call, a quarter of what it takes to store a message: PostgreSQL 15 parses the
//! setting at each call, and throws away what it knew of the path. Here the same is done for the
//! statements that need it and for nothing else. If they raise an error, the abort of the
//! (sub)transaction gives user and path back.

use pgrx::pg_catalog::pg_proc::PgProc;
use pgrx::pg_sys;
use pgrx::pg_sys::FunctionCallInfo;

/// Whether the current user has the privileges of this role.
pub fn caller_has_privileges_of(role: pg_sys::Oid) -> bool {
    // SAFETY: reads the catalogs, within the transaction of a function call.
    unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), role) }
}

/// The function that PostgreSQL called.
#[derive(Clone, Copy)]
pub struct Called {
    function: pg_sys::Oid,
}

impl Called {
    /// The function of this call.
    pub fn by(call: FunctionCallInfo) -> Called {
        // SAFETY: who has a call frame has it from PostgreSQL, with the look-up data of the function.
        let function = unsafe { (*call).flinfo.as_ref() }.map_or(pg_sys::InvalidOid, |info| info.fn_oid);
        Called { function }
    }

    /// The owner of the function.
    pub fn owner(self) -> Option<pg_sys::Oid> {
        PgProc::new(self.function).map(|function| function.proowner())
    }

    /// Whether the current user is the owner of the function.
    pub fn is_owner_current(self) -> bool {
        // SAFETY: gives a plain value.
        self.owner() == Some(unsafe { pg_sys::GetUserId() })
    }

    /// Runs `work` as the owner of the function, with nothing but `pg_catalog` in the search path.
    pub fn as_owner<T>(self, work: impl FnOnce() -> T) -> T {
        let Some(owner) = self.owner() else {
            return work();
        };
        let (mut user, mut context) = (pg_sys::InvalidOid, 0);
        // SAFETY: what fmgr_security_definer of PostgreSQL does; both are given back below, or by the
        // abort of the (sub)transaction if `work` raises an error.
        unsafe {
            pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context);
            pg_sys::SetUserIdAndSecContext(owner, context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32);
            #[allow(
                clippy::let_unit_value,
                reason = "only later versions of PostgreSQL have a path to keep"
            )]
            let path = fix_search_path();
            let value = work();
            restore_search_path(path);
            pg_sys::SetUserIdAndSecContext(user, context);
            value
        }
    }
}

#[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
unsafe fn fix_search_path() {
    let mut catalog_only = pg_sys::OverrideSearchPath {
        schemas: std::ptr::null_mut(),
        addCatalog: true,
        addTemp: false,
        generation: 0,
    };
    // SAFETY: the path is copied; it is popped below, or at the abort of the (sub)transaction.
    unsafe { pg_sys::PushOverrideSearchPath(&raw mut catalog_only) }
}

#[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
unsafe fn restore_search_path((): ()) {
    // SAFETY: pushed above.
    unsafe { pg_sys::PopOverrideSearchPath() }
}

#[cfg(not(any(feature = "pg14", feature = "pg15", feature = "pg16")))]
unsafe fn fix_search_path() -> i32 {
    // SAFETY: ended below, or at the abort of the (sub)transaction.
    unsafe {
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::RestrictSearchPath();
        level
    }
}

#[cfg(not(any(feature = "pg14", feature = "pg15", feature = "pg16")))]
unsafe fn restore_search_path(level: i32) {
    // SAFETY: the level that was begun above.
    unsafe { pg_sys::AtEOXact_GUC(true, level) }
}

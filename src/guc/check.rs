//! Settings that PostgreSQL cannot check by their type: it asks us, through a hook.

use std::ffi::{CStr, CString, c_char, c_void};

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_guard, pg_sys};

use crate::domain::address::AddressRules;
use crate::domain::proxy::Proxy;
use crate::domain::traceparent;

/// One of the hooks below.
type Hook = unsafe extern "C-unwind" fn(*mut *mut c_char, *mut *mut c_void, pg_sys::GucSource::Type) -> bool;

/// Defines a setting whose values a hook judges. Others are refused when they are set; in a configuration
/// file they are logged, and the value before stays.
pub fn define(
    name: &'static CStr,
    short_description: &'static CStr,
    long_description: &'static CStr,
    setting: &'static GucSetting<Option<CString>>,
    context: GucContext,
    hook: Hook,
) {
    let flags = GucFlags::default();
    // SAFETY: the hooks are guarded against panics, as is asked for.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            name,
            short_description,
            long_description,
            setting,
            context,
            flags,
            Some(hook),
            None,
            None,
        );
    }
}

/// The plan of a build with faults: for a session of a superuser, or for all by a reload.
#[cfg(feature = "faults")]
pub fn define_faults(setting: &'static GucSetting<Option<CString>>) {
    // SAFETY: the hooks are guarded against panics, as is asked for.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"hooks.faults",
            c"Steps that are made to fail.",
            c"Places of src/fault/places.rs, each with when it strikes, as src/fault/plan.rs reads them.",
            setting,
            GucContext::Suset,
            GucFlags::default(),
            Some(faults),
            Some(assign_faults),
            None,
        );
    }
}

/// Faults as [`crate::fault::Plan`] reads them.
#[cfg(feature = "faults")]
#[pg_guard]
pub unsafe extern "C-unwind" fn faults(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    let judge = |value: &str| crate::fault::Plan::parse(value).map(drop);
    // SAFETY: passed on as PostgreSQL gave it.
    unsafe { check(value, judge, c"The places stand in src/fault/places.rs.") }
}

#[cfg(feature = "faults")]
#[pg_guard]
unsafe extern "C-unwind" fn assign_faults(value: *const c_char, _extra: *mut c_void) {
    // SAFETY: PostgreSQL hands over null or a C string.
    let plan = unsafe { (!value.is_null()).then(|| CStr::from_ptr(value)) };
    crate::fault::set(&plan.unwrap_or_default().to_string_lossy());
}

/// Networks as [`AddressRules`] reads them.
#[pg_guard]
pub unsafe extern "C-unwind" fn networks(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    let judge = |value: &str| AddressRules::parse(value, true).map(drop);
    // SAFETY: passed on as PostgreSQL gave it.
    unsafe {
        check(
            value,
            judge,
            c"Separate networks such as 10.0.0.0/8 and addresses by commas.",
        )
    }
}

/// Ports as [`AddressRules`] reads them.
#[pg_guard]
pub unsafe extern "C-unwind" fn ports(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    let judge = |value: &str| AddressRules::strictest().on_ports(value).map(drop);
    // SAFETY: passed on as PostgreSQL gave it.
    unsafe {
        check(
            value,
            judge,
            c"Separate ports and ranges such as 1024-65535 by commas; 1-65535 allows all.",
        )
    }
}

/// A `traceparent`, or nothing.
#[pg_guard]
pub unsafe extern "C-unwind" fn traceparent(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    let judge = |value: &str| {
        if value.is_empty() || traceparent::is_valid(value) {
            Ok(())
        } else {
            Err("it is no traceparent of version 00".to_owned())
        }
    };
    // SAFETY: passed on as PostgreSQL gave it.
    unsafe {
        check(
            value,
            judge,
            c"Give one such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01, or nothing.",
        )
    }
}

/// A proxy as [`Proxy`] reads it.
#[pg_guard]
pub unsafe extern "C-unwind" fn proxy(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    let judge = |value: &str| Proxy::parse(value).map(drop);
    // SAFETY: passed on as PostgreSQL gave it.
    unsafe {
        check(
            value,
            judge,
            c"Give a URL such as http://proxy.example.com:3128, without user name, path and query.",
        )
    }
}

/// Also called in the postmaster and outside of transactions: raises no error.
///
/// # Safety
/// `value` is what PostgreSQL passes to a hook: a pointer to the new value, which is null or a C string.
unsafe fn check(
    value: *mut *mut c_char,
    judge: impl FnOnce(&str) -> Result<(), String>,
    hint: &CStr,
) -> bool {
    // SAFETY: as said above.
    let value = unsafe {
        if value.is_null() || (*value).is_null() {
            return true;
        }
        CStr::from_ptr(*value).to_string_lossy()
    };
    let judged = judge(&value);
    if let Err(problem) = &judged {
        explain(&format!("{problem}."), hint);
    }
    judged.is_ok()
}

/// Says why a hook refuses a value and what to do, as the macros `GUC_check_errdetail` and
/// `GUC_check_errhint` do.
fn explain(detail: &str, hint: &CStr) {
    let detail = CString::new(detail).unwrap_or_default();
    // SAFETY: called in a check hook, where PostgreSQL reads these two right afterwards; both are copied.
    unsafe {
        pg_sys::GUC_check_errdetail_string = pg_sys::pstrdup(detail.as_ptr());
        pg_sys::GUC_check_errhint_string = pg_sys::pstrdup(hint.as_ptr());
    }
}

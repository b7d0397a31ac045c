//! Settings that PostgreSQL cannot check by their type: it asks us, through a hook.

use std::ffi::{CStr, CString, c_char, c_void};

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_guard, pg_sys};

use crate::domain::address::AddressRules;

/// Defines a setting that holds networks as [`AddressRules`] reads them. Other values are refused when
/// they are set; in a configuration file they are logged, and the value before stays.
pub fn define_networks(
    name: &'static CStr,
    short_description: &'static CStr,
    long_description: &'static CStr,
    setting: &'static GucSetting<Option<CString>>,
    context: GucContext,
    flags: GucFlags,
) {
    // SAFETY: the hook is guarded against panics, as is asked for.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            name,
            short_description,
            long_description,
            setting,
            context,
            flags,
            Some(check_networks),
            None,
            None,
        );
    }
}

/// Also called in the postmaster and outside of transactions: raises no error.
#[pg_guard]
unsafe extern "C-unwind" fn check_networks(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes a pointer to the new value, which is null or a C string.
    let networks = unsafe {
        if value.is_null() || (*value).is_null() {
            return true;
        }
        CStr::from_ptr(*value).to_string_lossy()
    };
    match AddressRules::parse(&networks, true) {
        Ok(_) => true,
        Err(problem) => {
            explain(
                &format!("{problem}."),
                c"Separate networks such as 10.0.0.0/8 and addresses by commas.",
            );
            false
        }
    }
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

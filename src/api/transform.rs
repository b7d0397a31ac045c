//! Transforms: functions of users that make the payload to send, run as whoever publishes.

use std::mem::{offset_of, size_of};

use pgrx::fcinfo::{pg_getarg, pg_getarg_datum, pg_return_null};
use pgrx::pg_catalog::pg_proc::{PgProc, ProKind};
use pgrx::pg_guard;
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, FunctionCallInfoBaseData, NullableDatum};

use super::row::shown;
use crate::error::{Error, OrRaise};

/// `hooks.run_transform(call, function_id, payload, context)`, as PostgreSQL calls it.
#[pg_guard]
#[unsafe(no_mangle)]
extern "C-unwind" fn run_transform(call: FunctionCallInfo) -> Datum {
    // SAFETY: the function is declared with arguments of these types.
    let (name, function, payload, context) = unsafe {
        (
            pg_getarg_datum(call, 0).map(|name| bytes(name)),
            pg_getarg::<pg_sys::Oid>(call, 1),
            pg_getarg_datum(call, 2),
            pg_getarg_datum(call, 3),
        )
    };
    let made = run(&name.unwrap_or_default(), function, [payload, context]).or_raise();
    // SAFETY: PostgreSQL calls a function with a valid call frame.
    made.unwrap_or_else(|| unsafe { pg_return_null(call) })
}

/// Tells PostgreSQL how `run_transform` is called.
#[unsafe(no_mangle)]
extern "C-unwind" fn pg_finfo_run_transform() -> &'static pg_sys::Pg_finfo_record {
    const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
    &V1
}

/// # Safety
/// The datum is text.
unsafe fn bytes(text: Datum) -> Vec<u8> {
    // SAFETY: as said.
    unsafe {
        let text = pg_sys::pg_detoast_datum_packed(text.cast_mut_ptr());
        pgrx::varlena::varlena_to_byte_slice(text).to_vec()
    }
}

/// Runs the function of that oid, which is what the name stands for, on payload and context, which are
/// jsonb or null, as the current user. `None` if it gives null.
///
/// What may run is decided by the function that is called, at that moment, whatever its name has come to
/// stand for.
///
/// # Errors
/// There is no such function, or one of another type; its owner might have the current user do what he
/// may not do himself; the current user may not execute it.
pub fn run(
    name: &[u8],
    function: Option<pg_sys::Oid>,
    arguments: [Option<Datum>; 2],
) -> Result<Option<Datum>, Error> {
    let known = function.and_then(|oid| Some((oid, PgProc::new(oid).filter(is_transform)?)));
    let (function, entry) = known.ok_or_else(|| Error::UnknownTransform(shown(name)))?;
    // SAFETY: asks who the current user is, and for memberships.
    let (caller, trusted) = unsafe {
        let caller = pg_sys::GetUserId();
        // Whoever may act as the caller gains nothing. That holds for superusers and for the caller too.
        (caller, pg_sys::is_member_of_role(entry.proowner(), caller))
    };
    if !trusted {
        return Err(Error::UntrustedTransform {
            transform: shown(name),
            caller: role_name(caller),
            owner: role_name(entry.proowner()),
        });
    }
    // SAFETY: the function takes two jsonb and gives one, as checked.
    unsafe {
        check_may_execute(function, caller);
        Ok(call(function, arguments))
    }
}

fn is_transform(entry: &PgProc) -> bool {
    matches!(entry.prokind(), ProKind::Function)
        && !entry.proretset()
        && entry.prorettype() == pg_sys::JSONBOID
        && entry.proargtypes() == [pg_sys::JSONBOID; 2]
}

fn role_name(role: pg_sys::Oid) -> String {
    // SAFETY: gives null or a C string.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        if name.is_null() {
            role.to_u32().to_string()
        } else {
            shown(std::ffi::CStr::from_ptr(name).to_bytes())
        }
    }
}

/// Raises the error of PostgreSQL unless the role may execute the function.
///
/// # Safety
/// The function exists.
unsafe fn check_may_execute(function: pg_sys::Oid, role: pg_sys::Oid) {
    let mode = pg_sys::AclMode::from(pg_sys::ACL_EXECUTE);
    // SAFETY: reads the privileges of a function that exists.
    unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        let result = pg_sys::pg_proc_aclcheck(function, role, mode);
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        let result = pg_sys::object_aclcheck(pg_sys::ProcedureRelationId, function, role, mode);
        if result != pg_sys::AclResult::ACLCHECK_OK {
            let name = pg_sys::get_func_name(function);
            pg_sys::aclcheck_error(result, pg_sys::ObjectType::OBJECT_FUNCTION, name);
        }
    }
}

/// Calls a function by oid, as `OidFunctionCall2` does, but arguments and result may be null.
///
/// # Safety
/// The function takes two arguments, and these are of their types.
unsafe fn call(function: pg_sys::Oid, arguments: [Option<Datum>; 2]) -> Option<Datum> {
    let size = offset_of!(FunctionCallInfoBaseData, args) + 2 * size_of::<NullableDatum>();
    // SAFETY: the frame has room for two arguments, and lives as long as the memory of the caller.
    unsafe {
        let info = pg_sys::palloc0(size_of::<pg_sys::FmgrInfo>()).cast::<pg_sys::FmgrInfo>();
        pg_sys::fmgr_info(function, info);
        let is_null = arguments.iter().any(Option::is_none);
        if (*info).fn_strict && is_null {
            return None;
        }
        let frame = pg_sys::palloc0(size).cast::<FunctionCallInfoBaseData>();
        (*frame).flinfo = info;
        (*frame).nargs = 2;
        let slots = (&raw mut (*frame).args).cast::<NullableDatum>();
        for (place, argument) in arguments.into_iter().enumerate() {
            slots.add(place).write(NullableDatum {
                value: argument.unwrap_or(Datum::null()),
                isnull: argument.is_none(),
            });
        }
        let code = (*info).fn_addr?;
        #[expect(ffi_unwind_calls, reason = "errors of PostgreSQL are caught at the boundary")]
        let made = pg_sys::ffi::pg_guard_ffi_boundary(|| code(frame));
        (!(*frame).isnull).then_some(made)
    }
}

//! Transforms: functions of users that make the payload to send, run as whoever sends or publishes.

use std::cell::OnceCell;
use std::ffi::CStr;
use std::mem::{offset_of, size_of};

use pgrx::datum::DatumWithOid;
use pgrx::fcinfo::{pg_getarg, pg_getarg_datum, pg_return_null};
use pgrx::pg_catalog::pg_proc::{PgProc, ProKind};
use pgrx::pg_sys::{self, Datum, FunctionCallInfo, FunctionCallInfoBaseData, NullableDatum};
use pgrx::{PgSqlErrorCode, PgTryBuilder, Spi, pg_guard};

use super::memory::{copied, reserve_for_errors};
use super::owner::Called;
use super::prepared::{self, Prepared};
use super::queue::{Found, check_header_bytes};
use super::row::{shown, size_of_jsonb, text_argument};
use crate::error::{Error, OrRaise};
use crate::session;

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

/// A function to run for a payload.
pub struct Transform {
    /// As SQL calls it, for errors.
    pub call: Vec<u8>,
    /// What the name stands for, if anything.
    pub function: Option<pg_sys::Oid>,
    /// What it is told besides the payload: JSON in the encoding of the database.
    pub context: Vec<u8>,
}

thread_local! {
    static OF_QUEUE: Prepared = const { OnceCell::new() };
}

const QUEUE_TRANSFORM: &str = "select to_regprocedure($1 || '(pg_catalog.jsonb, pg_catalog.jsonb)')::oid,
        convert_to(jsonb_build_object('queue', q.name, 'headers', coalesce($3, '{}'))::text, 'SQL_ASCII')
     from hooks.queue as q where q.id = $2";

impl Transform {
    /// The one of this queue, for messages with these headers. `None` if it has none.
    pub fn of_queue(
        queue: &Found,
        headers: DatumWithOid,
        called: Called,
    ) -> Result<Option<Transform>, Error> {
        let Some(call) = &queue.transform else {
            return Ok(None);
        };
        check_header_bytes(size_of_jsonb(&headers))?;
        let arguments = [text_argument(call), queue.id.into(), headers];
        let found = called.as_owner(|| {
            prepared::run((&OF_QUEUE, QUEUE_TRANSFORM), &arguments, |rows| {
                rows.first().get_two::<pg_sys::Oid, Vec<u8>>()
            })
        });
        match found {
            Ok((function, Some(context))) => Ok(Some(Transform {
                call: call.to_vec(),
                function,
                context,
            })),
            _ => Err(Error::UnknownQueueId(queue.id)),
        }
    }

    /// Runs it on JSON in the encoding of the database, as the current user. `None` if it wants no message.
    ///
    /// What the transaction did before is visible to it, and its memory goes with the connection.
    ///
    /// # Errors
    /// The payload is not JSON, there is no memory for it, or as for [`run`].
    pub fn run(&self, payload: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        session::fail_if_struck(|| "session: transform".to_owned());
        Spi::connect_mut(|_| {
            reserve_for_errors()?;
            let arguments = [self.jsonb(payload)?, self.jsonb(&self.context)?];
            // SAFETY: within a transaction; its abort pops the snapshot after an error.
            unsafe {
                pg_sys::CommandCounterIncrement();
                pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
                let made = run(&self.call, self.function, arguments.map(Some));
                pg_sys::PopActiveSnapshot();
                made?.map(|made| json(made)).transpose()
            }
        })
    }

    /// A value of type jsonb.
    fn jsonb(&self, text: &[u8]) -> Result<Datum, Error> {
        let refused = || {
            Error::invalid(
                format!("body is not JSON, which transform {} takes", shown(&self.call)),
                "Send jsonb, or take the transform from the queue with hooks.alter_queue().",
            )
        };
        // It would end there as a C string.
        if text.contains(&0) {
            return Err(refused());
        }
        // An error that is caught here ends the statement all the same.
        // Its text would get into the log, as the context of the error.
        PgTryBuilder::new(|| {
            // SAFETY: so many bytes are there, and are copied to a C string, of which the value is another copy.
            let value = unsafe {
                let text = pg_sys::pnstrdup(text.as_ptr().cast(), text.len());
                let value = pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(text.into())]);
                pg_sys::pfree(text.cast());
                value
            };
            value.ok_or_else(refused)
        })
        .catch_when(PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION, |_| {
            Err(refused())
        })
        .catch_when(PgSqlErrorCode::ERRCODE_UNTRANSLATABLE_CHARACTER, |_| {
            Err(refused())
        })
        .catch_when(PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED, |_| Err(refused()))
        .execute()
    }
}

/// The text of a value.
///
/// # Safety
/// The value is of type jsonb.
unsafe fn json(value: Datum) -> Result<Vec<u8>, Error> {
    // SAFETY: as said; the text is a C string.
    unsafe {
        match pgrx::direct_function_call_as_datum(pg_sys::jsonb_out, &[Some(value)]) {
            Some(text) => copied(CStr::from_ptr(text.cast_mut_ptr()).to_bytes()),
            None => Ok(b"null".to_vec()),
        }
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
fn run(
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
        (caller, may_act_as(entry.proowner(), caller))
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

/// Whether the one role may act as the other.
///
/// # Safety
/// Within a transaction.
unsafe fn may_act_as(member: pg_sys::Oid, role: pg_sys::Oid) -> bool {
    // SAFETY: reads the catalogs.
    unsafe {
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        return pg_sys::is_member_of_role(member, role);
        // A membership may be without SET there.
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        return pg_sys::member_can_set_role(member, role);
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
            shown(CStr::from_ptr(name).to_bytes())
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

//! Values as PostgreSQL holds them: the new row of a trigger, arguments handed on as they are.
//!
//! pgrx copies the tuple descriptor for each row, detoasts a value to learn its size, and takes text
//! for UTF-8 and JSON for what serde can hold. The first two would cost more than the rest of the
//! trigger, the others fail on what PostgreSQL stores; hence this one piece of unsafe code outside the
//! process shells.

use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::num::NonZeroUsize;
use std::ptr;

use pgrx::datum::DatumWithOid;
use pgrx::htup::heap_getattr_raw;
use pgrx::pg_sys::{Datum, FunctionCallInfo};
use pgrx::trigger_support::{
    called_as_trigger, trigger_fired_before, trigger_fired_by_insert, trigger_fired_by_update,
    trigger_fired_for_row,
};
use pgrx::{AnyElement, FromDatum, pg_guard, pg_sys, varatt_is_1b_e, varsize_any};

use super::memory::{self, LARGE, copied};
use super::message;
use super::owner::Called;
use crate::error::{Error, OrRaise};

/// An argument of SQL type `oid`, handed on without looking into it.
///
/// # Errors
/// The value is of another type.
pub fn handed_on(value: Option<AnyElement>, oid: pg_sys::Oid) -> Result<DatumWithOid<'static>, Error> {
    let Some(value) = value else {
        return Ok(DatumWithOid::null_oid(oid));
    };
    if value.oid() != oid {
        return Err(Error::invalid(
            "argument has another type than declared",
            "Call it by its SQL declaration.",
        ));
    }
    // SAFETY: the value is of this type, as checked, and lives as long as the call.
    Ok(unsafe { DatumWithOid::new(value.datum(), oid) })
}

/// The elements of an array argument, each for itself.
///
/// # Errors
/// The value is of another type than `array`, whose elements are varlenas of type `element`.
pub fn elements(
    value: Option<AnyElement>,
    array: pg_sys::Oid,
    element: pg_sys::Oid,
) -> Result<Vec<Option<AnyElement>>, Error> {
    handed_on(value, array)?;
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let (mut values, mut nulls, mut count) = (ptr::null_mut(), ptr::null_mut(), 0);
    // SAFETY: the value is such an array, as checked. The elements point into the array, which, if it
    // was detoasted, is in memory of the call and lives as long as the argument itself does; so many of them
    // and their null flags are there as said.
    unsafe {
        let array = pg_sys::pg_detoast_datum(value.datum().cast_mut_ptr());
        pg_sys::deconstruct_array(
            array.cast(),
            element,
            -1,
            false,
            pg_sys::TYPALIGN_INT as c_char,
            &raw mut values,
            &raw mut nulls,
            &raw mut count,
        );
        let count = usize::try_from(count).unwrap_or(0);
        let mut elements = memory::room_for(count)?;
        let made = |place| AnyElement::from_polymorphic_datum(*values.add(place), *nulls.add(place), element);
        elements.extend((0..count).map(made));
        Ok(elements)
    }
}

/// The types of arguments that may be large.
const VARLENAS: [pg_sys::Oid; 5] = [
    pg_sys::TEXTOID,
    pg_sys::BYTEAOID,
    pg_sys::JSONBOID,
    pg_sys::TEXTARRAYOID,
    pg_sys::BYTEAARRAYOID,
];

/// Whether an argument has many bytes, or is kept elsewhere, without fetching it.
pub fn is_large(argument: &DatumWithOid) -> bool {
    let Some(value) = argument.datum().filter(|_| VARLENAS.contains(&argument.oid())) else {
        return false;
    };
    let value = value.sans_lifetime().cast_mut_ptr::<pg_sys::varlena>();
    // SAFETY: a value of these types is a varlena, and lives as long as the argument.
    unsafe { varatt_is_1b_e(value) || varsize_any(value) > LARGE }
}

/// Bytes of a jsonb argument, without fetching or decompressing it; 0 for null, and for other types.
pub fn size_of_jsonb(argument: &DatumWithOid) -> usize {
    match argument.datum() {
        // SAFETY: a jsonb is a varlena, and lives as long as the argument.
        Some(value) if argument.oid() == pg_sys::JSONBOID => unsafe {
            pg_sys::toast_raw_datum_size(value.sans_lifetime())
        },
        _ => 0,
    }
}

/// The bytes of a text argument, in the encoding of the database.
///
/// # Errors
/// The value is not text, or there is no memory for it.
pub fn bytes_of_text(value: &AnyElement) -> Result<Vec<u8>, Error> {
    if value.oid() != pg_sys::TEXTOID {
        return Err(Error::invalid(
            "argument is not text",
            "Call it by its SQL declaration.",
        ));
    }
    // SAFETY: the value is text, as checked, and lives as long as the call.
    unsafe {
        let text = pg_sys::pg_detoast_datum_packed(value.datum().cast_mut_ptr());
        copied(pgrx::varlena::varlena_to_byte_slice(text))
    }
}

/// Text of the database's encoding for an error message, which is in that encoding too: what Rust
/// cannot hold of it becomes a question mark.
pub fn shown(bytes: &[u8]) -> String {
    // SAFETY: reads a setting of the database.
    if unsafe { pg_sys::GetDatabaseEncoding() } == pg_sys::pg_enc::PG_UTF8 as i32 {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    bytes
        .iter()
        .map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' })
        .collect()
}

/// `hooks.check_message()`: checks the new row of `hooks.message` and wakes the worker at commit.
#[pg_guard]
#[unsafe(no_mangle)]
extern "C-unwind" fn check_message(call: FunctionCallInfo) -> Datum {
    // SAFETY: PostgreSQL calls a function with a valid call frame; `of` checks the rest.
    let row = unsafe { NewRow::of(call) }.or_raise();
    match message::check(&row, Called::by(call)).or_raise() {
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
    /// The new row of a call as row-level BEFORE trigger of `hooks.message`. The columns of any other
    /// table are not what the trigger takes them for.
    ///
    /// # Safety
    /// `call` is the argument of a function that PostgreSQL called.
    unsafe fn of(call: FunctionCallInfo) -> Result<NewRow<'a>, Error> {
        // SAFETY: as said; a call as trigger has a TriggerData as its context.
        let trigger = unsafe {
            if called_as_trigger(call) {
                (*call).context.cast::<pg_sys::TriggerData>().as_ref()
            } else {
                None
            }
        };
        let trigger = trigger.ok_or(Error::NotItsTrigger)?;
        let event = trigger.tg_event;
        let updates = trigger_fired_by_update(event);
        let fits = trigger_fired_before(event)
            && trigger_fired_for_row(event)
            && (updates || trigger_fired_by_insert(event));
        // SAFETY: the relation of a trigger call is open.
        if !fits || !unsafe { is_message_table(trigger.tg_relation) } {
            return Err(Error::NotItsTrigger);
        }
        let tuple = if updates {
            trigger.tg_newtuple
        } else {
            trigger.tg_trigtuple
        };
        Ok(NewRow { trigger, tuple })
    }

    /// Oid of `hooks.message`.
    pub fn table(&self) -> pg_sys::Oid {
        // SAFETY: as for `datum`.
        unsafe { (*self.trigger.tg_relation).rd_id }
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

    /// Whether a column of type timestamptz has another value than before, or the row is new.
    pub fn is_said_anew(&self, column: usize) -> bool {
        let before = NewRow {
            trigger: self.trigger,
            tuple: self.trigger.tg_trigtuple,
        };
        !trigger_fired_by_update(self.trigger.tg_event)
            || before.get::<i64>(column) != self.get::<i64>(column)
    }

    /// Whether a column is null.
    pub fn is_null(&self, column: usize) -> bool {
        self.datum(column).is_none()
    }

    /// A jsonb column as text; `None` for null.
    pub fn json(&self, column: usize) -> Option<String> {
        let datum = self.datum(column)?;
        // SAFETY: the datum is a jsonb of the row, and jsonb_out returns a C string.
        let text = unsafe { pgrx::direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(datum)]) };
        text.map(|text| text.to_string_lossy().into_owned())
    }

    /// A text column; what Rust cannot hold of it is replaced. `None` for null.
    pub fn text(&self, column: usize) -> Option<String> {
        let datum = self.datum(column)?;
        // SAFETY: the datum is a text of the row, as for `get`.
        let bytes = unsafe {
            let text = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
            pgrx::varlena::varlena_to_byte_slice(text)
        };
        Some(String::from_utf8_lossy(bytes).into_owned())
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

/// Whether this is `hooks.message`.
///
/// # Safety
/// `relation` is open.
unsafe fn is_message_table(relation: pg_sys::Relation) -> bool {
    thread_local! {
        static KNOWN: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
    }
    // SAFETY: as said; the names are C strings, the one of the namespace is null if it has gone.
    unsafe {
        if (*relation).rd_id == KNOWN.get() {
            return true;
        }
        let form = (*relation).rd_rel;
        let namespace = pg_sys::get_namespace_name((*form).relnamespace);
        let is_it = !namespace.is_null()
            && CStr::from_ptr(namespace) == c"hooks"
            && CStr::from_ptr((*form).relname.data.as_ptr()) == c"message";
        if is_it {
            KNOWN.set((*relation).rd_id);
        }
        is_it
    }
}

/// A text value of these bytes, in the memory of the moment.
pub fn text_of(bytes: &[u8]) -> Datum {
    // A slice is never longer than PostgreSQL's limit for text here: bodies and names are far shorter.
    let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
    // SAFETY: so many bytes are there, and they are copied.
    Datum::from(unsafe { pg_sys::cstring_to_text_with_len(bytes.as_ptr().cast(), length) })
}

/// A text argument of these bytes.
pub fn text_argument(bytes: &[u8]) -> DatumWithOid<'static> {
    // SAFETY: the value is text, and lives in memory that outlives the call.
    unsafe { DatumWithOid::new(text_of(bytes), pg_sys::TEXTOID) }
}

/// A jsonb argument from a JSON text, which raises an error if it is none.
pub fn jsonb_argument(json: &[u8]) -> DatumWithOid<'static> {
    let text = text_of(json);
    // SAFETY: text becomes a C string, and that jsonb, by functions of these types.
    unsafe {
        let cstring = pg_sys::text_to_cstring(text.cast_mut_ptr());
        let value = pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(Datum::from(cstring))]);
        value.map_or_else(
            || DatumWithOid::null_oid(pg_sys::JSONBOID),
            |value| DatumWithOid::new(value, pg_sys::JSONBOID),
        )
    }
}

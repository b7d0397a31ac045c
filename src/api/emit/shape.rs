//! The columns of a table that a message shows, and their values as JSON.

use std::ffi::CStr;

use pgrx::pg_sys::{self, Datum};
use pgrx::varlena::varlena_to_byte_slice;
use pgrx::{PgRelation, varatt_is_1b_e, varsize_any};

use super::rows::Row;
use crate::api::memory::{append, copied};
use crate::domain::emission::Name;
use crate::error::Error;

/// A column of a table.
#[derive(Clone)]
pub struct Column {
    /// Its place, counted from 0.
    pub place: usize,
    pub name: Name,
    type_id: pg_sys::Oid,
    length: i16,
    by_value: bool,
}

/// What pg_attribute.attgenerated says of a column that is computed when it is read, from PostgreSQL 18 on.
const VIRTUAL: u8 = b'v';

/// The columns of a table that are not dropped and have values in its rows.
pub fn columns_of(relation: pg_sys::Relation) -> Vec<Column> {
    // SAFETY: callers have the relation open.
    let relation = unsafe { PgRelation::from_pg(relation) };
    let descriptor = relation.tuple_desc();
    let columns = descriptor.iter().enumerate();
    columns
        .filter(|(_, attribute)| !attribute.attisdropped && attribute.attgenerated as u8 != VIRTUAL)
        .map(|(place, attribute)| Column {
            place,
            name: attribute.name().as_bytes().to_vec(),
            type_id: attribute.atttypid,
            length: attribute.attlen,
            by_value: attribute.attbyval,
        })
        .collect()
}

/// The columns of the primary key, by place.
pub fn key_places(relation: pg_sys::Relation) -> Vec<usize> {
    let lowest = pg_sys::FirstLowInvalidHeapAttributeNumber;
    // SAFETY: callers have the relation open; the set is a copy.
    unsafe {
        let kind = pg_sys::IndexAttrBitmapKind::INDEX_ATTR_BITMAP_PRIMARY_KEY;
        let set = pg_sys::RelationGetIndexAttrBitmap(relation, kind);
        let mut members = Vec::new();
        let mut member = pg_sys::bms_next_member(set, -1);
        while member >= 0 {
            members.extend(usize::try_from(member + lowest - 1));
            member = pg_sys::bms_next_member(set, member);
        }
        members
    }
}

impl Column {
    /// Whether both rows have the same bytes in this column, which runs no operator of any type.
    pub fn is_equal(&self, one: &Row, other: &Row) -> bool {
        match (one.get(self.place), other.get(self.place)) {
            (None, None) => true,
            // SAFETY: both are values of this column.
            (Some(one), Some(other)) => unsafe { self.same(one, other) },
            _ => false,
        }
    }

    /// # Safety
    /// Both are values of this column.
    unsafe fn same(&self, one: Datum, other: Datum) -> bool {
        if one == other || self.by_value {
            return one == other;
        }
        // SAFETY: a value that is not passed by value is a pointer, to what its length says.
        unsafe {
            match usize::try_from(self.length) {
                Ok(length) => bytes(one, length) == bytes(other, length),
                Err(_) if self.length == -1 => same_varlena(one, other),
                Err(_) => CStr::from_ptr(one.cast_mut_ptr()) == CStr::from_ptr(other.cast_mut_ptr()),
            }
        }
    }

    /// A value as text; `None` for null. The output function of its type runs as the current user.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn text(&self, row: &Row) -> Result<Option<Vec<u8>>, Error> {
        let Some(value) = row.get(self.place) else {
            return Ok(None);
        };
        let (mut output, mut is_varlena) = (pg_sys::Oid::INVALID, false);
        // SAFETY: the value is of this type, whose output function gives a C string.
        let text = unsafe {
            pg_sys::getTypeOutputInfo(self.type_id, &raw mut output, &raw mut is_varlena);
            CStr::from_ptr(pg_sys::OidOutputFunctionCall(output, value))
        };
        copied(text.to_bytes()).map(Some)
    }

    /// Bytes of a value as it is stored, without fetching it.
    pub fn size(&self, row: &Row) -> usize {
        match row.get(self.place) {
            // SAFETY: a value of length -1 is a varlena.
            Some(value) if self.length == -1 => unsafe { pg_sys::toast_raw_datum_size(value) },
            _ => 8,
        }
    }
}

/// # Safety
/// The datum points to so many bytes.
unsafe fn bytes<'a>(datum: Datum, length: usize) -> &'a [u8] {
    // SAFETY: as said.
    unsafe { std::slice::from_raw_parts(datum.cast_mut_ptr::<u8>(), length) }
}

/// # Safety
/// Both are varlenas.
unsafe fn same_varlena(one: Datum, other: Datum) -> bool {
    // SAFETY: as said. Values that are stored elsewhere are the same if they are stored at the same place.
    unsafe {
        let (first, second) = (
            one.cast_mut_ptr::<pg_sys::varlena>(),
            other.cast_mut_ptr::<pg_sys::varlena>(),
        );
        if varatt_is_1b_e(first)
            && varatt_is_1b_e(second)
            && bytes(one, varsize_any(first)) == bytes(other, varsize_any(second))
        {
            return true;
        }
        pg_sys::toast_raw_datum_size(one) == pg_sys::toast_raw_datum_size(other)
            && varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(first))
                == varlena_to_byte_slice(pg_sys::pg_detoast_datum_packed(second))
    }
}

/// Some columns of a table, as a row type.
pub struct Shape {
    pub columns: Vec<Column>,
    descriptor: pg_sys::TupleDesc,
}

impl Shape {
    /// A row type of these columns of the table, in their order.
    pub fn new(relation: pg_sys::Relation, columns: Vec<Column>) -> Shape {
        // SAFETY: callers have the relation open, and columns are of it. The type lives as long as the
        // session, as do all row types without a name; the descriptor goes with `self`.
        let descriptor = unsafe {
            let before = pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
            let descriptor = pg_sys::CreateTemplateTupleDesc(columns.len() as i32);
            for (place, column) in (1..).zip(&columns) {
                let of_table = column.place as i16 + 1;
                pg_sys::TupleDescCopyEntry(descriptor, place, (*relation).rd_att, of_table);
            }
            pg_sys::assign_record_type_typmod(descriptor);
            pg_sys::MemoryContextSwitchTo(before);
            descriptor
        };
        Shape { columns, descriptor }
    }

    /// Appends a row as JSON object. Casts and output functions of its types run as the current user.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn write_json(&self, row: &Row, json: &mut Vec<u8>) -> Result<(), Error> {
        let values: Vec<Option<Datum>> = self.columns.iter().map(|column| row.get(column.place)).collect();
        let mut nulls: Vec<bool> = values.iter().map(Option::is_none).collect();
        let mut values: Vec<Datum> = values
            .into_iter()
            .map(|value| value.unwrap_or(Datum::null()))
            .collect();
        // SAFETY: the values are of the columns that the descriptor is made of.
        unsafe {
            let tuple = pg_sys::heap_form_tuple(self.descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
            let record = pg_sys::heap_copy_tuple_as_datum(tuple, self.descriptor);
            let text = pgrx::direct_function_call_as_datum(pg_sys::row_to_json, &[Some(record)]);
            match text {
                Some(text) => append(json, varlena_to_byte_slice(text.cast_mut_ptr())),
                None => append(json, b"null"),
            }
        }
    }
}

impl Drop for Shape {
    fn drop(&mut self) {
        // SAFETY: the descriptor was made by `new`, and nobody else has it.
        unsafe { pg_sys::FreeTupleDesc(self.descriptor) };
    }
}

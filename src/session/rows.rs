//! Rows as one argument of a statement: `unnest` of an array of rows is a single scan, where an array for each of
//! twenty columns costs ten times as much.

use std::ffi::CStr;

use pgrx::datum::DatumWithOid;
use pgrx::{IntoDatum, PgSqlErrorCode, PgTupleDesc, pg_sys};

use super::Failure;

/// The value of a column, and its type.
pub struct Value {
    datum: Option<pg_sys::Datum>,
    of_type: pg_sys::Oid,
}

/// A value of whatever type it has in SQL.
pub fn value<T: IntoDatum>(value: T) -> Value {
    Value {
        datum: value.into_datum(),
        of_type: T::type_oid(),
    }
}

/// An array of rows of a table, made in the memory of the current transaction. Each row gives the first columns of
/// the table in their order; any others are null.
///
/// # Errors
/// There is no such table, or its columns are others.
pub fn rows_of<const COLUMNS: usize>(
    schema: &CStr,
    table: &CStr,
    rows: impl Iterator<Item = [Value; COLUMNS]>,
) -> Result<DatumWithOid<'static>, Failure> {
    let unknown = || Failure {
        code: PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
        message: format!("table {table:?} is not as this version of pg_hooks makes it"),
    };
    // SAFETY: looks into the catalog, within a transaction; an unknown name gives an invalid oid.
    let row_type = unsafe {
        let namespace = pg_sys::get_namespace_oid(schema.as_ptr(), true);
        pg_sys::get_rel_type_id(pg_sys::get_relname_relid(table.as_ptr(), namespace))
    };
    let descriptor = PgTupleDesc::for_composite_type_by_oid(row_type).ok_or_else(unknown)?;
    let types: Vec<pg_sys::Oid> = descriptor.iter().map(|column| column.atttypid).collect();
    let mut values = vec![pg_sys::Datum::null(); types.len()];
    let mut nulls = vec![true; types.len()];
    let mut elements = Vec::new();
    for row in rows {
        for (column, value) in row.into_iter().enumerate() {
            if types.get(column) != Some(&value.of_type) {
                return Err(unknown());
            }
            nulls[column] = value.datum.is_none();
            values[column] = value.datum.unwrap_or(pg_sys::Datum::null());
        }
        // SAFETY: as many values and nulls as the descriptor has columns, each of the type of its column. A tuple
        // of a named type is a datum of it.
        elements.push(unsafe {
            let tuple = pg_sys::heap_form_tuple(descriptor.as_ptr(), values.as_mut_ptr(), nulls.as_mut_ptr());
            pg_sys::HeapTupleHeaderGetDatum((*tuple).t_data)
        });
    }
    // SAFETY: so many datums of this type, which like every composite type is a varlena aligned as a double. The
    // array is in the memory of the transaction, as are the results of the statement it is an argument of.
    unsafe {
        let array = pg_sys::construct_array(
            elements.as_mut_ptr(),
            elements.len() as i32,
            row_type,
            -1,
            false,
            pg_sys::TYPALIGN_DOUBLE as _,
        );
        Ok(DatumWithOid::new(
            pg_sys::Datum::from(array),
            pg_sys::get_array_type(row_type),
        ))
    }
}

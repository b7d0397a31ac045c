//! Bytes of a row, which may be many.

use pgrx::{FromDatum, IntoDatum, pg_sys};

use super::Failure;
use crate::fault;

/// A copy of a bytea value. When there is no memory for it, reading the row fails, and not the process.
pub struct Bytes(Result<Vec<u8>, Failure>);

impl Bytes {
    /// # Errors
    /// There was no memory.
    pub fn read(self) -> Result<Vec<u8>, Failure> {
        self.0
    }

    fn copy_of(stored: &[u8]) -> Bytes {
        let mut copy = Vec::new();
        if fault::strikes("memory: contents") || copy.try_reserve_exact(stored.len()).is_err() {
            return Bytes(Err(Failure::out_of_memory(stored.len())));
        }
        copy.extend_from_slice(stored);
        Bytes(Ok(copy))
    }
}

impl FromDatum for Bytes {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        of_type: pg_sys::Oid,
    ) -> Option<Self> {
        // SAFETY: as the caller says. The slice is copied while the datum is there.
        let stored: Option<&[u8]> = unsafe { FromDatum::from_polymorphic_datum(datum, is_null, of_type) };
        stored.map(Bytes::copy_of)
    }
}

/// Says which type such a column has.
impl IntoDatum for Bytes {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        self.0.ok().into_datum()
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::BYTEAOID
    }
}

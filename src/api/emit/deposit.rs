//! What is on its way into the tables of the extension: gathered as whoever changed the table, stored as the owner.

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::{Spi, pg_sys};

use crate::api::prepared::{self, Statement};
use crate::api::row::text_of;

/// Bodies and ordering keys, in memory up to `work_mem` and in a temporary file beyond.
pub struct Deposit {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
    count: usize,
}

impl Deposit {
    pub fn new() -> Deposit {
        // SAFETY: makes both in the memory of the trigger call, which outlives the deposit.
        unsafe {
            let descriptor = pg_sys::CreateTemplateTupleDesc(2);
            for (place, name) in (1..).zip([c"body", c"ordering_key"]) {
                pg_sys::TupleDescInitEntry(descriptor, place, name.as_ptr(), pg_sys::TEXTOID, -1, 0);
            }
            Deposit {
                store: pg_sys::tuplestore_begin_heap(false, false, pg_sys::work_mem),
                descriptor,
                count: 0,
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds the body of a message or event.
    pub fn put(&mut self, body: &[u8], ordering_key: Option<&[u8]>) {
        let mut values = [text_of(body), ordering_key.map_or(pg_sys::Datum::null(), text_of)];
        let mut nulls = [false, ordering_key.is_none()];
        // SAFETY: the values are of the types of the descriptor, and are copied.
        unsafe {
            pg_sys::tuplestore_putvalues(
                self.store,
                self.descriptor,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
        }
        self.count += 1;
    }

    /// Runs a statement that stores what is there, as the current user. In it `emitted` is the deposit,
    /// in the order of its rows, whatever tables there are.
    pub fn store(&self, statement: Statement, arguments: &[DatumWithOid]) -> spi::Result<()> {
        let mut relation = pg_sys::EphemeralNamedRelationData {
            md: pg_sys::EphemeralNamedRelationMetadataData {
                name: c"emitted".as_ptr().cast_mut(),
                reliddesc: pg_sys::InvalidOid,
                tupdesc: self.descriptor,
                enrtype: pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE,
                enrtuples: self.count as f64,
            },
            reldata: self.store.cast(),
        };
        Spi::connect_mut(|client| {
            // SAFETY: the connection forgets the relation at its end, before it and what it points to go.
            Spi::check_status(unsafe { pg_sys::SPI_register_relation(&raw mut relation) })?;
            let statement = prepared::prepare(client, statement, arguments)?;
            client.update(statement, None, arguments).map(|_| ())
        })
    }
}

impl Drop for Deposit {
    fn drop(&mut self) {
        // After an error PostgreSQL frees memory and file with the transaction.
        if !std::thread::panicking() {
            // SAFETY: the store was made by `new` and is used by no one else.
            unsafe { pg_sys::tuplestore_end(self.store) };
        }
    }
}

//! What is on its way into the tables of the extension: gathered as whoever changed the table, stored as the owner.

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::{Spi, pg_sys};

use crate::api::memory::copied;
use crate::api::prepared::{self, Statement};
use crate::api::row::{text_argument, text_of};
use crate::error::Error;

/// Bodies with their ordering keys. One alone is kept as it is; more are a relation.
pub struct Deposit {
    first: Option<(Vec<u8>, Option<Vec<u8>>)>,
    relation: Option<Relation>,
    /// The memory of the trigger call, which outlives the deposit.
    memory: pg_sys::MemoryContext,
    count: usize,
}

impl Deposit {
    pub fn new() -> Deposit {
        Deposit {
            first: None,
            relation: None,
            // SAFETY: the memory that is current when the trigger begins.
            memory: unsafe { pg_sys::CurrentMemoryContext },
            count: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds the body of a message or event.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn put(&mut self, body: &[u8], ordering_key: Option<&[u8]>) -> Result<(), Error> {
        self.count += 1;
        if self.count == 1 {
            self.first = Some((copied(body)?, ordering_key.map(copied).transpose()?));
        } else {
            self.relation().put(body, ordering_key);
        }
        Ok(())
    }

    fn relation(&mut self) -> &mut Relation {
        let (first, memory) = (&mut self.first, self.memory);
        self.relation.get_or_insert_with(|| {
            let mut relation = Relation::new(memory);
            if let Some((body, key)) = first.take() {
                relation.put(&body, key.as_deref());
            }
            relation
        })
    }

    /// As arguments, body and ordering key of the only one there is.
    pub fn only(&self) -> Option<[DatumWithOid<'static>; 2]> {
        let (body, key) = self.first.as_ref()?;
        let no_key = || DatumWithOid::null_oid(pg_sys::TEXTOID);
        Some([
            text_argument(body),
            key.as_deref().map_or_else(no_key, text_argument),
        ])
    }

    /// Runs a statement that stores what is there, as the current user. In it `emitted` is the deposit,
    /// in the order of its rows, whatever tables there are.
    pub fn store(&mut self, statement: Statement, arguments: &[DatumWithOid]) -> spi::Result<()> {
        let count = self.count;
        self.relation().store(count, statement, arguments)
    }
}

/// Rows of text, in memory up to `work_mem` and in a temporary file beyond.
struct Relation {
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
}

impl Relation {
    /// In memory that outlives it.
    fn new(memory: pg_sys::MemoryContext) -> Relation {
        // SAFETY: makes both in this memory, and the memory that was current is current again.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo(memory);
            let descriptor = pg_sys::CreateTemplateTupleDesc(2);
            for (place, name) in (1..).zip([c"body", c"ordering_key"]) {
                pg_sys::TupleDescInitEntry(descriptor, place, name.as_ptr(), pg_sys::TEXTOID, -1, 0);
            }
            let store = pg_sys::tuplestore_begin_heap(false, false, pg_sys::work_mem);
            pg_sys::MemoryContextSwitchTo(before);
            Relation { store, descriptor }
        }
    }

    fn put(&mut self, body: &[u8], ordering_key: Option<&[u8]>) {
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
    }

    fn store(&self, rows: usize, statement: Statement, arguments: &[DatumWithOid]) -> spi::Result<()> {
        let mut relation = pg_sys::EphemeralNamedRelationData {
            md: pg_sys::EphemeralNamedRelationMetadataData {
                name: c"emitted".as_ptr().cast_mut(),
                reliddesc: pg_sys::InvalidOid,
                tupdesc: self.descriptor,
                enrtype: pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE,
                enrtuples: rows as f64,
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

impl Drop for Relation {
    fn drop(&mut self) {
        // After an error PostgreSQL frees memory and file with the transaction.
        if !std::thread::panicking() {
            // SAFETY: the store was made by `new` and is used by no one else.
            unsafe { pg_sys::tuplestore_end(self.store) };
        }
    }
}

//! Messages on their way into `hooks.message`: gathered as whoever changed the table, stored as the owner.

use std::cell::OnceCell;

use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::OwnedPreparedStatement;
use pgrx::{Spi, pg_sys};

use super::plan::Plan;
use crate::api::owner::Called;
use crate::api::queue;
use crate::api::row::{jsonb_argument, text_of};
use crate::error::Error;

/// All messages of a call are one statement. `emitted` is the deposit, whatever tables there are.
const INSERT: &str = "insert into hooks.message (queue_id, headers, body, ordering_key)
                      select $1, $2, e.body, e.ordering_key from emitted as e";

thread_local! {
    static PREPARED: OnceCell<&'static OwnedPreparedStatement> = const { OnceCell::new() };
}

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

    /// Adds a message.
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

    /// Stores all messages, in the order in which they were added.
    ///
    /// # Errors
    /// There is no such queue.
    pub fn store(self, called: Called, plan: &Plan) -> Result<(), Error> {
        if self.count == 0 {
            return Ok(());
        }
        let name = plan.queue()?;
        let headers = match &plan.emission.headers {
            Some(headers) => jsonb_argument(headers),
            None => DatumWithOid::null_oid(pg_sys::JSONBOID),
        };
        let queue_id = queue::id_by_text(name, called)?;
        let inserted = called.as_owner(|| self.insert(queue_id, headers));
        inserted.map_err(|_| {
            Error::invalid(
                "message was not stored",
                "A rule or trigger on hooks.message must not suppress rows.",
            )
        })
    }

    fn insert(&self, queue_id: i64, headers: DatumWithOid) -> spi::Result<()> {
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
            let statement = PREPARED.with(|prepared| match prepared.get() {
                Some(statement) => Ok(*statement),
                None => {
                    let types = [PgBuiltInOids::INT8OID.into(), PgBuiltInOids::JSONBOID.into()];
                    let statement = client.prepare_mut(INSERT, &types)?.keep();
                    let statement: &'static _ = Box::leak(Box::new(statement));
                    Ok::<_, spi::Error>(*prepared.get_or_init(|| statement))
                }
            })?;
            client
                .update(statement, None, &[queue_id.into(), headers])
                .map(|_| ())
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

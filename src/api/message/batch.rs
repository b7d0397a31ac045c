//! Sending many messages with one call.

use std::cell::OnceCell;

use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::iter::SetOfIterator;
use pgrx::prelude::*;
use pgrx::{AnyElement, pg_sys};

use super::{BYTEA, Inserts, Options, TEXT, claim, not_stored, store, transform_of, transformed};
use crate::api::memory;
use crate::api::owner::Called;
use crate::api::prepared::{self, Prepared};
use crate::api::queue;
use crate::api::row::{bytes_of_text, elements, handed_on};
use crate::error::{Error, OrRaise};

#[pg_extern(sql = false)]
#[expect(clippy::too_many_arguments, reason = "they are those of the SQL function")]
fn send_batch_text(
    queue: Option<AnyElement>,
    bodies: Option<AnyElement>,
    at: Option<TimestampWithTimeZone>,
    headers: Option<AnyElement>,
    ordering_key: Option<AnyElement>,
    expires_at: Option<TimestampWithTimeZone>,
    idempotency_keys: Option<AnyElement>,
    call: pg_sys::FunctionCallInfo,
) -> SetOfIterator<'static, Option<i64>> {
    let batch = Batch {
        called: Called::by(call),
        inserts: &TEXT,
        types: (pg_sys::TEXTARRAYOID, pg_sys::TEXTOID),
        options: Options {
            at,
            headers,
            ordering_key,
            expires_at,
        },
    };
    SetOfIterator::new(batch.send(queue, bodies, idempotency_keys).or_raise())
}

#[pg_extern(sql = false)]
#[expect(clippy::too_many_arguments, reason = "they are those of the SQL function")]
fn send_batch_bytea(
    queue: Option<AnyElement>,
    bodies: Option<AnyElement>,
    at: Option<TimestampWithTimeZone>,
    headers: Option<AnyElement>,
    ordering_key: Option<AnyElement>,
    expires_at: Option<TimestampWithTimeZone>,
    idempotency_keys: Option<AnyElement>,
    call: pg_sys::FunctionCallInfo,
) -> SetOfIterator<'static, Option<i64>> {
    let batch = Batch {
        called: Called::by(call),
        inserts: &BYTEA,
        types: (pg_sys::BYTEAARRAYOID, pg_sys::BYTEAOID),
        options: Options {
            at,
            headers,
            ordering_key,
            expires_at,
        },
    };
    SetOfIterator::new(batch.send(queue, bodies, idempotency_keys).or_raise())
}

thread_local! {
    static NEXT_ID: Prepared = const { OnceCell::new() };
}

struct Batch {
    called: Called,
    inserts: &'static Inserts,
    /// Of the array of bodies, and of a body.
    types: (pg_sys::Oid, pg_sys::Oid),
    options: Options,
}

impl Batch {
    /// Stores a message for each body; the ids are in the order of the bodies, null where a transform
    /// wanted none.
    fn send(
        &self,
        queue: Option<AnyElement>,
        bodies: Option<AnyElement>,
        keys: Option<AnyElement>,
    ) -> Result<Vec<Option<i64>>, Error> {
        let queue = queue::for_sending(queue, self.called)?;
        if keys.is_none() && queue.transform.is_none() {
            let bodies = handed_on(bodies, self.types.0)?;
            return self.called.as_owner(|| self.store_all(queue.id, bodies));
        }
        let bodies = elements(bodies, self.types.0, self.types.1)?;
        let keys = match keys {
            None => vec![None; bodies.len()],
            keys => elements(keys, pg_sys::TEXTARRAYOID, pg_sys::TEXTOID)?,
        };
        if keys.len() != bodies.len() {
            return Err(Error::invalid(
                format!("{} idempotency keys for {} bodies", keys.len(), bodies.len()),
                "Give one key for each body; null for a message that is made each time.",
            ));
        }
        let is_text = self.types.1 == pg_sys::TEXTOID;
        let transform = if is_text && bodies.iter().any(Option::is_some) {
            transform_of(&queue, &self.options, self.called)?
        } else {
            None
        };
        let mut made = memory::room_for(bodies.len())?;
        for body in bodies {
            made.push(if is_text {
                transformed(transform.as_ref(), body)?
            } else {
                queue.require_no_transform()?;
                Some(handed_on(body, self.types.1)?)
            });
        }
        self.called.as_owner(|| self.store_each(queue.id, made, &keys))
    }

    fn store_all(&self, queue_id: i64, bodies: DatumWithOid<'static>) -> Result<Vec<Option<i64>>, Error> {
        let arguments = self.options.arguments(queue_id, bodies)?;
        let ids = prepared::run(self.inserts.batch, &arguments, |rows| {
            let Ok(mut ids) = memory::room_for(rows.len()) else {
                return Ok(Err(Error::OutOfMemory(rows.len() * size_of::<Option<i64>>())));
            };
            for row in rows {
                ids.push(row.get::<i64>(1)?);
            }
            Ok(Ok(ids))
        });
        ids.map_err(|_| not_stored())?
    }

    /// Ids are taken in the order of the bodies. Keys are claimed in the order of their bytes, as any other
    /// batch does, so that two batches with the same keys do not wait for each other.
    fn store_each(
        &self,
        queue_id: i64,
        bodies: Vec<Option<DatumWithOid<'static>>>,
        keys: &[Option<AnyElement>],
    ) -> Result<Vec<Option<i64>>, Error> {
        let mut ids = memory::room_for(bodies.len())?;
        let mut claims = Vec::new();
        for (place, (body, key)) in bodies.iter().zip(keys).enumerate() {
            ids.push(if body.is_some() { Some(next_id()?) } else { None });
            if let (true, Some(key)) = (body.is_some(), key) {
                claims.push((bytes_of_text(key)?, place, *key));
            }
        }
        claims.sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        let mut is_new = vec![true; ids.len()];
        for (_, place, key) in claims {
            let (id, first) = claim(queue_id, handed_on(Some(key), pg_sys::TEXTOID)?, ids[place])?;
            ids[place] = Some(id);
            is_new[place] = first;
        }
        for (place, body) in bodies.into_iter().enumerate() {
            if let (Some(body), Some(id), true) = (body, ids[place], is_new[place]) {
                let mut arguments = self.options.arguments(queue_id, body)?;
                arguments.push(id.into());
                store(self.inserts.given, &arguments)?;
            }
        }
        Ok(ids)
    }
}

fn next_id() -> Result<i64, Error> {
    let statement = (&NEXT_ID, "select nextval('hooks.message_id_seq')");
    let id = prepared::run(statement, &[], |rows| rows.first().get_one::<i64>());
    id.ok().flatten().ok_or_else(not_stored)
}

//! Changes as events.
//!
//! Whoever changed the table runs the transforms of subscriptions, as the caller of `hooks.publish()` does.
//! All else is done as the owner, since a writer needs no rights in the schema `hooks`.

use std::cell::OnceCell;

use pgrx::Spi;
use pgrx::prelude::*;

use super::call::Call;
use super::deposit::Deposit;
use super::plan::Plan;
use crate::api::owner::Called;
use crate::api::prepared::{self, Prepared};
use crate::api::row::{shown, text_argument};
use crate::api::trace::traced;
use crate::api::transform::Transform;
use crate::domain::emission::{self, Name, write_json_string};
use crate::domain::pattern;
use crate::error::Error;

/// An event for each row, and its messages. `$4` holds what transforms made, by the ids of subscriptions.
const STORE: &str = "with published as materialized (
    select nextval('hooks.event_id_seq') as id, e.body, e.ordering_key, hooks.emitted_payload(e.body, $3) as payload
    from emitted as e
  ), stored as (
    insert into hooks.event (id, type, payload, headers)
    select p.id, $1, p.body, $2
    from published as p
  )
  insert into hooks.message (queue_id, headers, body, ordering_key, event_id, envelope)
  select s.queue_id, s.headers, t.value::text, p.ordering_key, p.id, nullif(s.envelope, 'raw')
  from published as p
  cross join lateral hooks.matching_subscriptions($1, p.payload, null) as s
  left join json_each($4::json) as t on t.key = s.id::text
  where s.transform is null
     or t.key is not null";

const HAS_TRANSFORMS: &str = "select hooks.has_transforms($1)";

/// Names and context as bytes, in the encoding of the database.
const TRANSFORMS: &str = "select t.subscription_id, convert_to(t.call, 'SQL_ASCII'), t.function_id,
                                 convert_to(t.context::text, 'SQL_ASCII')
                          from hooks.emitted_transforms($1, $2, $3) as t";

thread_local! {
    static PREPARED: Prepared = const { OnceCell::new() };
    static PREPARED_HAS_TRANSFORMS: Prepared = const { OnceCell::new() };
}

/// The events of one trigger call.
pub struct Publishing<'a> {
    called: Called,
    event_type: Name,
    plan: &'a Plan,
    /// What errors say of the trigger.
    trigger: String,
    transforms: bool,
}

impl<'a> Publishing<'a> {
    /// # Errors
    /// The words of the trigger make no type of event for this operation and table.
    pub fn new(call: &Call, plan: &'a Plan, template: &Name) -> Result<Publishing<'a>, Error> {
        let event_type = emission::expand(template, call.operation(), &plan.schema, &plan.table)
            .map_err(|invalid| Error::invalid(invalid.message(shown), invalid.hint()))?;
        pattern::check_published(&shown(&event_type))?;
        let called = call.called();
        let statement = (&PREPARED_HAS_TRANSFORMS, HAS_TRANSFORMS);
        let arguments = [text_argument(&event_type)];
        let transforms =
            called.as_owner(|| prepared::run(statement, &arguments, |rows| rows.first().get_one::<bool>()));
        Ok(Publishing {
            called,
            event_type,
            plan,
            trigger: call.description(),
            transforms: transforms.map_err(|_| not_published())? != Some(false),
        })
    }

    /// Whether transforms may have to run. Else all events of a call are one statement.
    pub fn is_one_by_one(&self) -> bool {
        self.transforms
    }

    /// Publishes an event for each row of the deposit, in their order, to subscriptions without transform.
    pub fn publish(&self, deposit: &mut Deposit) -> Result<(), Error> {
        if deposit.is_empty() {
            return Ok(());
        }
        self.store(deposit, b"{}")
    }

    /// Publishes one event, for which transforms run as the current user.
    pub fn publish_one(&self, body: &[u8], ordering_key: Option<&[u8]>) -> Result<(), Error> {
        let mut transformed = vec![b'{'];
        for (subscription, transform) in self.transforms_of(body)? {
            let Some(made) = transform.run(body)? else {
                continue;
            };
            if transformed.len() > 1 {
                transformed.push(b',');
            }
            write_json_string(subscription.to_string().as_bytes(), &mut transformed);
            transformed.push(b':');
            transformed.extend_from_slice(&made);
        }
        transformed.push(b'}');
        let mut deposit = Deposit::new();
        deposit.put(body, ordering_key);
        self.store(&mut deposit, &transformed)
    }

    /// Subscriptions of the event, each with its transform.
    fn transforms_of(&self, body: &[u8]) -> Result<Vec<(i64, Transform)>, Error> {
        let arguments = [
            text_argument(&self.event_type),
            text_argument(body),
            text_argument(self.trigger.as_bytes()),
        ];
        let found: spi::Result<Vec<(i64, Transform)>> = self.called.as_owner(|| {
            Spi::connect_mut(|client| {
                let rows = client.update(TRANSFORMS, None, &arguments)?;
                rows.map(|row| {
                    let subscription = row.get(1)?.ok_or(spi::Error::InvalidPosition)?;
                    let transform = Transform {
                        call: row.get(2)?.ok_or(spi::Error::InvalidPosition)?,
                        function: row.get(3)?,
                        context: row.get(4)?.ok_or(spi::Error::InvalidPosition)?,
                    };
                    Ok((subscription, transform))
                })
                .collect()
            })
        });
        found.map_err(|_| not_published())
    }

    fn store(&self, deposit: &mut Deposit, transformed: &[u8]) -> Result<(), Error> {
        let arguments = [
            text_argument(&self.event_type),
            self.called.as_owner(|| traced(self.plan.headers()))?,
            text_argument(self.trigger.as_bytes()),
            text_argument(transformed),
        ];
        let stored = self
            .called
            .as_owner(|| deposit.store((&PREPARED, STORE), &arguments));
        stored.map_err(|_| not_published())
    }
}

fn not_published() -> Error {
    Error::invalid(
        "event was not published",
        "A rule or trigger on hooks.event or hooks.message must not suppress rows.",
    )
}

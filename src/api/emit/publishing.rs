//! Changes as events.
//!
//! Whoever changed the table runs the transforms of subscriptions, as the caller of `hooks.publish()` does.
//! All else is done as the owner, since a writer needs no rights in the schema `hooks`.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use pgrx::prelude::*;

use super::call::Call;
use super::deposit::Deposit;
use super::plan::Plan;
use crate::api::memory;
use crate::api::owner::Called;
use crate::api::prepared::{self, Prepared};
use crate::api::row::{shown, text_argument};
use crate::api::trace::traced;
use crate::api::transform::Transform;
use crate::domain::emission::{self, Name, write_json_string};
use crate::domain::pattern;
use crate::error::Error;

/// An event for each row, and its messages, in the order of the rows. `$4` holds what transforms made, by the ids of
/// subscriptions: a list of one, or an empty one for no message.
const STORE: &str = "with published as materialized (
    select nextval('hooks.event_id_seq') as id, e.body, e.ordering_key, hooks.emitted_payload(e.body, $3) as payload
    from emitted as e
  ), stored as (
    insert into hooks.event (id, type, payload, headers)
    select p.id, $1, p.body, $2
    from published as p
  )
  insert into hooks.message (queue_id, headers, body, ordering_key, event_id, envelope)
  select s.queue_id, s.headers, (t.value -> 0)::text, p.ordering_key, p.id, nullif(s.envelope, 'raw')
  from published as p
  cross join lateral hooks.matching_subscriptions($1, p.payload, null) as s
  left join json_each($4::json) as t on t.key = s.id::text
  where case when t.key is not null then json_array_length(t.value) > 0
             else s.transform is null or hooks.refuse_untransformed($1) end
  order by p.id, s.id";

const HAS_TRANSFORMS: &str = "select hooks.has_transforms($1)";

/// Names and context as bytes, in the encoding of the database.
const TRANSFORMS: &str = "select t.subscription_id, convert_to(t.call, 'SQL_ASCII'), t.function_id,
                                 convert_to(t.context::text, 'SQL_ASCII')
                          from hooks.emitted_transforms($1, $2, $3) as t";

thread_local! {
    static PREPARED: Prepared = const { OnceCell::new() };
    static PREPARED_HAS_TRANSFORMS: Prepared = const { OnceCell::new() };
    static PREPARED_TRANSFORMS: Prepared = const { OnceCell::new() };
}

/// How often an event is looked up anew for transforms that have come meanwhile; `hooks.run_transforms()` has the same.
const MOST_LOOKS: usize = 4;

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
        let mut made = BTreeMap::new();
        // Subscriptions may get transforms while others run.
        for _ in 0..MOST_LOOKS {
            let mut news = self.transforms_of(body)?;
            news.retain(|(subscription, _)| !made.contains_key(subscription));
            if news.is_empty() {
                break;
            }
            for (subscription, transform) in news {
                made.insert(subscription, transform.run(body)?);
            }
        }
        let mut deposit = Deposit::new();
        deposit.put(body, ordering_key)?;
        self.store(&mut deposit, &as_json(&made)?)
    }

    /// Subscriptions of the event, each with its transform.
    fn transforms_of(&self, body: &[u8]) -> Result<Vec<(i64, Transform)>, Error> {
        let arguments = [
            text_argument(&self.event_type),
            text_argument(body),
            text_argument(self.trigger.as_bytes()),
        ];
        let statement = (&PREPARED_TRANSFORMS, TRANSFORMS);
        let found: spi::Result<Vec<(i64, Transform)>> = self.called.as_owner(|| {
            prepared::run(statement, &arguments, |rows| {
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

/// What transforms made, as the statement takes it.
fn as_json(made: &BTreeMap<i64, Option<Vec<u8>>>) -> Result<Vec<u8>, Error> {
    let bytes = made.values().flatten().map(Vec::len).sum::<usize>();
    // An id has 19 digits, in quotes, and there are six signs around it and the list.
    let mut json = memory::room_for(2 + bytes + 27 * made.len())?;
    json.push(b'{');
    for (subscription, made) in made {
        if json.len() > 1 {
            json.push(b',');
        }
        write_json_string(subscription.to_string().as_bytes(), &mut json);
        json.extend_from_slice(b":[");
        json.extend_from_slice(made.as_deref().unwrap_or_default());
        json.push(b']');
    }
    json.push(b'}');
    Ok(json)
}

fn not_published() -> Error {
    Error::invalid(
        "event was not published",
        "A rule or trigger on hooks.event or hooks.message must not suppress rows.",
    )
}

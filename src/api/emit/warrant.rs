//! On whose right a trigger sends, and whether that role still has it.
//!
//! A trigger that `hooks.watch()` made sends while who made it may; another one while the owner of its table
//! may. When the right is gone the trigger does nothing, and the statement goes through.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::mem::ManuallyDrop;

use pgrx::pg_sys::Oid;
use pgrx::prelude::*;

use super::call::Call;
use super::plan::Plan;
use super::settings;
use crate::api::owner::Called;
use crate::api::prepared::{self, Prepared};
use crate::api::row::text_argument;
use crate::api::{access, caller, queue};
use crate::domain::emission::{Name, Target};
use crate::wake;

/// The role that answers for a trigger, which is named by its table, its name and its arguments.
const OWNER: &str = "select coalesce(o.owner, c.relowner), convert_to(o.owner_name, 'SQL_ASCII')
  from pg_class as c
  left join hooks.watch_owner as o
    on o.relation = c.oid and o.trigger_name::text = $2 and o.arguments = $3
  where c.oid = $1";

/// The role, and the name that it has to have if it made the trigger.
#[derive(Clone)]
struct Owner {
    role: Oid,
    name: Option<Name>,
}

/// What an answer depends on, as far as PostgreSQL and the commits of others tell of it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    tables: u64,
    roles: u64,
    queues: Option<i64>,
}

struct Known {
    owner: Owner,
    holds: bool,
    stamp: Stamp,
    transaction: i64,
}

thread_local! {
    /// By trigger. Never dropped: at the end of a backend its memory goes first.
    static KNOWN: RefCell<ManuallyDrop<HashMap<Oid, Known>>> = RefCell::default();
    static PREPARED: Prepared = const { OnceCell::new() };
}

/// Most triggers that a backend remembers.
const MOST: usize = 1000;

/// Whether the trigger is to send. It is for a queue that does not exist: that is another mistake.
pub fn holds(call: &Call, plan: &Plan) -> bool {
    let stamp = Stamp {
        tables: settings::generation(),
        roles: caller::role_changes(),
        queues: wake::queue_generation(),
    };
    let transaction = wake::transaction_start();
    let known = KNOWN.with_borrow(|known| {
        let known = known.get(&call.trigger()).filter(|known| known.stamp == stamp)?;
        let here = known.transaction == transaction;
        // What is allowed holds as long as nobody changes it. What is not is asked in each transaction.
        let verdict = (stamp.queues.is_some() && (known.holds || here)).then_some(known.holds);
        // A snapshot, or changes of our own, that others do not share: true until the transaction ends. Whose right
        // did not suffice may be another role by now.
        let owner = ((stamp.queues.is_some() && known.holds) || here).then(|| known.owner.clone());
        Some((verdict, owner))
    });
    let (verdict, owner) = known.unwrap_or((None, None));
    if let Some(holds) = verdict {
        return holds;
    }
    let owner = owner.unwrap_or_else(|| owner_of(call));
    let holds = may(&owner, call.called(), &plan.emission.target);
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= MOST {
            known.clear();
        }
        let answer = Known {
            owner,
            holds,
            stamp,
            transaction,
        };
        known.insert(call.trigger(), answer);
    });
    holds
}

fn owner_of(call: &Call) -> Owner {
    // For a partition, the trigger of the partitioned table.
    let made = settings::origin_of(call.trigger());
    let arguments = [
        made.as_ref()
            .map_or_else(|| call.table(), |made| made.table)
            .into(),
        text_argument(&made.map(|made| made.name).unwrap_or_default()),
        in_catalog(call.arguments()).into(),
    ];
    let found: spi::Result<Option<Owner>> = call.called().as_owner(|| {
        prepared::run((&PREPARED, OWNER), &arguments, |mut rows| {
            let Some(row) = rows.next() else { return Ok(None) };
            let role = row.get(1)?.ok_or(spi::Error::InvalidPosition)?;
            Ok(Some(Owner {
                role,
                name: row.get(2)?,
            }))
        })
    });
    // A snapshot may be older than the table.
    found.ok().flatten().unwrap_or_else(|| Owner {
        role: call.owner_of_table(),
        name: None,
    })
}

/// Arguments as pg_trigger has them: each ends with a zero byte.
fn in_catalog(arguments: Vec<Name>) -> Vec<u8> {
    arguments
        .into_iter()
        .flat_map(|argument| argument.into_iter().chain([0]))
        .collect()
}

fn may(owner: &Owner, called: Called, target: &Target) -> bool {
    if owner
        .name
        .as_ref()
        .is_some_and(|name| !caller::is_named(owner.role, name))
    {
        return false;
    }
    match target {
        Target::Event(_) => access::may_send(owner.role, None, called),
        Target::Queue(name) => queue::by_text(name, called)
            .map_or(true, |queue| access::may_send(owner.role, Some(queue.id), called)),
    }
}

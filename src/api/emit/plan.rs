//! What a trigger sends, worked out once and kept until a table, trigger or schema changes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;

use super::call::Call;
use super::rows::Row;
use super::settings;
use super::shape::{Column, Shape, columns_of};
use crate::api::message::MAX_KEY_BYTES;
use crate::api::queue;
use crate::api::row::{jsonb_argument, shown};
use crate::domain::emission::{Columns, Emission, Name, Target, key, write_json_string};
use crate::error::Error;

/// The arguments of a trigger, applied to the columns of its table.
pub struct Plan {
    pub emission: Emission,
    pub schema: Name,
    pub table: Name,
    pub shape: Shape,
    /// Names of the columns of `shape`, as JSON strings.
    pub names: Vec<Vec<u8>>,
    /// Columns of the ordering key.
    key: Vec<Column>,
}

/// Plans by the oid of their trigger.
#[derive(Default)]
struct Known {
    generation: u64,
    plans: HashMap<pg_sys::Oid, Rc<Plan>>,
}

thread_local! {
    /// Never dropped: at the end of a backend its memory goes first.
    static KNOWN: RefCell<ManuallyDrop<Known>> = RefCell::default();
}

/// Most plans that a backend keeps.
const MOST: usize = 1000;

impl Plan {
    /// # Errors
    /// Arguments that say nothing, columns that are not there, headers that are none.
    pub fn of(call: &Call) -> Result<Rc<Plan>, Error> {
        let generation = settings::generation();
        let known = KNOWN.with_borrow(|known| {
            let valid = known.generation == generation;
            known.plans.get(&call.trigger()).filter(|_| valid).cloned()
        });
        if let Some(plan) = known {
            return Ok(plan);
        }
        let plan = Rc::new(Plan::new(call)?);
        KNOWN.with_borrow_mut(|known| {
            if known.generation != generation || known.plans.len() >= MOST {
                known.plans.clear();
                known.generation = generation;
            }
            known.plans.insert(call.trigger(), Rc::clone(&plan));
        });
        Ok(plan)
    }

    fn new(call: &Call) -> Result<Plan, Error> {
        let arguments = call.arguments();
        let emission = Emission::parse(arguments.iter().map(Vec::as_slice))
            .map_err(|invalid| Error::invalid(invalid.message(shown), invalid.hint()))?;
        if let Some(headers) = &emission.headers {
            queue::validate_header_text(headers)?;
        }
        let all = columns_of(call.relation());
        let key = places("ordering_key", &emission.ordering_key, &all)?;
        let key = key.iter().filter_map(|place| all.get(*place).cloned()).collect();
        let shape = Shape::new(call.relation(), chosen(&emission.columns, all)?);
        let (schema, table) = settings::names_of(watched_table(call));
        if schema == b"hooks" && table == b"message" {
            return Err(Error::NotSupported {
                message: "messages cannot be sent of hooks.message".to_owned(),
                hint: "Each would make another one; drop the trigger.".to_owned(),
            });
        }
        if schema == b"hooks" && table == b"event" && matches!(emission.target, Target::Event(_)) {
            return Err(Error::NotSupported {
                message: "events cannot be published of hooks.event".to_owned(),
                hint: "Each would make another one; drop the trigger, or give it a queue.".to_owned(),
            });
        }
        Ok(Plan {
            names: shape.columns.iter().map(|column| quoted(&column.name)).collect(),
            emission,
            schema,
            table,
            shape,
            key,
        })
    }

    /// Headers of each message or event.
    pub fn headers(&self) -> DatumWithOid<'static> {
        match &self.emission.headers {
            Some(headers) => jsonb_argument(headers),
            None => DatumWithOid::null_oid(pg_sys::JSONBOID),
        }
    }

    /// The ordering key of a message: that of the row as it is, or was.
    ///
    /// # Errors
    /// There is no memory for the values that it is made of.
    pub fn ordering_key(&self, old: Option<&Row>, new: Option<&Row>) -> Result<Option<Vec<u8>>, Error> {
        let Some(row) = new.or(old) else {
            return Ok(None);
        };
        let values: Result<Vec<_>, Error> = self.key.iter().map(|column| column.text(row)).collect();
        Ok(key(values?, MAX_KEY_BYTES))
    }
}

fn quoted(name: &[u8]) -> Vec<u8> {
    let mut json = Vec::with_capacity(name.len() + 2);
    write_json_string(name, &mut json);
    json
}

/// Where the named columns stand among `all`.
fn places(option: &'static str, names: &[Name], all: &[Column]) -> Result<Vec<usize>, Error> {
    let place = |name: &Name| {
        let found = all.iter().position(|column| column.name == *name);
        found.ok_or_else(|| Error::UnknownColumn {
            column: shown(name),
            option,
        })
    };
    names.iter().map(place).collect()
}

/// The columns to send, in the order of the table. A name that is not there is an error also in a list of
/// columns to leave out: one that was renamed would be sent after all.
fn chosen(columns: &Columns, all: Vec<Column>) -> Result<Vec<Column>, Error> {
    let (named, wanted) = match columns {
        Columns::All => return Ok(all),
        Columns::Only(names) => (places("columns", names, &all)?, true),
        Columns::AllBut(names) => (places("exclude", names, &all)?, false),
    };
    let all = all.into_iter().enumerate();
    let chosen = all.filter(|(place, _)| named.contains(place) == wanted);
    Ok(chosen.map(|(_, column)| column).collect())
}

/// The table that the trigger was created on: for a partition, the partitioned table that it comes from.
fn watched_table(call: &Call) -> pg_sys::Oid {
    if !call.is_clone() {
        return call.table();
    }
    settings::origin_of(call.trigger()).map_or_else(|| call.table(), |made| made.table)
}

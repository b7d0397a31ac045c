//! A call of a trigger function, and the rows it is about.

use std::ffi::CStr;

use pgrx::pg_sys::{self, FunctionCallInfo, TriggerData};
use pgrx::trigger_support::{
    called_as_trigger, trigger_fired_after, trigger_fired_by_delete, trigger_fired_by_insert,
    trigger_fired_by_update, trigger_fired_for_row,
};

use super::rows::{self, Row, Transition};
use super::settings;
use crate::api::owner::Called;
use crate::api::row::shown;
use crate::domain::emission::{Name, Operation};
use crate::error::Error;

/// A call as AFTER trigger; all it points to lives as long as the call.
pub struct Call<'a> {
    called: Called,
    data: &'a TriggerData,
    trigger: &'a pg_sys::Trigger,
}

impl<'a> Call<'a> {
    /// # Errors
    /// The function was called in another way.
    pub fn of(call: FunctionCallInfo) -> Result<Call<'a>, Error> {
        // SAFETY: PostgreSQL calls a function with a valid call frame; a call as trigger has a
        // TriggerData as its context, and that a trigger.
        let parts = unsafe {
            if called_as_trigger(call) {
                let data = (*call).context.cast::<TriggerData>().as_ref();
                data.and_then(|data| Some((data, data.tg_trigger.as_ref()?)))
            } else {
                None
            }
        };
        let (data, trigger) = parts.ok_or(Error::NotAnEmitTrigger)?;
        if !trigger_fired_after(data.tg_event) {
            return Err(Error::NotAnEmitTrigger);
        }
        Ok(Call {
            called: Called::by(call),
            data,
            trigger,
        })
    }

    pub fn operation(&self) -> Operation {
        let event = self.data.tg_event;
        if trigger_fired_by_insert(event) {
            Operation::Insert
        } else if trigger_fired_by_update(event) {
            Operation::Update
        } else if trigger_fired_by_delete(event) {
            Operation::Delete
        } else {
            Operation::Truncate
        }
    }

    /// The function, whose owner may store messages.
    pub fn called(&self) -> Called {
        self.called
    }

    pub fn trigger(&self) -> pg_sys::Oid {
        self.trigger.tgoid
    }

    /// Whether the trigger was made for a partition because its partitioned table has it.
    pub fn is_clone(&self) -> bool {
        self.trigger.tgisclone
    }

    /// The changed table, which is open.
    pub fn relation(&self) -> pg_sys::Relation {
        self.data.tg_relation
    }

    pub fn table(&self) -> pg_sys::Oid {
        // SAFETY: the relation of a trigger call is open.
        unsafe { (*self.data.tg_relation).rd_id }
    }

    pub fn owner_of_table(&self) -> pg_sys::Oid {
        // SAFETY: the relation of a trigger call is open.
        unsafe { (*(*self.data.tg_relation).rd_rel).relowner }
    }

    /// What stands in the parentheses of `hooks.emit(...)`.
    pub fn arguments(&self) -> Vec<Name> {
        let count = usize::try_from(self.trigger.tgnargs).unwrap_or(0);
        let argument = |place| {
            // SAFETY: a trigger has `tgnargs` C strings in `tgargs`.
            unsafe { CStr::from_ptr(*self.trigger.tgargs.add(place)) }
        };
        (0..count)
            .map(|place| argument(place).to_bytes().to_vec())
            .collect()
    }

    /// Whether the statement changed anything that this trigger is to tell of.
    ///
    /// # Errors
    /// A trigger of the statement that does not name its transition tables.
    pub fn has_changes(&self) -> Result<bool, Error> {
        if trigger_fired_for_row(self.data.tg_event) || self.operation() == Operation::Truncate {
            return Ok(true);
        }
        Ok(!self.transition()?.is_empty())
    }

    /// Hands over each changed row as it was and as it is; nothing and nothing for a TRUNCATE.
    pub fn for_each_change(
        &self,
        mut each: impl FnMut(Option<&Row>, Option<&Row>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let operation = self.operation();
        if operation == Operation::Truncate {
            return each(None, None);
        }
        if !trigger_fired_for_row(self.data.tg_event) {
            return self.transition()?.for_each(self.relation(), each);
        }
        let (first, second) = (self.data.tg_trigtuple, self.data.tg_newtuple);
        // SAFETY: a row-level trigger has the row, an UPDATE the new one too, of an open relation.
        let row = unsafe { rows::deformed(self.relation(), first) };
        match operation {
            Operation::Insert => each(None, Some(&row.as_row())),
            Operation::Delete => each(Some(&row.as_row()), None),
            _ => {
                // SAFETY: as above.
                let new = unsafe { rows::deformed(self.relation(), second) };
                each(Some(&row.as_row()), Some(&new.as_row()))
            }
        }
    }

    fn transition(&self) -> Result<Transition, Error> {
        let (old, new) = (self.data.tg_oldtable, self.data.tg_newtable);
        let (needs_old, needs_new) = match self.operation() {
            Operation::Insert => (false, true),
            Operation::Delete => (true, false),
            _ => (true, true),
        };
        if (needs_old && old.is_null()) || (needs_new && new.is_null()) {
            return Err(Error::invalid(
                format!(
                    "a statement-level {} trigger needs its transition tables",
                    self.operation().name()
                ),
                "Add REFERENCING OLD TABLE AS ... and NEW TABLE AS ... to CREATE TRIGGER, or use FOR EACH ROW.",
            ));
        }
        Ok(Transition { old, new })
    }

    /// The error, with the trigger that is to blame.
    pub fn blame(&self, error: Error) -> Error {
        Error::InTrigger {
            trigger: self.description(),
            error: Box::new(error),
        }
    }

    /// Says which trigger this is, as the detail of an error.
    pub fn description(&self) -> String {
        // SAFETY: the name of a trigger is a C string.
        let trigger = unsafe { CStr::from_ptr(self.trigger.tgname) };
        let (schema, table) = settings::names_of(self.table());
        format!(
            "Trigger \"{}\" of table {}.{} calls hooks.emit().",
            shown(trigger.to_bytes()),
            shown(&schema),
            shown(&table)
        )
    }
}

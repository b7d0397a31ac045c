//! The body of a message: what changed, as JSON.

use std::io::Write;

use super::call::Call;
use super::plan::Plan;
use super::rows::Row;
use super::settings;
use super::shape::{Shape, key_places};
use crate::api::memory::{LARGE, append, reserve_for_errors};
use crate::domain::emission::{Operation, write_json_string};
use crate::error::Error;
use crate::guc;

/// Rows with more stored bytes than this many times the limit of a body are not rendered at all. The
/// text of small numbers in arrays is shorter than their storage.
const STORED_TO_TEXT: usize = 8;

/// Nor those beyond this: control characters take six bytes each, and PostgreSQL's limit is 1 GB.
const MOST_STORED: usize = 128 << 20;

/// Renders the changes of one trigger call, one after the other.
pub struct Payload<'a> {
    call: &'a Call<'a>,
    plan: &'a Plan,
    /// What all bodies begin and end with.
    head: Vec<u8>,
    tail: Vec<u8>,
    body: Vec<u8>,
    limit: usize,
}

impl<'a> Payload<'a> {
    pub fn new(call: &'a Call, plan: &'a Plan) -> Payload<'a> {
        let mut head = Vec::with_capacity(64);
        head.extend_from_slice(b"{\"op\":\"");
        head.extend_from_slice(call.operation().name().as_bytes());
        head.extend_from_slice(b"\",\"schema\":");
        write_json_string(&plan.schema, &mut head);
        head.extend_from_slice(b",\"table\":");
        write_json_string(&plan.table, &mut head);
        let (at, transaction) = settings::moment();
        let mut tail = Vec::with_capacity(64);
        // Writing to a vector cannot fail.
        let _ = write!(tail, ",\"at\":\"{at}\",\"txid\":{transaction}");
        Payload {
            call,
            plan,
            head,
            tail,
            body: Vec::new(),
            limit: guc::max_body_size(),
        }
    }

    /// The body for a change; `None` when no column that it shows is another than before.
    ///
    /// A body over the limit shows the primary key only, and says so.
    ///
    /// # Errors
    /// Even that is over the limit, or there is no memory for it.
    pub fn of(&mut self, old: Option<&Row>, new: Option<&Row>) -> Result<Option<&[u8]>, Error> {
        let changed = self.changed(old, new);
        if changed.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        let stored = self.stored_bytes(old, new);
        if stored > LARGE {
            reserve_for_errors()?;
        }
        if self.is_worth_rendering(stored) {
            self.render(&self.plan.shape, old, new, changed.as_deref(), b"}")?;
        } else {
            self.body.clear();
        }
        if self.body.is_empty() || self.body.len() > self.limit {
            let shape = self.key_shape();
            self.render(&shape, old, new, changed.as_deref(), b",\"oversized\":true}")?;
        }
        if self.body.len() > self.limit {
            let (bytes, limit) = (self.body.len(), self.limit);
            return Err(Error::invalid(
                format!("body of {bytes} bytes exceeds hooks.max_body_size, {limit} bytes"),
                "Send fewer columns, or raise hooks.max_body_size.",
            ));
        }
        Ok(Some(&self.body))
    }

    /// Places among the columns of the plan where an update made a difference; `None` for what is no
    /// update of a row that is known before and after.
    fn changed(&self, old: Option<&Row>, new: Option<&Row>) -> Option<Vec<usize>> {
        if self.call.operation() != Operation::Update {
            return None;
        }
        let (old, new) = (old?, new?);
        let columns = self.plan.shape.columns.iter().enumerate();
        let differing = columns.filter(|(_, column)| !column.is_equal(old, new));
        Some(differing.map(|(place, _)| place).collect())
    }

    fn stored_bytes(&self, old: Option<&Row>, new: Option<&Row>) -> usize {
        let columns = &self.plan.shape.columns;
        let rows = [old, new].into_iter().flatten();
        rows.flat_map(|row| columns.iter().map(move |column| column.size(row)))
            .sum()
    }

    fn is_worth_rendering(&self, stored: usize) -> bool {
        let most = self.limit.saturating_mul(STORED_TO_TEXT).min(MOST_STORED);
        // A limit below the size of small values says nothing about what rendering costs.
        stored <= most.max(1 << 16)
    }

    fn render(
        &mut self,
        shape: &Shape,
        old: Option<&Row>,
        new: Option<&Row>,
        changed: Option<&[usize]>,
        end: &[u8],
    ) -> Result<(), Error> {
        let body = &mut self.body;
        body.clear();
        append(body, &self.head)?;
        append(body, b",\"old\":")?;
        write_row(shape, old, body)?;
        append(body, b",\"new\":")?;
        write_row(shape, new, body)?;
        append(body, b",\"changed\":")?;
        match changed {
            None => append(body, b"null")?,
            Some(places) => write_names(&self.plan.names, places, body)?,
        }
        append(body, &self.tail)?;
        append(body, end)
    }

    /// The columns of the primary key among those that are shown.
    fn key_shape(&self) -> Shape {
        let key = key_places(self.call.relation());
        let columns = self.plan.shape.columns.iter();
        let columns = columns.filter(|column| key.contains(&column.place)).cloned();
        Shape::new(self.call.relation(), columns.collect())
    }
}

fn write_row(shape: &Shape, row: Option<&Row>, body: &mut Vec<u8>) -> Result<(), Error> {
    match row {
        Some(row) => shape.write_json(row, body),
        None => append(body, b"null"),
    }
}

fn write_names(names: &[Vec<u8>], places: &[usize], body: &mut Vec<u8>) -> Result<(), Error> {
    append(body, b"[")?;
    for (count, name) in places.iter().filter_map(|place| names.get(*place)).enumerate() {
        if count > 0 {
            append(body, b",")?;
        }
        append(body, name)?;
    }
    append(body, b"]")
}

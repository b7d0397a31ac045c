//! Rows of a changed table, one by one or from transition tables.

use pgrx::pg_sys::{self, Datum};

use crate::error::Error;

/// The values of one row, in the order of the table's columns.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub values: &'a [Datum],
    pub nulls: &'a [bool],
}

impl Row<'_> {
    /// The value of a column, counted from 0; `None` for null.
    pub fn get(&self, column: usize) -> Option<Datum> {
        match self.nulls.get(column) {
            Some(false) => self.values.get(column).copied(),
            _ => None,
        }
    }
}

/// A row taken apart.
pub struct Deformed {
    values: Vec<Datum>,
    nulls: Vec<bool>,
}

impl Deformed {
    pub fn as_row(&self) -> Row<'_> {
        Row {
            values: &self.values,
            nulls: &self.nulls,
        }
    }
}

/// Takes a row apart. The values point into it.
///
/// # Safety
/// `relation` is open and `tuple` is a row of it.
pub unsafe fn deformed(relation: pg_sys::Relation, tuple: pg_sys::HeapTuple) -> Deformed {
    // SAFETY: as said; the vectors have an element for each column.
    unsafe {
        let descriptor = (*relation).rd_att;
        let columns = usize::try_from((*descriptor).natts).unwrap_or(0);
        let mut row = Deformed {
            values: vec![Datum::null(); columns],
            nulls: vec![true; columns],
        };
        pg_sys::heap_deform_tuple(tuple, descriptor, row.values.as_mut_ptr(), row.nulls.as_mut_ptr());
        row
    }
}

/// The transition tables of a call; null for one that the operation does not have.
pub struct Transition {
    pub old: *mut pg_sys::Tuplestorestate,
    pub new: *mut pg_sys::Tuplestorestate,
}

impl Transition {
    pub fn is_empty(&self) -> bool {
        count(self.old) == 0 && count(self.new) == 0
    }

    /// Hands over pairs of an old and a new row.
    ///
    /// PostgreSQL adds both rows of an update at once, so that they stand at the same place. Only when a
    /// trigger swallows a row that is on its way to another partition are there more old than new ones;
    /// then nothing tells which belong together, and each is handed over alone.
    pub fn for_each(
        &self,
        relation: pg_sys::Relation,
        mut each: impl FnMut(Option<&Row>, Option<&Row>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut old = Reader::new(self.old, relation);
        let mut new = Reader::new(self.new, relation);
        let paired = count(self.old) == count(self.new);
        let mut scratch = Scratch::new();
        while let Some(row) = old.next() {
            let other = if paired { new.next() } else { None };
            scratch.run(|| each(Some(&row), other.as_ref()))?;
        }
        while let Some(row) = new.next() {
            scratch.run(|| each(None, Some(&row)))?;
        }
        Ok(())
    }
}

fn count(table: *mut pg_sys::Tuplestorestate) -> i64 {
    if table.is_null() {
        return 0;
    }
    // SAFETY: transition tables live as long as the trigger call.
    unsafe { pg_sys::tuplestore_tuple_count(table) }
}

/// Reads a transition table from its start, beside others who read it.
struct Reader {
    table: *mut pg_sys::Tuplestorestate,
    pointer: i32,
    slot: *mut pg_sys::TupleTableSlot,
    columns: i32,
}

impl Reader {
    fn new(table: *mut pg_sys::Tuplestorestate, relation: pg_sys::Relation) -> Reader {
        // SAFETY: the relation is open and the table lives as long as the trigger call. Null is never read.
        unsafe {
            let descriptor = (*relation).rd_att;
            let mut reader = Reader {
                table,
                pointer: 0,
                slot: std::ptr::null_mut(),
                columns: (*descriptor).natts,
            };
            if !table.is_null() {
                reader.slot =
                    pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsMinimalTuple);
                let can_rewind = pg_sys::EXEC_FLAG_REWIND as i32;
                reader.pointer = pg_sys::tuplestore_alloc_read_pointer(table, can_rewind);
                pg_sys::tuplestore_select_read_pointer(table, reader.pointer);
                pg_sys::tuplestore_rescan(table);
            }
            reader
        }
    }

    /// The next row, valid until the one after it.
    fn next(&mut self) -> Option<Row<'_>> {
        if self.slot.is_null() {
            return None;
        }
        // SAFETY: table and slot live as long as the reader; rows are not copied, and stay in place until
        // the next one is read.
        unsafe {
            pg_sys::tuplestore_select_read_pointer(self.table, self.pointer);
            if !pg_sys::tuplestore_gettupleslot(self.table, true, false, self.slot) {
                return None;
            }
            if self.columns > 0 {
                pg_sys::slot_getsomeattrs_int(self.slot, self.columns);
            }
            let columns = usize::try_from(self.columns).unwrap_or(0);
            Some(Row {
                values: std::slice::from_raw_parts((*self.slot).tts_values, columns),
                nulls: std::slice::from_raw_parts((*self.slot).tts_isnull, columns),
            })
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // After an error PostgreSQL frees the slot with the transaction.
        if !self.slot.is_null() && !std::thread::panicking() {
            // SAFETY: the slot was made by `new` and is used by no one else.
            unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.slot) };
        }
    }
}

/// Memory for what is made of one row.
struct Scratch(pg_sys::MemoryContext);

impl Scratch {
    fn new() -> Scratch {
        // SAFETY: makes a child of the current context, which outlives the trigger call.
        Scratch(unsafe {
            pg_sys::AllocSetContextCreateInternal(
                pg_sys::CurrentMemoryContext,
                c"hooks.emit row".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        })
    }

    /// Runs with this memory, which is freed afterwards. An error ends the transaction, and all memory.
    fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        // SAFETY: the context lives as long as `self`, and nobody keeps what is in it.
        unsafe {
            let before = pg_sys::MemoryContextSwitchTo(self.0);
            let result = work();
            pg_sys::MemoryContextSwitchTo(before);
            pg_sys::MemoryContextReset(self.0);
            result
        }
    }
}

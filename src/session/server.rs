//! What server and database this process is in, and what the session is about.

use std::ffi::CStr;

use pgrx::{PgList, is_a, pg_sys};

/// Where this database is: system identifier of the server and oid of the database. A standby has those of its
/// primary.
pub fn place() -> String {
    // SAFETY: both read values that are set when the process starts and connects.
    let (server, database) = unsafe { (pg_sys::GetSystemIdentifier(), pg_sys::MyDatabaseId) };
    format!("{server}/{}", database.to_u32())
}

/// Whether a superuser copies rows into this table as scripts of `pg_dump` do, which switch `check_function_bodies`
/// off first.
///
/// Statements that run within a COPY into another table are no part of a restore, nor are those of functions that
/// anybody may call and that run as their owner.
pub fn is_restoring(table: pg_sys::Oid) -> bool {
    // SAFETY: reads plain globals of this process.
    let may_restore = unsafe {
        !pg_sys::check_function_bodies
            && pg_sys::GetUserId() == pg_sys::GetOuterUserId()
            && pg_sys::superuser()
    };
    may_restore && is_copied_into(table)
}

/// Whether the statement that the client sent is a COPY into this table, which it names with its schema.
fn is_copied_into(table: pg_sys::Oid) -> bool {
    // SAFETY: a portal and its statements are there while the statement runs; the tags say what they are. Names of
    // tables are copies in the memory of the moment, or null if there is no such table.
    unsafe {
        let Some(portal) = pg_sys::ActivePortal.as_ref() else {
            return false;
        };
        if portal.commandTag != pg_sys::CommandTag::CMDTAG_COPY {
            return false;
        }
        let statements = PgList::<pg_sys::PlannedStmt>::from_pg(portal.stmts);
        let utility = statements
            .get_ptr(0)
            .map_or(std::ptr::null_mut(), |statement| (*statement).utilityStmt);
        if utility.is_null() || !is_a(utility, pg_sys::NodeTag::T_CopyStmt) {
            return false;
        }
        let Some(target) = (*utility.cast::<pg_sys::CopyStmt>()).relation.as_ref() else {
            return false;
        };
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(table));
        let pairs = [
            (target.schemaname, schema),
            (target.relname, pg_sys::get_rel_name(table)),
        ];
        pairs.iter().all(|(said, meant)| {
            !said.is_null() && !meant.is_null() && CStr::from_ptr(*said) == CStr::from_ptr(*meant)
        })
    }
}

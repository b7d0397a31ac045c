//! What server and database this process is in, and what the session is about.

use pgrx::pg_sys;

/// Where this database is: system identifier of the server and oid of the database. A standby has those of its
/// primary.
pub fn place() -> String {
    // SAFETY: both read values that are set when the process starts and connects.
    let (server, database) = unsafe { (pg_sys::GetSystemIdentifier(), pg_sys::MyDatabaseId) };
    format!("{server}/{}", database.to_u32())
}

/// Whether a superuser copies rows in as scripts of `pg_dump` do, which switch `check_function_bodies` off first.
pub fn is_restoring() -> bool {
    // SAFETY: reads plain globals of this process; a portal is there while a statement runs.
    unsafe {
        if pg_sys::check_function_bodies || !pg_sys::superuser() {
            return false;
        }
        let statement = pg_sys::ActivePortal.as_ref();
        statement.is_some_and(|portal| portal.commandTag == pg_sys::CommandTag::CMDTAG_COPY)
    }
}

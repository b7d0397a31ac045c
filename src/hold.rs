//! Waiting while nothing may be sent from this database: it is a copy that nobody adopted, or the extension is
//! of another version than the library.

use std::time::{Duration, Instant};

use pgrx::{PgSqlErrorCode, pg_sys};

use crate::domain::hold::Hold;
use crate::session::Failure;
use crate::{guc, log, session, store, wake};

/// How often to look at most: each commit that sends something wakes whoever has the lead.
const GLANCE: Duration = Duration::from_millis(200);

/// Returns when this process, which has the lead, may send; ends it when the extension is not the one of that oid.
pub fn wait_until_free(database: &wake::Database, extension: pg_sys::Oid) {
    let mut told = None;
    loop {
        let looked = Instant::now();
        match look(extension) {
            Ok(None) => return,
            Ok(Some(hold)) => {
                database.hold(hold);
                if told.replace(hold) != Some(hold) {
                    log::held(hold);
                    // A commit that came before others could know of the hold told nobody.
                    continue;
                }
            }
            // Somebody drops the extension, perhaps.
            Err(failure) if failure.code == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE => {
                session::sleep(GLANCE);
                continue;
            }
            Err(failure) => {
                log::could_not_ask_for_hold(failure);
                session::exit_for_restart()
            }
        }
        session::report_idle();
        session::sleep(guc::rescan_interval());
        while looked.elapsed() < GLANCE {
            session::sleep(GLANCE.saturating_sub(looked.elapsed()));
        }
        session::reload_settings();
    }
}

/// The version comes first: of another one nothing else is known.
fn look(extension: pg_sys::Oid) -> Result<Option<Hold>, Failure> {
    session::transaction(
        c"pg_hooks: looking whether it may send",
        |client| match store::extension(client)? {
            Some(found) if found.oid == extension && found.version != session::LIBRARY_VERSION => {
                Ok(Some(Hold::Version))
            }
            Some(found) if found.oid == extension => store::hold(client),
            _ => Err(Failure::extension_gone()),
        },
    )
}

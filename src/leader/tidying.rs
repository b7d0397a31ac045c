//! Removing what has served its time, some at a time: events that nothing tells of, idempotency keys.

use pgrx::PgSqlErrorCode;

use super::Leader;
use crate::session::Failure;
use crate::store;

/// What is left to look at until the next rescan.
pub struct Tidying {
    keys: bool,
    events: bool,
    /// Events up to this id were looked at.
    after: i64,
}

impl Tidying {
    pub fn begin() -> Tidying {
        Tidying {
            keys: true,
            events: true,
            after: i64::MIN,
        }
    }

    /// Asks for another look; it goes on where the last one paused.
    pub fn ask(&mut self) {
        self.keys = true;
        self.events = true;
    }

    pub fn is_under_way(&self) -> bool {
        self.keys || self.events
    }
}

impl Leader {
    /// One step. A step that finds nothing to remove is the last one until the next rescan, so that a
    /// long stretch of events that must stay costs little.
    ///
    /// What somebody has locked is left for another time.
    pub fn tidy(&mut self) -> Result<(), Failure> {
        self.tidy_some().or_else(|failure| match failure.code {
            PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE => {
                (self.tidying.keys, self.tidying.events) = (false, false);
                Ok(())
            }
            _ => Err(failure),
        })
    }

    fn tidy_some(&mut self) -> Result<(), Failure> {
        if self.tidying.keys {
            let gone = self.transaction(c"pg_hooks: removing idempotency keys", store::forget_keys)?;
            self.tidying.keys = gone > 0;
        } else if self.tidying.events {
            let after = self.tidying.after;
            let (last, gone) = self.transaction(c"pg_hooks: removing events", |client| {
                store::forget_events(client, after)
            })?;
            self.tidying.after = last.unwrap_or(i64::MIN);
            self.tidying.events = last.is_some() && gone > 0;
        }
        Ok(())
    }
}

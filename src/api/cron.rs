//! Schedules: when they run, and what the trigger of `hooks.cron` asks for.

use pgrx::AnyElement;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use super::row::{bytes_of_text, shown};
use crate::domain::cron::{Schedule, preview};
use crate::error::{Error, OrRaise};
use crate::session::{ServerZone, from_postgres, to_postgres};
use crate::wake;

/// Most runs of one preview.
const MAX_PREVIEW: i32 = 10_000;

#[pg_extern(sql = false)]
fn cron_preview(
    schedule: Option<AnyElement>,
    timezone: Option<AnyElement>,
    from: Option<TimestampWithTimeZone>,
    n: Option<i32>,
) -> SetOfIterator<'static, TimestampWithTimeZone> {
    SetOfIterator::new(runs(schedule, timezone, from, n).or_raise())
}

fn runs(
    schedule: Option<AnyElement>,
    timezone: Option<AnyElement>,
    from: Option<TimestampWithTimeZone>,
    n: Option<i32>,
) -> Result<Vec<TimestampWithTimeZone>, Error> {
    let schedule = text(
        schedule,
        "schedule",
        "Give one such as \"30 4 * * mon-fri\" or \"@daily\".",
    )?;
    let schedule: Schedule = schedule
        .parse()
        .map_err(|error: crate::domain::cron::CronError| Error::invalid(error.to_string(), error.hint()))?;
    let timezone = text(timezone, "time zone", "Leave it out for UTC.")?;
    let zone = ServerZone::named(&timezone).map_err(|unknown| {
        Error::invalid(
            unknown.to_string(),
            "Give an IANA name such as Europe/Berlin; pg_timezone_names lists them.",
        )
    })?;
    let from = from.ok_or_else(|| Error::invalid("from must not be null", "Leave it out for now."))?;
    let n = n
        .filter(|n| (1..=MAX_PREVIEW).contains(n))
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| {
            Error::invalid(
                format!("n must be between 1 and {MAX_PREVIEW}"),
                "The default is 10.",
            )
        })?;
    Ok(preview(&schedule, &zone, from_postgres(from), n)
        .map(to_postgres)
        .collect())
}

fn text(argument: Option<AnyElement>, what: &str, hint: &str) -> Result<String, Error> {
    let argument = argument.ok_or_else(|| Error::invalid(format!("{what} must not be null"), hint))?;
    Ok(shown(&bytes_of_text(&argument)?))
}

#[pg_extern(sql = false)]
fn note_cron(cron_id: i64) {
    wake::note_cron(cron_id);
}

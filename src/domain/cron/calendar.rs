//! Which wall-clock times an expression names, whatever the time zone.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::error::CronError;
use super::field::Values;

/// Days of each month in a leap year.
const MONTH_DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// The fields of an expression.
pub struct Fields {
    pub second: Values,
    pub minute: Values,
    pub hour: Values,
    pub day_of_month: Values,
    pub month: Values,
    pub day_of_week: Values,
}

/// The times that an expression names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    matches: ::cron::Schedule,
    /// The same with the other day field, where either is enough.
    or_matches: Option<::cron::Schedule>,
    /// Whether it goes by the clock when clocks change, or has fixed times. See [`super`].
    pub by_the_clock: bool,
}

impl Calendar {
    /// # Errors
    /// [`CronError::NeverFires`] if no year has such a date. Every date that there is falls on each
    /// weekday within the 400 years of the Gregorian cycle, so weekdays need no look.
    pub fn new(fields: &Fields) -> Result<Calendar, CronError> {
        let either = !fields.day_of_month.starred && !fields.day_of_week.starred;
        if !either && !fields.has_a_date() {
            return Err(CronError::NeverFires);
        }
        let (days, weekdays) = (Some(fields.day_of_month), Some(fields.day_of_week));
        let (matches, or_matches) = if either {
            let by_weekday = fields.translate(None, weekdays)?;
            (fields.translate(days, None)?, Some(by_weekday))
        } else {
            (fields.translate(days, weekdays)?, None)
        };
        Ok(Calendar {
            matches,
            or_matches,
            by_the_clock: fields.second.starred || fields.minute.starred || fields.hour.starred,
        })
    }

    /// The first match strictly after `wall`; both are seconds since 1970 as clocks on the wall count
    /// them. `None` after the year 2100; nothing matches before 1970. Not for years before Christ.
    pub fn next(&self, wall: i64) -> Option<i64> {
        let wall = DateTime::<Utc>::from_timestamp(wall, 0)?;
        let next = |schedule: &::cron::Schedule| Some(schedule.after(&wall).next()?.timestamp());
        match (next(&self.matches), self.or_matches.as_ref().and_then(next)) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}

impl Fields {
    /// Whether one of the days occurs in one of the months.
    fn has_a_date(&self) -> bool {
        let first_day = self.day_of_month.iter().next();
        let longest = (1..)
            .zip(MONTH_DAYS)
            .filter(|(month, _)| self.month.contains(*month));
        first_day <= longest.map(|(_, days)| days).max()
    }

    /// The expression as the crate writes it: seconds first, Sunday as 1, no day of any kind as `*`.
    fn translate(
        &self,
        days: Option<Values>,
        weekdays: Option<Values>,
    ) -> Result<::cron::Schedule, CronError> {
        let mut text = String::new();
        let time = [(self.second, 60), (self.minute, 60), (self.hour, 24)];
        for (values, size) in time {
            push(&mut text, Some(values), size, 0);
        }
        push(&mut text, days, 31, 0);
        push(&mut text, Some(self.month), 12, 0);
        push(&mut text, weekdays, 7, 1);
        text.parse()
            .map_err(|error: ::cron::error::Error| CronError::Untranslatable(error.to_string()))
    }
}

/// Adds a field as a list, or `*` if it has all `size` values, each number moved up by `shift`.
fn push(text: &mut String, values: Option<Values>, size: usize, shift: u32) {
    match values.filter(|values| values.iter().count() < size) {
        None => text.push('*'),
        Some(values) => {
            for (index, value) in values.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                // Writing to a string does not fail.
                let _ = write!(text, "{comma}{}", value + shift);
            }
        }
    }
    text.push(' ');
}

//! From text to schedule.

use super::Kind;
use super::calendar::{Calendar, Fields};
use super::error::CronError;
use super::field::{Field, Values};
use super::interval::{self, Interval};

/// Longest schedule, in bytes: six fields that list every value take some 550.
pub const MAX_BYTES: usize = 1000;

/// crontab(5), "Nicknames", and the fields they stand for.
const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// The schedule that `text` describes. Case and the amount of white space do not matter.
pub fn parse(text: &str) -> Result<Kind, CronError> {
    if text.len() > MAX_BYTES {
        return Err(CronError::TooLong);
    }
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    match words.as_slice() {
        [] => Err(CronError::Empty),
        [word] if word.starts_with('@') => nickname(word),
        [every, rest @ ..] if every.eq_ignore_ascii_case("every") => {
            Interval::parse(rest).map(Kind::Interval)
        }
        [_, unit] if interval::unit_seconds(unit).is_some() => Interval::parse(&words).map(Kind::Interval),
        [minute, hour, day, month, weekday] => expression(None, [minute, hour, day, month, weekday]),
        [second, minute, hour, day, month, weekday] => {
            expression(Some(second), [minute, hour, day, month, weekday])
        }
        _ => Err(CronError::FieldCount(words.len())),
    }
}

fn nickname(word: &str) -> Result<Kind, CronError> {
    if word.eq_ignore_ascii_case("@reboot") {
        return Err(CronError::Reboot);
    }
    match NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        Some((_, fields)) => parse(fields),
        None => Err(CronError::Nickname(word.to_owned())),
    }
}

fn expression(second: Option<&str>, fields: [&str; 5]) -> Result<Kind, CronError> {
    let values = |field: Field, text: &str| -> Result<Values, CronError> {
        field.parse(text).map_err(|error| CronError::Field(field, error))
    };
    let [minute, hour, day, month, weekday] = fields;
    let fields = Fields {
        second: second.map_or(Ok(Values::only(0)), |text| values(Field::Second, text))?,
        minute: values(Field::Minute, minute)?,
        hour: values(Field::Hour, hour)?,
        day_of_month: values(Field::DayOfMonth, day)?,
        month: values(Field::Month, month)?,
        day_of_week: values(Field::DayOfWeek, weekday)?,
    };
    let calendar = Calendar::new(&fields)?;
    Ok(Kind::Calendar(Box::new(calendar)))
}

//! Why a text is no schedule.

use std::fmt;

use super::field::Field;
use super::interval::MAX_DAYS;
use super::parse::MAX_BYTES;

/// Why a text is no schedule. Displays in the style of PostgreSQL's primary messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CronError {
    Empty,
    TooLong,
    /// Neither five fields nor six.
    FieldCount(usize),
    Field(Field, FieldError),
    /// No month of the month field has a day of the day-of-month field: 30 February.
    NeverFires,
    /// `@reboot`: a database has no such moment that comes once.
    Reboot,
    /// A word after `@` that is none of crontab(5).
    Nickname(String),
    /// The number before a unit is none, or is zero.
    IntervalCount(String),
    IntervalUnit(String),
    IntervalTooLong,
    /// `every` followed by neither a unit nor a number and a unit.
    IntervalForm,
    /// The calendar does not take our translation. Not expected: tests feed it every form there is.
    Untranslatable(String),
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// An item of the list is empty, or a side of a `-` or `/` is.
    Incomplete,
    NotANumber(String),
    OutOfRange(String),
    /// The second end of a range comes before the first.
    Backwards(String),
    /// A step of zero.
    ZeroStep,
    /// A step longer than the field has values, which would mean the first value only.
    StepTooLong(String),
}

impl CronError {
    /// What to do about it, as a sentence.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            CronError::Empty
            | CronError::TooLong
            | CronError::FieldCount(_)
            | CronError::Untranslatable(_) => {
                "Give minute, hour, day of month, month and day of week, such as \"30 4 * * mon-fri\"; \
                 seconds may come before them."
            }
            CronError::Field(_, FieldError::Backwards(_)) => {
                "Write two ranges: for hours 22 to 5, \"22-23,0-5\"."
            }
            CronError::Field(_, FieldError::StepTooLong(_)) => {
                "A step starts anew with each field; for longer intervals write \"every 90 minutes\"."
            }
            CronError::Field(..) => {
                "A field is a comma-separated list of \"*\", numbers, names and ranges, with steps \
                 such as \"*/5\"."
            }
            CronError::NeverFires => "Check day of month against month.",
            CronError::Reboot => "Schedules run by the clock; send a message when your application starts.",
            CronError::Nickname(_) => {
                "Known are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually."
            }
            CronError::IntervalCount(_)
            | CronError::IntervalUnit(_)
            | CronError::IntervalTooLong
            | CronError::IntervalForm => {
                "Write \"every 30 seconds\", \"every 5 minutes\", \"every 2 hours\" or \"every 1 day\"."
            }
        }
    }
}

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CronError::Empty => f.write_str("schedule is empty"),
            CronError::TooLong => write!(f, "schedule is longer than {MAX_BYTES} bytes"),
            CronError::FieldCount(1) => f.write_str("schedule has 1 field, not 5 or 6"),
            CronError::FieldCount(count) => write!(f, "schedule has {count} fields, not 5 or 6"),
            CronError::Field(field, error) => error.describe(*field, f),
            CronError::NeverFires => {
                f.write_str("schedule never fires: none of its months has one of its days of the month")
            }
            CronError::Reboot => f.write_str("@reboot is not supported"),
            CronError::Nickname(word) => write!(f, "schedule \"{word}\" is not known"),
            CronError::IntervalCount(text) => write!(f, "interval: \"{text}\" is not a number from 1"),
            CronError::IntervalUnit(text) => {
                write!(f, "interval: \"{text}\" is not seconds, minutes, hours or days")
            }
            CronError::IntervalTooLong => write!(f, "interval is longer than {MAX_DAYS} days"),
            CronError::IntervalForm => f.write_str("interval is not a number and a unit"),
            CronError::Untranslatable(reason) => write!(f, "could not read schedule: {reason}"),
        }
    }
}

impl FieldError {
    fn describe(&self, field: Field, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = field.limits();
        write!(f, "{field} field: ")?;
        match self {
            FieldError::Incomplete => f.write_str("a value is missing"),
            FieldError::NotANumber(text) if field.has_names() => {
                write!(f, "\"{text}\" is neither a number nor a name")
            }
            FieldError::NotANumber(text) => write!(f, "\"{text}\" is not a number"),
            FieldError::OutOfRange(text) => write!(f, "{text} is not between {first} and {last}"),
            FieldError::Backwards(text) => write!(f, "range {text} runs backwards"),
            FieldError::ZeroStep => f.write_str("step is zero"),
            FieldError::StepTooLong(text) => {
                write!(
                    f,
                    "step {text} is longer than the field, which has {} values",
                    field.size()
                )
            }
        }
    }
}

impl std::error::Error for CronError {}

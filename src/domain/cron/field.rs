//! One field of an expression: which values it names.

use std::fmt;

use super::error::FieldError;

/// The fields, in the order they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Second,
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Values {
    /// Bit `n` stands for value `n`; Sunday is 0.
    bits: u64,
    /// Whether the field starts with `*`, which cron asks beyond the values themselves.
    pub starred: bool,
}

impl Values {
    /// One value only.
    pub fn only(value: u32) -> Values {
        Values {
            bits: 1 << value,
            starred: false,
        }
    }

    pub fn contains(self, value: u32) -> bool {
        self.bits >> value & 1 == 1
    }

    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..u64::BITS).filter(move |value| self.contains(*value))
    }
}

impl Field {
    /// The least and the greatest number that may be written.
    pub(super) fn limits(self) -> (u32, u32) {
        match self {
            Field::Second | Field::Minute => (0, 59),
            Field::Hour => (0, 23),
            Field::DayOfMonth => (1, 31),
            Field::Month => (1, 12),
            Field::DayOfWeek => (0, 7),
        }
    }

    /// How many different values there are.
    pub(super) fn size(self) -> u32 {
        let (first, _) = self.limits();
        self.last() - first + 1
    }

    pub(super) fn has_names(self) -> bool {
        !self.names().is_empty()
    }

    /// Where `*` and `a/n` end: a week ends with Saturday, although 7 may be written.
    fn last(self) -> u32 {
        if self == Field::DayOfWeek {
            6
        } else {
            self.limits().1
        }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Field::Month => &MONTHS,
            Field::DayOfWeek => &DAYS,
            _ => &[],
        }
    }

    /// The values that `text`, a list, names.
    pub(super) fn parse(self, text: &str) -> Result<Values, FieldError> {
        let mut bits = 0;
        for item in text.split(',') {
            bits |= self.item(item)?;
        }
        if self == Field::DayOfWeek && bits >> 7 & 1 == 1 {
            bits = bits & 0x7f | 1;
        }
        Ok(Values {
            bits,
            starred: text.starts_with('*'),
        })
    }

    /// `*`, `a` or `a-b`, each perhaps with a step.
    fn item(self, item: &str) -> Result<u64, FieldError> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step)?)),
            None => (item, None),
        };
        let (from, to) = if range == "*" {
            (self.limits().0, self.last())
        } else if let Some((from, to)) = range.split_once('-') {
            self.range(range, from, to)?
        } else {
            let only = self.value(range)?;
            (only, step.map_or(only, |_| self.last().max(only)))
        };
        let values = (from..=to).step_by(step.unwrap_or(1));
        Ok(values.fold(0, |bits, value| bits | 1 << value))
    }

    fn range(self, range: &str, from: &str, to: &str) -> Result<(u32, u32), FieldError> {
        let (from, mut to) = (self.value(from)?, self.value(to)?);
        // "fri-sun" can only mean the Sunday after.
        if self == Field::DayOfWeek && from > 0 && to == 0 && !range.ends_with('0') {
            to = 7;
        }
        if from > to {
            return Err(FieldError::Backwards(range.to_owned()));
        }
        Ok((from, to))
    }

    fn value(self, text: &str) -> Result<u32, FieldError> {
        let (first, last) = self.limits();
        let mut names = (first..).zip(self.names());
        if let Some((value, _)) = names.find(|(_, name)| name.eq_ignore_ascii_case(text)) {
            return Ok(value);
        }
        match number(text)? {
            Some(value) if (first..=last).contains(&value) => Ok(value),
            _ => Err(FieldError::OutOfRange(text.to_owned())),
        }
    }

    fn step(self, text: &str) -> Result<usize, FieldError> {
        match number(text)? {
            Some(0) => Err(FieldError::ZeroStep),
            Some(step) if step <= self.size() => Ok(step as usize),
            _ => Err(FieldError::StepTooLong(text.to_owned())),
        }
    }
}

/// What the digits of `text` say; `None` if that is too large to matter.
fn number(text: &str) -> Result<Option<u32>, FieldError> {
    if text.is_empty() {
        return Err(FieldError::Incomplete);
    }
    // A sign, which Rust would take, is no digit.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FieldError::NotANumber(text.to_owned()));
    }
    Ok(text.parse().ok())
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::Second => "second",
            Field::Minute => "minute",
            Field::Hour => "hour",
            Field::DayOfMonth => "day-of-month",
            Field::Month => "month",
            Field::DayOfWeek => "day-of-week",
        })
    }
}

//! Event types, and the patterns that subscriptions name them by.
//!
//! A type is a dotted name: `order.created`. In a pattern `*` stands for exactly one segment and `**`
//! for any number of them, also none; other segments stand for themselves.
//!
//! So that a publish need not try every pattern there is, each has a key: what stands before its first
//! and after its last wildcard. A type of n segments has at most (n + 1)(n + 2) / 2 + 1 keys, and every
//! pattern that matches it has one of them.

use std::fmt;

use super::bulletin::RESERVED_PREFIX;

/// Longest type or pattern, in bytes.
pub const MAX_BYTES: usize = 255;
/// Most segments of a type or pattern.
pub const MAX_SEGMENTS: usize = 16;

const ONE: &str = "*";
const ANY: &str = "**";

/// Why a text is no event type or pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName {
    /// What is wrong, in the style of PostgreSQL's primary messages.
    pub message: String,
    /// What to do about it, as a sentence.
    pub hint: &'static str,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for InvalidName {}

/// Checks an event type.
///
/// # Errors
/// It is not 1 to 16 segments of letters, digits, `_` and `-`, in up to 255 bytes.
pub fn check_type(name: &str) -> Result<(), InvalidName> {
    check("event type", name, is_name, TYPE_HINT)
}

/// Checks an event type that a user publishes.
///
/// # Errors
/// As [`check_type`], or it is the type of an operational event.
pub fn check_published(name: &str) -> Result<(), InvalidName> {
    check_type(name)?;
    if name.starts_with(RESERVED_PREFIX) {
        return Err(InvalidName {
            message: "event types that begin with \"hooks.\" are published by pg_hooks alone".to_owned(),
            hint: "Choose another name; such events can be subscribed to.",
        });
    }
    Ok(())
}

/// Checks a pattern.
///
/// # Errors
/// As for a type, where a segment may also be `*` or `**`.
pub fn check_pattern(pattern: &str) -> Result<(), InvalidName> {
    let is_segment = |segment: &str| is_wildcard(segment) || is_name(segment);
    check("event pattern", pattern, is_segment, PATTERN_HINT)
}

const TYPE_HINT: &str =
    "Give a dotted name such as order.created: letters, digits, _ and -, up to 16 segments.";
const PATTERN_HINT: &str =
    "Give a dotted name such as order.created, where * stands for one segment and ** for any number.";

fn check(
    what: &str,
    name: &str,
    is_segment: impl Fn(&str) -> bool,
    hint: &'static str,
) -> Result<(), InvalidName> {
    let refuse = |message: String| Err(InvalidName { message, hint });
    if name.is_empty() {
        return refuse(format!("{what} is empty"));
    }
    if name.len() > MAX_BYTES {
        return refuse(format!("{what} is longer than {MAX_BYTES} bytes"));
    }
    if name.split('.').count() > MAX_SEGMENTS {
        return refuse(format!("{what} has more than {MAX_SEGMENTS} segments"));
    }
    match name.split('.').find(|segment| !is_segment(segment)) {
        None => Ok(()),
        Some("") => refuse(format!("{what} has an empty segment")),
        Some(segment) => refuse(format!("\"{}\" is not a segment of an {what}", shown(segment))),
    }
}

/// An error message must be of the database's encoding, whatever that is.
fn shown(segment: &str) -> String {
    let visible = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    segment.chars().map(visible).collect()
}

fn is_name(segment: &str) -> bool {
    !segment.is_empty()
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn is_wildcard(segment: &str) -> bool {
    segment == ONE || segment == ANY
}

/// Whether a checked type matches a checked pattern.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let name: Vec<&str> = name.split('.').collect();
    // reached[i]: the segments of the name seen so far match the first i of the pattern.
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    let pass_any = |reached: &mut [bool]| {
        for (i, segment) in pattern.iter().enumerate() {
            reached[i + 1] |= *segment == ANY && reached[i];
        }
    };
    pass_any(&mut reached);
    for segment in name {
        let mut next = vec![false; pattern.len() + 1];
        for (i, wanted) in pattern.iter().enumerate() {
            match *wanted {
                ANY => next[i + 1] |= reached[i + 1],
                ONE => next[i + 1] |= reached[i],
                literal => next[i + 1] |= reached[i] && literal == segment,
            }
        }
        pass_any(&mut next);
        reached = next;
    }
    reached[pattern.len()]
}

/// Key of a checked pattern: itself if it has no wildcard, else what stands before the first and after
/// the last of them, with one star in between.
#[must_use]
pub fn key_of_pattern(pattern: &str) -> String {
    let segments: Vec<&str> = pattern.split('.').collect();
    let first = segments.iter().position(|segment| is_wildcard(segment));
    let last = segments.iter().rposition(|segment| is_wildcard(segment));
    match (first, last) {
        (Some(first), Some(last)) => key(&segments[..first], &segments[last + 1..]),
        _ => pattern.to_owned(),
    }
}

/// Keys of all patterns that can match a checked type.
#[must_use]
pub fn keys_of_type(name: &str) -> Vec<String> {
    let segments: Vec<&str> = name.split('.').collect();
    let mut keys = vec![name.to_owned()];
    for prefix in 0..=segments.len() {
        for suffix in prefix..=segments.len() {
            keys.push(key(&segments[..prefix], &segments[suffix..]));
        }
    }
    keys
}

fn key(before: &[&str], after: &[&str]) -> String {
    let star = [ONE];
    [before, &star, after].concat().join(".")
}

#[cfg(test)]
mod tests;

//! Request headers that users set.

use std::collections::HashSet;
use std::fmt;

use serde_json::Value;

/// Most headers in one set.
pub const MAX_HEADERS: usize = 64;
/// Longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// Longest value, in bytes.
pub const MAX_VALUE_BYTES: usize = 8192;

/// All names and values together, in bytes. Receivers take from 8 kB to 64 kB.
pub const MAX_TOTAL_BYTES: usize = 64 * 1024;

/// No valid headers, with those that are added, take more bytes as JSON or jsonb: each may be escaped.
pub const MAX_STORED_BYTES: usize = 256 * 1024;

/// Names that the connection, the HTTP client or pg_hooks itself sets.
const RESERVED: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
];
const RESERVED_PREFIXES: [&str; 2] = ["proxy-", "webhook-"];

/// Headers that are added to what its sender gave: origin and cause of the copy of a dead letter, how
/// often a message was redriven, what it repeats. They are not counted.
const ADDED: [&str; 7] = [
    "hooks-dead-message",
    "hooks-dead-queue",
    "hooks-dead-attempts",
    "hooks-dead-status",
    "hooks-dead-error",
    "hooks-redriven",
    "hooks-replay-of",
];

/// Valid headers in the order given. Names are in lower case, as they go over the wire, and unique.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    entries: Vec<(String, String)>,
}

impl Headers {
    /// Headers from a JSON object of strings; `null` means none.
    ///
    /// # Errors
    /// See [`InvalidHeader`]; no value is in it.
    pub fn from_json(json: &Value) -> Result<Headers, InvalidHeader> {
        let object = json.as_object();
        // Before any of them is looked at: what is counted here is what the rest costs.
        let is_crowd = object.is_some_and(|object| {
            object.len() > MAX_HEADERS + ADDED.len()
                || object.keys().filter(|name| !is_added(name)).count() > MAX_HEADERS
        });
        if is_crowd {
            return Err(invalid(
                format!("more than {MAX_HEADERS} headers"),
                "Remove some of the headers.",
            ));
        }
        let headers = Headers::from_stored_json(json)?;
        let own = || headers.iter().filter(|(name, _)| !is_added(name));
        let bytes = own().map(|(name, value)| name.len() + value.len());
        if bytes.sum::<usize>() > MAX_TOTAL_BYTES {
            return Err(too_long());
        }
        // RFC 9110, section 5.5: they are no part of a value, and get lost on the way.
        let is_padded = |value: &str| value.starts_with([' ', '\t']) || value.ends_with([' ', '\t']);
        if let Some((name, _)) = own().find(|(_, value)| is_padded(value)) {
            return Err(invalid(
                format!("value of header \"{name}\" begins or ends with a blank"),
                "Remove it.",
            ));
        }
        Ok(headers)
    }

    /// As [`Headers::from_json`], with no limit on all of them, and with blanks: the copy of a dead letter has a
    /// few more than its sender gave.
    ///
    /// # Errors
    /// See [`InvalidHeader`]; no value is in it.
    pub fn from_stored_json(json: &Value) -> Result<Headers, InvalidHeader> {
        let object = match json {
            Value::Null => return Ok(Headers::default()),
            Value::Object(object) => object,
            _ => return Err(invalid("headers are not a JSON object", GIVE_OBJECT)),
        };
        let mut headers = Headers {
            entries: Vec::with_capacity(object.len()),
        };
        let mut names = HashSet::with_capacity(object.len());
        for (name, value) in object {
            let name = check_name(name)?;
            let value = check_value(&name, value)?.to_owned();
            if !names.insert(name.clone()) {
                return Err(invalid(
                    format!("header \"{name}\" is given more than once"),
                    "Header names do not differ by case; join the values with a comma.",
                ));
            }
            headers.entries.push((name, value));
        }
        Ok(headers)
    }

    /// Headers that are made here: legal ones, whose names differ. Of any length, as encoding makes values
    /// longer than they were given.
    pub fn made(entries: impl IntoIterator<Item = (String, String)>) -> Headers {
        Headers {
            entries: entries.into_iter().collect(),
        }
    }

    /// The value of the header of that name, whatever its case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Every name, in lower case, with its value, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// These headers and, of `base`, those that are not set here.
    #[must_use]
    pub fn over(&self, base: &Headers) -> Headers {
        let entries = self.merged_over(base);
        Headers {
            entries: entries
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// The headers of `base` that are not set here, then those set here.
    pub fn merged_over<'a>(&'a self, base: &'a Headers) -> impl Iterator<Item = (&'a str, &'a str)> {
        base.iter()
            .filter(|(name, _)| self.get(name).is_none())
            .chain(self.iter())
    }
}

/// Names only, as values may be secrets.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Headers")?;
        f.debug_set().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Why a JSON value is no set of headers. Holds no header value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidHeader {
    /// What is wrong, in the style of PostgreSQL's primary messages.
    pub message: String,
    /// What to do about it, as a sentence.
    pub hint: String,
}

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for InvalidHeader {}

const GIVE_OBJECT: &str = "Give an object of strings such as {\"X-Source\": \"billing\"}.";

fn invalid(message: impl Into<String>, hint: &str) -> InvalidHeader {
    InvalidHeader {
        message: message.into(),
        hint: hint.to_owned(),
    }
}

/// They are longer than [`MAX_TOTAL_BYTES`].
#[must_use]
pub fn too_long() -> InvalidHeader {
    invalid(
        format!("headers are longer than {MAX_TOTAL_BYTES} bytes together"),
        "Move the data into the body.",
    )
}

fn is_added(name: &str) -> bool {
    ADDED.iter().any(|added| added.eq_ignore_ascii_case(name))
}

/// The name in lower case, if it is a token that users may set.
///
/// A name that is not a token is not repeated in the message: it may be a whole header line.
pub(super) fn check_name(name: &str) -> Result<String, InvalidHeader> {
    if name.is_empty() {
        return Err(invalid("header name is empty", GIVE_OBJECT));
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(invalid(
            format!("header name is longer than {MAX_NAME_BYTES} bytes"),
            "Shorten the name.",
        ));
    }
    if let Some(illegal) = name.chars().find(|c| !is_token_char(*c)) {
        return Err(invalid(
            format!(
                "header name contains the character \"{}\"",
                illegal.escape_default()
            ),
            "Use letters, digits and hyphens.",
        ));
    }
    let name = name.to_ascii_lowercase();
    if RESERVED.contains(&name.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(invalid(
            format!("header \"{name}\" is reserved"),
            "Remove it; the connection and the signature set such headers themselves.",
        ));
    }
    Ok(name)
}

/// RFC 9110, section 5.6.2.
fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// The value, if it is visible ASCII with spaces and tabs (RFC 9110, section 5.5).
fn check_value<'a>(name: &str, value: &'a Value) -> Result<&'a str, InvalidHeader> {
    let Value::String(value) = value else {
        return Err(invalid(
            format!("value of header \"{name}\" is not a string"),
            GIVE_OBJECT,
        ));
    };
    if value.len() > MAX_VALUE_BYTES {
        return Err(invalid(
            format!("value of header \"{name}\" is longer than {MAX_VALUE_BYTES} bytes"),
            "Move the data into the body.",
        ));
    }
    if !value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        return Err(invalid(
            format!(
                "value of header \"{name}\" contains a line break, a control character or a non-ASCII character"
            ),
            "Use visible ASCII characters, spaces and tabs.",
        ));
    }
    Ok(value)
}

#[cfg(test)]
mod tests;

//! What is shown of a request and its answer to those who look into the attempts.
//!
//! No secret is to be in the history: it is copied, dumped and read by more people than the queues are. A
//! header is masked if the code that set it marked its value as sensitive, or if its name says that it
//! carries one. What a user's header of an innocent name holds cannot be known, and is shown.

mod echo;

use http::header::{HeaderMap, HeaderName};

use super::endpoint::Endpoint;
use super::headers::Headers;
pub use echo::Echo;

/// Stands in the place of what is not shown.
pub const MASK: &str = "***";

/// A value is shown up to so many bytes, and all headers together up to about so many.
const VALUE_BYTES: usize = 1000;
const TOTAL_BYTES: usize = 8000;

/// A name with one of these in it says that its value is a secret.
const TELLTALE: [&str; 13] = [
    "apikey",
    "authorization",
    "authentication",
    "cookie",
    "credential",
    "csrf",
    "passwd",
    "password",
    "secret",
    "session",
    "signature",
    "token",
    "xsrf",
];

/// So does one of these as a part between hyphens.
const TELLTALE_PARTS: [&str; 10] = [
    "assertion",
    "auth",
    "bearer",
    "hmac",
    "jwt",
    "otp",
    "passphrase",
    "pwd",
    "sig",
    "sign",
];

/// So does the part `key`, unless it is one of these.
const PUBLIC_KEYS: [&str; 7] = [
    "cache",
    "dedup",
    "deduplication",
    "idempotency",
    "ordering",
    "partition",
    "routing",
];

/// Names that nearly every request or answer has: they need no further look.
const USUAL: [&str; 16] = [
    "host",
    "content-length",
    "content-type",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "webhook-attempt",
    "date",
    "server",
    "connection",
    "keep-alive",
    "cache-control",
    "transfer-encoding",
    "vary",
    "etag",
    "retry-after",
];

/// Whether a header of this name, in lower case, carries a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    if USUAL.contains(&name) {
        return false;
    }
    if TELLTALE.iter().any(|telltale| name.contains(telltale)) {
        return true;
    }
    let mut before = None;
    for part in name.split(['-', '_', '.']) {
        if TELLTALE_PARTS.contains(&part) {
            return true;
        }
        if part == "key" && !before.is_some_and(|before| PUBLIC_KEYS.contains(&before)) {
            return true;
        }
        before = Some(part);
    }
    false
}

/// Headers of a request as JSON: first those that the HTTP client adds, then those it was given. `own` and
/// `below` are what the user set, so that their values are no secrets of ours; the former wins.
#[must_use]
pub fn request_headers<'a>(
    added: impl IntoIterator<Item = (&'a str, &'a str)>,
    headers: &HeaderMap,
    own: &Headers,
    below: &Headers,
) -> String {
    let mut shown = Shown::default();
    for (name, value) in added {
        shown.add(name, value.as_bytes());
    }
    for (name, value) in headers {
        let is_ours = || {
            let set = own.get(name.as_str()).or_else(|| below.get(name.as_str()));
            set.map(str::as_bytes) != Some(value.as_bytes())
        };
        if value.is_sensitive() && is_ours() {
            shown.add(name.as_str(), MASK.as_bytes());
        } else {
            shown.add_unless_secret(name, value.as_bytes());
        }
    }
    shown.into_json()
}

/// Headers of an answer as JSON. Several of a name are joined by commas (RFC 9110, section 5.3).
#[must_use]
pub fn response_headers(headers: &HeaderMap, echo: &Echo) -> String {
    let mut shown = Shown::default();
    for name in headers.keys() {
        let mut values = headers.get_all(name).iter();
        let Some(first) = values.next() else { continue };
        let mut joined = first.as_bytes().to_vec();
        for value in values {
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(value.as_bytes());
        }
        echo.mask(&mut joined, false);
        shown.add_answer(name, &joined);
    }
    shown.into_json()
}

/// The URL without the values of its query, which may be secrets.
#[must_use]
pub fn url(endpoint: &Endpoint) -> String {
    String::from_utf8_lossy(&without_values(endpoint.as_str().as_bytes(), None)).into_owned()
}

/// A text without the values of the queries and fragments in it. A URL ends at the byte `end`, if one does.
fn without_values(text: &[u8], end: Option<u8>) -> Vec<u8> {
    let mut shown = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.iter().position(|byte| matches!(byte, b'?' | b'#')) {
        let (before, after) = rest.split_at(place + 1);
        let length = after.iter().position(|byte| Some(*byte) == end);
        let (query, after) = after.split_at(length.unwrap_or(after.len()));
        shown.extend_from_slice(before);
        for part in query.split_inclusive(is_separator) {
            let (part, separator) = part.split_at(part.iter().take_while(|byte| !is_separator(byte)).count());
            if let Some(place) = part.iter().position(|byte| *byte == b'=') {
                shown.extend_from_slice(&part[..=place]);
            }
            if !part.is_empty() {
                shown.extend_from_slice(MASK.as_bytes());
            }
            shown.extend_from_slice(separator);
        }
        rest = after;
    }
    shown.extend_from_slice(rest);
    shown
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b'&' | b'#')
}

/// A JSON object in the making.
#[derive(Default)]
struct Shown {
    json: String,
    left_out: usize,
}

impl Shown {
    fn add_unless_secret(&mut self, name: &HeaderName, value: &[u8]) {
        let value = if is_secret(name.as_str()) {
            MASK.as_bytes()
        } else {
            value
        };
        self.add(name.as_str(), value);
    }

    /// A URL to go to next may carry a secret in its query.
    fn add_answer(&mut self, name: &HeaderName, value: &[u8]) {
        match name.as_str() {
            "location" | "content-location" | "refresh" => {
                self.add(name.as_str(), &without_values(value, None))
            }
            "link" => self.add(name.as_str(), &without_values(value, Some(b'>'))),
            _ => self.add_unless_secret(name, value),
        }
    }

    fn add(&mut self, name: &str, value: &[u8]) {
        if self.json.len() + name.len() + value.len().min(VALUE_BYTES) > TOTAL_BYTES {
            self.left_out += 1;
            return;
        }
        if self.json.is_empty() {
            self.json.reserve(512);
        }
        self.json.push(if self.json.is_empty() { '{' } else { ',' });
        self.push_string(name.as_bytes(), "");
        self.json.push(':');
        match value.get(..VALUE_BYTES) {
            Some(beginning) if value.len() > VALUE_BYTES => self.push_string(beginning, "..."),
            _ => self.push_string(value, ""),
        }
    }

    /// A header holds bytes of any encoding; what is not ASCII becomes a question mark.
    fn push_string(&mut self, bytes: &[u8], end: &str) {
        self.json.push('"');
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        let plain = bytes
            .iter()
            .all(is_plain)
            .then(|| std::str::from_utf8(bytes).ok());
        if let Some(text) = plain.flatten() {
            self.json.push_str(text);
            self.json.push_str(end);
            self.json.push('"');
            return;
        }
        for &byte in bytes {
            match byte {
                b'"' | b'\\' => self.json.extend(['\\', char::from(byte)]),
                b' '..=b'~' => self.json.push(char::from(byte)),
                b'\t' => self.json.push(' '),
                _ => self.json.push('?'),
            }
        }
        self.json.push_str(end);
        self.json.push('"');
    }

    fn into_json(mut self) -> String {
        if self.left_out > 0 {
            let more = format!("{} more", self.left_out);
            self.json.push(if self.json.is_empty() { '{' } else { ',' });
            self.push_string(b"...", "");
            self.json.push(':');
            self.push_string(more.as_bytes(), "");
        }
        if self.json.is_empty() {
            self.json.push('{');
        }
        self.json.push('}');
        self.json
    }
}

#[cfg(test)]
mod tests;

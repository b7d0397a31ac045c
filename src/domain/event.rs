//! An event, as the messages that came of it need it.

use super::headers::{Headers, InvalidHeader, MAX_HEADERS};
use super::time::Timestamp;
use serde_json::{Map, Value};

/// Longest key of metadata, in bytes.
const MAX_KEY_BYTES: usize = 64;

/// What all messages of one event share.
#[derive(Clone, Debug)]
pub struct Event {
    /// `hooks.event.id`.
    pub id: i64,
    /// Dotted name.
    pub kind: String,
    /// When it was published.
    pub created_at: Timestamp,
    /// JSON text.
    pub payload: Vec<u8>,
    /// What is said about the event besides its payload.
    pub metadata: Metadata,
    /// Headers of each of its messages, unless the message has one of that name.
    pub headers: Headers,
}

/// Keys and values that go out as headers or within an envelope, in the order stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    entries: Vec<(String, String)>,
}

impl Metadata {
    /// Metadata from a JSON object of strings; `null` means none.
    ///
    /// # Errors
    /// A key or value cannot go out as a header, or two keys are one when case, `-` and `_` are
    /// left out, or would be the same CloudEvents attribute, as `id` and `metaid` would.
    pub fn from_json(json: &Value) -> Result<Metadata, InvalidHeader> {
        let object = match json {
            Value::Null => return Ok(Metadata::default()),
            Value::Object(object) => object,
            _ => return Err(refused("metadata is not a JSON object".to_owned())),
        };
        if object.len() > MAX_HEADERS {
            return Err(refused(format!("metadata has more than {MAX_HEADERS} keys")));
        }
        let mut metadata = Metadata::default();
        for (key, value) in object {
            metadata.add(key, value)?;
        }
        metadata.headers().map(|_| metadata)
    }

    fn add(&mut self, key: &str, value: &Value) -> Result<(), InvalidHeader> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if key.len() > MAX_KEY_BYTES || !key.bytes().all(legal) || folded(key).is_empty() {
            return Err(refused(
                "metadata keys must have 1 to 64 letters, digits, _ and -".to_owned(),
            ));
        }
        if self
            .iter()
            .any(|(known, _)| attribute_name(known) == attribute_name(key))
        {
            return Err(refused(format!("metadata key \"{key}\" is given more than once")));
        }
        let Value::String(value) = value else {
            return Err(refused(format!("metadata \"{key}\" is not a string")));
        };
        self.entries.push((key.to_owned(), value.clone()));
        Ok(())
    }

    /// Every key with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The metadata as headers `Hooks-Meta-<key>`.
    ///
    /// # Errors
    /// A value is none that a header can have.
    pub fn headers(&self) -> Result<Headers, InvalidHeader> {
        let named = self
            .iter()
            .map(|(key, value)| (format!("hooks-meta-{key}"), Value::from(value)));
        Headers::from_stored_json(&Value::Object(Map::from_iter(named)))
    }
}

/// Names of CloudEvents attributes that are not free for metadata.
const TAKEN: [&str; 7] = [
    "specversion",
    "id",
    "type",
    "time",
    "datacontenttype",
    "data",
    "database64",
];

/// The CloudEvents attribute that a key becomes: lower-case letters and digits, with `meta` in front if
/// that is taken. CloudEvents 1.0, "Attribute Naming Convention".
#[must_use]
pub fn attribute_name(key: &str) -> String {
    let name = folded(key);
    if TAKEN.contains(&name.as_str()) {
        format!("meta{name}")
    } else {
        name
    }
}

fn folded(key: &str) -> String {
    key.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

fn refused(message: String) -> InvalidHeader {
    InvalidHeader {
        message,
        hint: "Give an object of strings such as {\"tenant\": \"acme\"}; keys differ in more than case, _ and -."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_goes_out_as_headers() {
        let metadata = Metadata::from_json(&json!({"tenant": "acme", "Request_Id": "7"})).unwrap();
        let headers = metadata.headers().unwrap();
        assert_eq!(headers.get("hooks-meta-tenant"), Some("acme"));
        assert_eq!(headers.get("hooks-meta-request_id"), Some("7"));
    }

    #[test]
    fn bad_metadata_is_refused() {
        for bad in [
            json!([]),
            json!({"": "x"}),
            json!({"-": "x"}),
            json!({"a b": "x"}),
            json!({"a": 1}),
            json!({"a": "x\ny"}),
            json!({"a-b": "x", "A_B": "y"}),
            json!({"id": "x", "metaid": "y"}),
        ] {
            assert!(Metadata::from_json(&bad).is_err(), "{bad}");
        }
        assert_eq!(Metadata::from_json(&Value::Null), Ok(Metadata::default()));
    }
}

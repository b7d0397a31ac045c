//! How an event is wrapped into the message that tells of it.
//!
//! A function of what is stored alone, so that every attempt sends the same bytes.

use std::fmt::Write;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::event::{Event, Metadata, attribute_name};
use super::headers::{Headers, InvalidHeader};
use super::message::Body;

/// The forms in which a subscription may want its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// The payload as it is; metadata goes out as headers `Hooks-Meta-<key>`.
    Raw,
    /// Standard Webhooks, "Payload structure": `{"type", "timestamp", "data"}`, and `"metadata"`.
    Standard,
    /// CloudEvents 1.0, HTTP binding, structured content mode.
    CloudEvents,
    /// CloudEvents 1.0, HTTP binding, binary content mode.
    CloudEventsBinary,
}

impl Envelope {
    /// The envelope of that name in `hooks.subscription.envelope`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Envelope> {
        Some(match name {
            "raw" => Envelope::Raw,
            "standard" => Envelope::Standard,
            "cloudevents" => Envelope::CloudEvents,
            "cloudevents-binary" => Envelope::CloudEventsBinary,
            _ => return None,
        })
    }

    /// Headers and body of a message of `event` with this data, which is JSON. The headers are those of
    /// the event, then those of the message, then those that make the envelope; the later win.
    ///
    /// # Errors
    /// Something stored cannot go out as a header.
    pub fn wrap(
        self,
        event: &Event,
        webhook_key: &str,
        data: Vec<u8>,
        message: &Headers,
    ) -> Result<(Headers, Body), InvalidHeader> {
        let below = match self {
            Envelope::Raw => event.headers.over(&event.metadata.headers()?),
            _ => event.headers.clone(),
        };
        let above = match self {
            Envelope::Raw | Envelope::Standard => Headers::default(),
            Envelope::CloudEvents => {
                Headers::made([content_type("application/cloudevents+json; charset=utf-8")])
            }
            Envelope::CloudEventsBinary => binary_headers(event, webhook_key),
        };
        let body = match self {
            Envelope::Raw | Envelope::CloudEventsBinary => data,
            Envelope::Standard => standard(event, &data),
            Envelope::CloudEvents => structured(event, webhook_key, &data),
        };
        Ok((above.over(&message.over(&below)), Body::Text(body)))
    }
}

fn content_type(value: &str) -> (String, String) {
    ("content-type".to_owned(), value.to_owned())
}

fn standard(event: &Event, data: &[u8]) -> Vec<u8> {
    let members = [
        ("type".to_owned(), event.kind.clone()),
        ("timestamp".to_owned(), event.created_at.to_rfc3339()),
    ];
    let metadata = event.metadata.iter().map(|(k, v)| (k.to_owned(), v.to_owned()));
    let metadata: Vec<_> = metadata.collect();
    let mut json = object(&members);
    if !metadata.is_empty() {
        json.pop();
        json.push_str(",\"metadata\":");
        json.push_str(&object(&metadata));
        json.push('}');
    }
    with_data(json, data)
}

fn structured(event: &Event, webhook_key: &str, data: &[u8]) -> Vec<u8> {
    let mut attributes = attributes(event, webhook_key);
    attributes.push(("datacontenttype".to_owned(), "application/json".to_owned()));
    with_data(object(&attributes), data)
}

/// A JSON object of strings.
fn object(members: &[(String, String)]) -> String {
    let members = members
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    Value::Object(Map::from_iter(members)).to_string()
}

/// The object with a last member `data`: JSON as it is, and anything else as a string.
fn with_data(mut object: String, data: &[u8]) -> Vec<u8> {
    object.pop();
    object.push_str(",\"data\":");
    let mut bytes = object.into_bytes();
    if serde_json::from_slice::<IgnoredAny>(data).is_ok() {
        bytes.extend_from_slice(data);
    } else {
        bytes.extend_from_slice(Value::from(String::from_utf8_lossy(data)).to_string().as_bytes());
    }
    bytes.push(b'}');
    bytes
}

/// CloudEvents 1.0, "HTTP Protocol Binding", 3.1: attributes as headers `ce-<name>`.
fn binary_headers(event: &Event, webhook_key: &str) -> Headers {
    let attributes = attributes(event, webhook_key).into_iter();
    let attributes = attributes.map(|(name, value)| (format!("ce-{name}"), percent_encoded(&value)));
    Headers::made(attributes.chain([content_type("application/json")]))
}

/// Attributes that metadata may set in place of ours.
const OPTIONAL: [&str; 3] = ["source", "subject", "dataschema"];

/// Context attributes, and metadata as extension attributes. Id and source name the event, not the
/// message: whoever gets it twice, by two subscriptions, can tell.
fn attributes(event: &Event, webhook_key: &str) -> Vec<(String, String)> {
    let source = find(&event.metadata, "source")
        .filter(|source| !source.is_empty())
        .map_or_else(|| format!("/pg_hooks/{webhook_key}"), str::to_owned);
    let mut attributes = vec![
        ("specversion".to_owned(), "1.0".to_owned()),
        ("id".to_owned(), format!("evt_{webhook_key}_{}", event.id)),
        ("source".to_owned(), source),
        ("type".to_owned(), event.kind.clone()),
        ("time".to_owned(), event.created_at.to_rfc3339()),
    ];
    for name in &OPTIONAL[1..] {
        if let Some(value) = find(&event.metadata, name).filter(|value| !value.is_empty()) {
            attributes.push(((*name).to_owned(), value.to_owned()));
        }
    }
    let extensions = event
        .metadata
        .iter()
        .map(|(key, value)| (attribute_name(key), value));
    for (name, value) in extensions.filter(|(name, _)| !OPTIONAL.contains(&name.as_str())) {
        attributes.push((name, value.to_owned()));
    }
    attributes
}

fn find<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    metadata
        .iter()
        .find(|(key, _)| attribute_name(key) == name)
        .map(|(_, value)| value)
}

/// CloudEvents 1.0, "HTTP Protocol Binding", 3.1.3.2: space, double quote, percent and what is not
/// printable ASCII.
fn percent_encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'"' && byte != b'%' => encoded.push(char::from(byte)),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests;

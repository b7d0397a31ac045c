//! The HTTP request of one attempt, but for its body.

use std::fmt;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use serde::de::IgnoredAny;

use super::headers::Headers;
use super::message::{Body, Message};
use super::outcome::Outcome;
use super::queue::{Method, Queue};
use super::secret::Unavailable;
use super::time::Timestamp;

/// `User-Agent`, unless a header of the user says otherwise.
pub const PRODUCT: &str = concat!("pg_hooks/", env!("CARGO_PKG_VERSION"));

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_ATTEMPT: HeaderName = HeaderName::from_static("webhook-attempt");

/// Why there is no request. Holds neither the value of a header nor anything of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unbuildable {
    /// The stored row makes none: what is wrong, in the style of PostgreSQL's primary messages.
    Row { detail: String },
    /// A secret that it needs is not there.
    Secret(Unavailable),
}

impl fmt::Display for Unbuildable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unbuildable::Row { detail } | Unbuildable::Secret(Unavailable { detail }) => f.write_str(detail),
        }
    }
}

impl std::error::Error for Unbuildable {}

impl From<Unbuildable> for Outcome {
    fn from(unbuildable: Unbuildable) -> Outcome {
        match unbuildable {
            Unbuildable::Row { detail } => Outcome::Unbuildable { detail },
            Unbuildable::Secret(unavailable) => unavailable.into(),
        }
    }
}

/// The request of the attempt that is made `now`; its body is `message.body`.
///
/// Headers of the message win over those of the queue, and both over our own `User-Agent` and
/// `Content-Type`; the `webhook-` ones of Standard Webhooks and signatures are always ours.
///
/// # Errors
/// A header or the webhook id holds characters that HTTP cannot carry, or the request cannot be signed.
pub fn build(queue: &Queue, message: &Message, now: Timestamp) -> Result<http::Request<()>, Unbuildable> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(PRODUCT));
    add_user_headers(&mut headers, &queue.headers, &message.headers)?;
    if !headers.contains_key(CONTENT_TYPE)
        && let Some(content_type) = content_type(&message.body)
    {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    add_webhook_headers(&mut headers, message, now)?;
    add_signatures(&mut headers, queue, message, now)?;

    let mut request = http::Request::new(());
    *request.method_mut() = http_method(queue.method);
    *request.uri_mut() = queue.endpoint.uri().clone();
    *request.headers_mut() = headers;
    Ok(request)
}

fn add_user_headers(headers: &mut HeaderMap, queue: &Headers, message: &Headers) -> Result<(), Unbuildable> {
    for (name, value) in message.merged_over(queue) {
        let unbuildable = || Unbuildable::Row {
            detail: format!("header \"{name}\" cannot be sent"),
        };
        let header_name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unbuildable())?;
        let mut header_value = HeaderValue::from_str(value).map_err(|_| unbuildable())?;
        // It may be a secret: keep it out of debug output.
        header_value.set_sensitive(true);
        headers.insert(header_name, header_value);
    }
    Ok(())
}

/// Standard Webhooks, "Webhook headers", and the number of the attempt.
fn add_webhook_headers(
    headers: &mut HeaderMap,
    message: &Message,
    now: Timestamp,
) -> Result<(), Unbuildable> {
    let id = HeaderValue::from_str(&message.webhook_id).map_err(|_| Unbuildable::Row {
        detail: "webhook id cannot be sent in a header".to_owned(),
    })?;
    headers.insert(WEBHOOK_ID, id);
    headers.insert(WEBHOOK_TIMESTAMP, now.unix_seconds().into());
    headers.insert(WEBHOOK_ATTEMPT, message.attempt.into());
    Ok(())
}

fn add_signatures(
    headers: &mut HeaderMap,
    queue: &Queue,
    message: &Message,
    now: Timestamp,
) -> Result<(), Unbuildable> {
    let signatures = queue
        .signing
        .headers(&message.webhook_id, now, message.body.bytes());
    for (name, value) in signatures.map_err(Unbuildable::Secret)? {
        headers.insert(name, value);
    }
    Ok(())
}

/// What the body is, as far as that can be told; no body has no type.
fn content_type(body: &Body) -> Option<&'static str> {
    match body {
        Body::Empty => None,
        Body::Text(text) if is_json(text) => Some("application/json"),
        Body::Text(_) => Some("text/plain; charset=utf-8"),
        Body::Binary(_) => Some("application/octet-stream"),
    }
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

fn http_method(method: Method) -> http::Method {
    match method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Patch => http::Method::PATCH,
        Method::Delete => http::Method::DELETE,
    }
}

#[cfg(test)]
mod tests;

//! A message on its way out.

use super::headers::Headers;
use super::time::Timestamp;

/// What is sent. The bytes never change between attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// No body at all.
    Empty,
    /// Text or JSON, in UTF-8.
    Text(Vec<u8>),
    /// Bytes of no known form.
    Binary(Vec<u8>),
}

impl Body {
    /// The bytes that go over the wire.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::Empty => &[],
            Body::Text(bytes) | Body::Binary(bytes) => bytes,
        }
    }
}

/// One message about to be attempted.
#[derive(Clone, Debug)]
pub struct Message {
    /// `hooks.message.id`: unique within the database, constant over all attempts.
    pub id: i64,
    /// `webhook-id`: unique in the world, constant over all attempts, holds no dot.
    pub webhook_id: String,
    /// Number of this attempt, counted from 1.
    pub attempt: u32,
    /// When it was due.
    pub due_at: Timestamp,
    /// No attempt begins from then on.
    pub expires_at: Option<Timestamp>,
    /// Since when somebody waits for its delivery; `None` when that is not known.
    pub waited_since: Option<Timestamp>,
    /// When it was stored, in PostgreSQL's microseconds: tells it from another one that was given the same id, as
    /// after TRUNCATE ... RESTART IDENTITY.
    pub stored_at: i64,
    /// Headers of this message; they win over those of its queue.
    pub headers: Headers,
    /// What is sent.
    pub body: Body,
}

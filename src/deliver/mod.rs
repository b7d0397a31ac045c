//! HTTP, on threads of its own. Nothing here knows Postgres: owned jobs come in, owned results go
//! out, and an eventfd tells the other side that there are some.
//!
//! ```text
//! pool      what the main thread calls
//! crew      the threads; roster is the state they share, growth says when there are more of them
//! finished  the way back, with its eventfd
//! attempt   one job made into one attempt; exchange is its HTTP part, with what it authenticates by; send
//!           is one request, capture reads the body, failure says what an error means
//! tokens    those of token endpoints that are in use; token_request asks for one
//! client    one configuration of everything below, replaced as a whole on SIGHUP
//! resolver  names to checked addresses; lookup asks the system for them, interfaces for its own
//! trace     what the parts saw of an attempt
//! dialer    checked address to connection, an idle one or a new one; tunnel leads there through a proxy;
//!           stream, of socket and tls, is what it is made of, desk the memory for a request, descriptors says how many sockets there may be
//! preview   what an attempt would send
//! ```

#![forbid(unsafe_code)]

mod attempt;
mod capture;
mod client;
mod connection;
mod crew;
mod descriptors;
mod desk;
mod dialer;
mod exchange;
mod failure;
mod finished;
mod growth;
mod idle;
mod interfaces;
mod limit;
mod lookup;
mod pool;
mod preview;
mod resolver;
mod roster;
mod running;
mod send;
mod settings;
mod socket;
#[cfg(any(test, feature = "fuzzing"))]
pub mod spoken;
mod stream;
mod thread;
mod tls;
mod token_request;
mod tokens;
mod trace;
mod tunnel;

#[cfg(test)]
pub(crate) mod tests;

pub use interfaces::own_addresses;
pub use pool::Pool;
pub use preview::{Written, preview};
pub use settings::Settings;
pub use trace::Trace;

use std::sync::Arc;
use std::time::Duration;

use crate::domain::message::Message;
use crate::domain::outcome::Outcome;
use crate::domain::queue::{Method, Queue};
use crate::domain::time::Timestamp;

/// One attempt to be made.
pub struct Job {
    pub queue: Arc<Queue>,
    pub message: Message,
}

/// One attempt made.
#[derive(Debug)]
pub struct Attempt {
    pub message_id: i64,
    /// Number of the attempt, counted from 1.
    pub attempt: u32,
    pub outcome: Outcome,
    pub attempted_at: Timestamp,
    /// As in [`Message::due_at`].
    pub due_at: Timestamp,
    /// As in [`Message::waited_since`].
    pub waited_since: Option<Timestamp>,
    /// As in [`Message::stored_at`].
    pub stored_at: i64,
    pub duration: Duration,
    pub response: Response,
    /// The method, and the URL as it may be shown.
    pub method: Method,
    pub url: String,
    pub trace: Trace,
}

/// As much of the answer as is kept.
#[derive(Debug, Default)]
pub struct Response {
    /// First bytes of the body, at most [`Settings::capture_limit`], exactly as they came.
    pub body: Vec<u8>,
    /// Whether the body went on after these bytes, or may have.
    pub truncated: bool,
}

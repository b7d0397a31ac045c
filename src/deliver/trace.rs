//! What the parts below the HTTP client saw of an attempt.
//!
//! An attempt is made by one thread from its beginning to its end, and what is noted here belongs to the one
//! that this thread makes: ureq has no place to hand it through.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

/// The parts of one attempt. What did not happen is `None`.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Looking up the name. `None` also for an address, which needs no look-up.
    pub resolve: Option<Duration>,
    /// Until there was a connection, or none could be had.
    pub connect: Option<Duration>,
    /// The handshake of TLS.
    pub tls: Option<Duration>,
    /// From the connection to the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// The address that was dialled last, or is at the other end of the connection that was used again.
    pub address: Option<SocketAddr>,
    /// Whether the connection had served an earlier request.
    pub reused: Option<bool>,
    /// Headers as they went out and came in, as JSON without secrets.
    pub request_headers: Option<String>,
    pub response_headers: Option<String>,
}

thread_local! {
    static TRACE: RefCell<Trace> = RefCell::default();
}

/// Notes something of the attempt that this thread makes.
pub fn note(change: impl FnOnce(&mut Trace)) {
    TRACE.with_borrow_mut(change);
}

/// What was noted since this was last called.
pub fn take() -> Trace {
    TRACE.take()
}

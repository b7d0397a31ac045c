//! A receiver that is told what to do by somebody else, request by request.

use super::behaviour::Behaviour;
use super::received::Received;

/// Decides about each request, and keeps what it wants to know of it. The receiver itself keeps nothing.
pub trait Script: Send {
    /// A request is complete and not answered. Gives a number for it, and what to do.
    fn on_request(&mut self, request: &Received) -> (usize, Behaviour);

    /// The whole answer to the request of this number is written.
    fn on_answered(&mut self, number: usize);
}

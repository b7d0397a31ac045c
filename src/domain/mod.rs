//! The rules of delivery as pure code: no Postgres, no clock, no randomness, no I/O.
//!
//! Time and jitter come in as arguments; decisions go out as values. The process shells in
//! `worker.rs` and the threads in `deliver` carry them out.

pub mod address;
pub mod auth;
pub mod breaker;
pub mod bulletin;
pub mod cron;
pub mod emission;
pub mod endpoint;
pub mod envelope;
pub mod event;
pub mod exposure;
pub mod failing;
pub mod headers;
pub mod histogram;
pub mod hold;
pub mod message;
pub mod outcome;
pub mod patience;
pub mod pattern;
pub mod proxy;
pub mod queue;
pub mod rate;
pub mod request;
pub mod retry;
pub mod retry_after;
pub mod scheduler;
pub mod secret;
pub mod signature;
pub mod tally;
pub mod thorough;
pub mod throttle;
pub mod time;
pub mod traceparent;
pub mod trial;
pub mod trust;
mod varint;

//! Random histories of what decides about delivery: messages, retries, limits, ordering, crashes, schedules.
//!
//! A seed makes up a history, which is a list of events and knows nothing of what comes of them. It is run
//! against the rules in `src/domain`, with a model of the tables in place of PostgreSQL, and after every event
//! what must always hold is looked at. A history that breaks a rule is cut down to the events that it takes, and
//! printed as a test.

#[path = "../../src/domain/mod.rs"]
pub mod domain;

mod broken;
pub mod campaign;
pub mod defects;
pub mod deliveries;
pub mod history;
pub mod schedules;
mod shrink;

pub use broken::{Broken, attempt, keep_quiet};
pub use history::{History, Simpler, Simulation};
pub use shrink::shrink;

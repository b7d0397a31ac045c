//! A run against everything that can go wrong: writers, a receiver, a nemesis, and a checker.
//!
//! - [`workload`] says what each writer does, from the seed alone; [`writer`] does it;
//! - [`journal`] has what the writers meant and what came of it, [`reception`] what arrived and how it was
//!   answered: both outside of the database, and each noted before it happens;
//! - [`nemesis`] makes the faults, one file for each family;
//! - [`namespaces`] keep mounts and routes of a run to itself;
//! - [`evidence`] is what the tables hold in the end;
//! - [`checker`] reads all of it and says what is wrong;
//! - [`bugs`] are put in on purpose, to see that the checker finds them.

pub mod bugs;
pub mod checker;
pub mod disturbance;
pub mod evidence;
pub mod identity;
pub mod journal;
pub mod namespaces;
pub mod nemesis;
mod plan;
pub mod reception;
mod run;
pub mod standstill;
mod wire;
pub mod workload;
mod world;
mod writer;

pub use plan::Plan;
pub use run::{Report, run};

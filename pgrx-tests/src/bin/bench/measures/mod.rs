//! The measurements, one a file.

mod drain;
mod holes;
mod idle;
mod insert;
mod late;
mod latency;
mod lists;
mod memory;
mod poisson;
mod publish;
mod queues;
mod scheduled;
mod schedules;
mod snapshot;
mod soak;
mod writers;

use crate::measurement::{Measurement, Parameter};

/// In the order in which all of them are run.
pub const ALL: [&Measurement; 16] = [
    &drain::MEASUREMENT,
    &latency::MEASUREMENT,
    &poisson::MEASUREMENT,
    &writers::MEASUREMENT,
    &insert::MEASUREMENT,
    &publish::MEASUREMENT,
    &schedules::MEASUREMENT,
    &late::MEASUREMENT,
    &holes::MEASUREMENT,
    &snapshot::MEASUREMENT,
    &scheduled::MEASUREMENT,
    &queues::MEASUREMENT,
    &lists::MEASUREMENT,
    &idle::MEASUREMENT,
    &memory::MEASUREMENT,
    &soak::MEASUREMENT,
];

/// How often a measurement is repeated; tables show the median.
const RUNS: Parameter = Parameter {
    name: "runs",
    about: "repetitions; the tables show medians",
    usual: &[3.0],
    smoke: &[1.0],
};

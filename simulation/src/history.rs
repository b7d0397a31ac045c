//! Histories: what is made up from a seed, run, cut down and printed.

use std::fmt::Debug;

/// How things begin, and what happens then. Running it twice gives the same.
#[derive(Clone, Debug, PartialEq)]
pub struct History<S, E> {
    pub setup: S,
    pub events: Vec<E>,
}

/// Something that a simpler thing can stand for.
pub trait Simpler: Clone + Debug + PartialEq {
    /// Candidates, the simplest first; none is equal to it.
    fn simpler(&self) -> Vec<Self>;
}

/// What is simulated.
pub trait Simulation {
    /// How things begin.
    type Setup: Simpler;
    /// What may happen, at any time: where it makes no sense it does nothing.
    type Event: Simpler;
    /// For people, and for the function in `tests/` that runs a printed history.
    const NAME: &'static str;

    /// The history of a seed.
    fn make_up(seed: u64) -> History<Self::Setup, Self::Event>;

    /// Runs a history. Panics, by [`rule!`](crate::rule), when something does not hold. Returns how many events
    /// it took, those included that bring it to its end.
    fn run(setup: &Self::Setup, events: &[Self::Event]) -> u64;
}

/// The history as a test.
pub fn as_test<S: Simulation>(history: &History<S::Setup, S::Event>, name: &str) -> String {
    let events = history.events.iter();
    let events: String = events.map(|event| format!("            {event:?},\n")).collect();
    format!(
        "#[test]\nfn {name}() {{\n    {}(\n        {:?},\n        &[\n{events}        ],\n    );\n}}\n",
        S::NAME,
        history.setup
    )
}

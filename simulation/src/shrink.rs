//! Cutting a history down to what it takes to break a rule.

use crate::broken::{Broken, attempt};
use crate::history::{History, Simpler, Simulation};

/// A history in which nothing can be left out or made simpler without it breaking the same rule no more.
pub fn shrink<S: Simulation>(
    mut history: History<S::Setup, S::Event>,
    broken: &Broken,
) -> History<S::Setup, S::Event> {
    let breaks = |setup: &S::Setup, events: &[S::Event]| {
        attempt::<S>(setup, events).is_err_and(|other| other.rule == broken.rule)
    };
    loop {
        let before = history.clone();
        leave_out::<S>(&mut history, &breaks);
        simplify_events::<S>(&mut history, &breaks);
        simplify_setup::<S>(&mut history, &breaks);
        if history == before {
            return history;
        }
    }
}

/// Leaves out stretches, half of all at first and single events in the end.
fn leave_out<S: Simulation>(
    history: &mut History<S::Setup, S::Event>,
    breaks: &impl Fn(&S::Setup, &[S::Event]) -> bool,
) {
    let mut length = history.events.len().div_ceil(2);
    while length > 0 {
        let mut at = 0;
        while at < history.events.len() {
            let end = (at + length).min(history.events.len());
            let mut fewer = history.events.clone();
            fewer.drain(at..end);
            if breaks(&history.setup, &fewer) {
                history.events = fewer;
            } else {
                at += length;
            }
        }
        length /= 2;
    }
}

fn simplify_events<S: Simulation>(
    history: &mut History<S::Setup, S::Event>,
    breaks: &impl Fn(&S::Setup, &[S::Event]) -> bool,
) {
    for at in 0..history.events.len() {
        while let Some(event) = history.events[at].simpler().into_iter().find(|event| {
            let mut events = history.events.clone();
            events[at] = event.clone();
            breaks(&history.setup, &events)
        }) {
            history.events[at] = event;
        }
    }
}

fn simplify_setup<S: Simulation>(
    history: &mut History<S::Setup, S::Event>,
    breaks: &impl Fn(&S::Setup, &[S::Event]) -> bool,
) {
    while let Some(setup) = history
        .setup
        .simpler()
        .into_iter()
        .find(|setup| breaks(setup, &history.events))
    {
        history.setup = setup;
    }
}

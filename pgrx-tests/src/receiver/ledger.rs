//! What a receiver was told to do, and what has arrived.

use std::collections::HashMap;

use super::behaviour::Behaviour;
use super::received::Received;
use super::script::Script;

/// One request of a counting receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub message_id: i64,
    pub attempt: u32,
    /// Microseconds since 1970.
    pub unix_us: i64,
}

/// How much is kept of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    Everything,
    /// Message id, attempt and time only: for benchmarks.
    Arrivals,
    /// Nothing: a script keeps what it wants.
    Nothing,
}

/// Whether connections are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Open,
    /// Nobody listens, and nobody is connected.
    Closed,
}

/// The state that a receiver and its thread share.
pub struct Ledger {
    pub keep: Keep,
    pub received: Vec<Received>,
    pub arrivals: Vec<Arrival>,
    pub malformed: usize,
    pub open_connections: usize,
    /// Paths whose held requests are to be answered now.
    pub releases: Vec<String>,
    pub stopped: bool,
    /// As it is to be.
    pub port: Port,
    /// Decides about requests, if there is one.
    pub script: Option<Box<dyn Script>>,
    routes: HashMap<String, Route>,
}

/// One path.
#[derive(Default)]
struct Route {
    /// `None`: 200.
    behaviour: Option<Behaviour>,
    /// Requests since the behaviour was set.
    turn: usize,
    in_flight: usize,
    peak_in_flight: usize,
}

/// What to do with a request that has just been logged.
pub enum Decision {
    Do(Behaviour),
    /// It is the one that a barrier waited for.
    ReleaseAll(Behaviour),
}

impl Ledger {
    pub fn new(keep: Keep) -> Self {
        Ledger {
            keep,
            received: Vec::new(),
            arrivals: Vec::new(),
            malformed: 0,
            open_connections: 0,
            releases: Vec::new(),
            stopped: false,
            port: Port::Open,
            script: None,
            routes: HashMap::new(),
        }
    }

    pub fn set(&mut self, path: &str, behaviour: Behaviour) {
        let route = self.routes.entry(path.to_owned()).or_default();
        route.behaviour = Some(behaviour);
        route.turn = 0;
    }

    /// Decides about the request that has just arrived at `path`.
    pub fn decide(&mut self, path: &str) -> Decision {
        let Some(route) = self.routes.get_mut(path) else {
            self.routes.insert(
                path.to_owned(),
                Route {
                    turn: 1,
                    in_flight: 1,
                    peak_in_flight: 1,
                    ..Route::default()
                },
            );
            return Decision::Do(Behaviour::status(200));
        };
        route.turn += 1;
        route.in_flight += 1;
        route.peak_in_flight = route.peak_in_flight.max(route.in_flight);
        match route.current() {
            Behaviour::Barrier(size, answer) if route.turn >= size => Decision::ReleaseAll(answer.into()),
            behaviour => Decision::Do(behaviour),
        }
    }

    /// The request is answered, or its connection gone.
    pub fn finish(&mut self, path: &str) {
        if let Some(route) = self.routes.get_mut(path) {
            route.in_flight -= 1;
        }
    }

    pub fn peak_in_flight(&self, path: &str) -> usize {
        self.routes.get(path).map_or(0, |route| route.peak_in_flight)
    }

    /// Requests by path, for messages to people.
    pub fn summary(&self) -> String {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for received in &self.received {
            *counts.entry(&received.path).or_default() += 1;
        }
        let mut counts: Vec<String> = counts
            .iter()
            .map(|(path, count)| format!("{path}: {count}"))
            .collect();
        counts.sort();
        if counts.is_empty() {
            "no request at any path".to_owned()
        } else {
            counts.join(", ")
        }
    }
}

impl Route {
    fn current(&self) -> Behaviour {
        match &self.behaviour {
            None => Behaviour::status(200),
            Some(Behaviour::Script(script)) => {
                let turn = self.turn.min(script.len());
                script
                    .get(turn - 1)
                    .cloned()
                    .unwrap_or_else(|| Behaviour::status(200))
            }
            Some(Behaviour::OneIn(every, _)) if !self.turn.is_multiple_of(*every) => Behaviour::status(200),
            Some(Behaviour::OneIn(_, behaviour)) => behaviour.as_ref().clone(),
            Some(behaviour) => behaviour.clone(),
        }
    }
}

//! The receiver's side: notes each request before it answers, and answers in every way there is.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::identity::Identity;
use super::journal::now_us;
use crate::receiver::{Answer, Behaviour, Received, Script};

/// Limit of one attempt in all queues.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// From this attempt on a message is accepted at once, so that runs end.
const PATIENCE: u32 = 5;

/// What a request was answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// 2xx, in time.
    Accepted,
    Refused,
    /// Nothing, or not HTTP, or too late.
    None,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub path: &'static str,
    pub identity: Option<Identity>,
    pub webhook_id: Arc<str>,
    pub message_id: i64,
    pub attempt: u32,
    pub sha256: [u8; 32],
    /// Of a schedule: the header `hooks-cron-tick`.
    pub tick: Option<String>,
    pub at_us: i64,
    pub reply: Reply,
    /// When the whole answer was written.
    pub answered_us: Option<i64>,
}

/// What the receiver does to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// A bit of everything.
    Mixed,
    /// 503 to all.
    Failing,
    /// No answer at all.
    Mute,
}

/// What the receiver and the others share.
#[derive(Default)]
pub struct Desk {
    arrivals: Mutex<Vec<Arrival>>,
    mood: AtomicU8,
    /// A message came that is to kill the worker.
    pub poisoned: AtomicBool,
}

impl Desk {
    /// Everything that has arrived, in order.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().expect("poisoned").clone()
    }

    /// When this message arrived first.
    pub fn arrived_at(&self, message_id: i64, path: &str) -> Option<i64> {
        let arrivals = self.arrivals.lock().expect("poisoned");
        let found = arrivals
            .iter()
            .rev()
            .take_while(|arrival| arrival.at_us > now_us() - 120_000_000)
            .find(|arrival| arrival.message_id == message_id && arrival.path == path);
        found.map(|arrival| arrival.at_us)
    }

    pub fn set_mood(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::Relaxed);
    }

    fn mood(&self) -> Mood {
        match self.mood.load(Ordering::Relaxed) {
            mood if mood == Mood::Failing as u8 => Mood::Failing,
            mood if mood == Mood::Mute as u8 => Mood::Mute,
            _ => Mood::Mixed,
        }
    }
}

/// The script of the receiver.
pub struct Reception {
    pub desk: Arc<Desk>,
    pub seed: u64,
}

/// Everything that is sent to, by path.
const PATHS: [&str; 7] = [
    "/plain",
    "/keyed",
    "/doomed",
    "/graveyard",
    "/ticks",
    "/pulse",
    "/poison",
];

impl Script for Reception {
    fn on_request(&mut self, request: &Received) -> (usize, Behaviour) {
        let known = PATHS.iter().find(|path| **path == request.path);
        let (reply, behaviour) = self.decide(request);
        if request.path == "/poison" {
            self.desk.poisoned.store(true, Ordering::Release);
        }
        let mut arrivals = self.desk.arrivals.lock().expect("poisoned");
        arrivals.push(Arrival {
            path: known.copied().unwrap_or("/elsewhere"),
            identity: Identity::of(&request.body),
            webhook_id: request.webhook_id().unwrap_or_default().into(),
            message_id: request.message_id().unwrap_or(-1),
            attempt: request.attempt().unwrap_or(0),
            sha256: request.body_sha256,
            tick: request.header("hooks-cron-tick").map(str::to_owned),
            at_us: request.arrived.unix_us,
            reply,
            answered_us: None,
        });
        (arrivals.len() - 1, behaviour)
    }

    fn on_answered(&mut self, number: usize) {
        self.desk.arrivals.lock().expect("poisoned")[number].answered_us = Some(now_us());
    }
}

impl Reception {
    fn decide(&self, request: &Received) -> (Reply, Behaviour) {
        let accept = (Reply::Accepted, Behaviour::status(200));
        match (self.desk.mood(), request.path.as_str()) {
            (Mood::Failing, _) => (Reply::Refused, Behaviour::status(503)),
            (Mood::Mute, _) | (_, "/poison") => (Reply::None, Behaviour::Hang),
            (_, "/doomed") => (Reply::Refused, Behaviour::status(500)),
            (_, "/pulse") => accept,
            _ if request.attempt().unwrap_or(0) >= PATIENCE => accept,
            _ => mixed(self.dice(request)),
        }
    }

    /// The same for each attempt of the same body at each run with this seed.
    fn dice(&self, request: &Received) -> fastrand::Rng {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&request.body_sha256[..8]);
        let attempt = u64::from(request.attempt().unwrap_or(0));
        fastrand::Rng::with_seed(self.seed ^ u64::from_le_bytes(bytes) ^ attempt << 56)
    }
}

fn mixed(mut dice: fastrand::Rng) -> (Reply, Behaviour) {
    // Longer than a machine stands still: otherwise timeout and answer are both there when it goes on.
    let too_late = TIMEOUT + Duration::from_secs(5);
    let page = Answer::new(200).text("thank you");
    match dice.u32(..1_000) {
        0..50 => (Reply::Refused, Behaviour::status(500)),
        50..70 => (Reply::Refused, Behaviour::status(404)),
        70..73 => (Reply::Refused, Answer::new(429).header("retry-after", "1").into()),
        73..90 => (Reply::None, Behaviour::Reset),
        90..105 => (Reply::None, Behaviour::Close),
        105..109 => (Reply::None, Behaviour::Hang),
        109..113 => (Reply::None, Behaviour::slow(too_late)),
        113..116 => (Reply::None, Behaviour::DripAll(Duration::from_millis(100), page)),
        116..130 => (
            Reply::Accepted,
            Behaviour::DripBody(Duration::from_millis(10), page),
        ),
        130..140 => (Reply::None, Behaviour::garbage()),
        140..240 => (
            Reply::Accepted,
            Behaviour::slow(Duration::from_millis(dice.u64(1..40))),
        ),
        _ => (Reply::Accepted, Behaviour::status(200)),
    }
}

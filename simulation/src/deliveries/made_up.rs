//! Histories from seeds.
//!
//! Each has weights of its own for what happens, many of them zero: a history that pauses no queue and kills no
//! worker gets further with what it does do ("swarm testing", Groce et al., ISSTA 2012).

use fastrand::Rng;

use super::policy::{Backs, Breaks, Policy, Rates};
use super::vocabulary::{Answered, Event, Message, QUEUES, Setup};
use crate::history::History;

/// What a seed decides about all that happens.
struct Weather {
    /// Weights of the kinds of events, in the order of `event`.
    weights: [u32; KINDS],
    keys: u8,
    keyed_percent: u8,
    expiring_percent: u8,
    large_percent: u8,
    poisonous_percent: u8,
    /// Answers that are no delivery.
    failing_percent: u8,
    longest_advance_ms: u32,
    jumps_ms: i32,
}

const KINDS: usize = 26;

/// Weights when a kind of event happens at all.
const WEIGHTS: [u32; KINDS] = [
    26, 1, 2, 2, 2, 1, 1, 2, 2, 30, 2, 1, 24, 14, 1, 8, 1, 2, 1, 3, 1, 1, 2, 2, 1, 1,
];

/// Kinds that every history has: sends, turns, answers, records, time that passes.
const ALWAYS: [usize; 5] = [0, 9, 12, 13, 15];

/// The history of a seed.
pub fn history(seed: u64) -> History<Setup, Event> {
    let mut random = Rng::with_seed(seed);
    let weather = Weather::of(&mut random);
    let setup = Setup {
        slots: *pick(&mut random, &[1, 2, 6, 6, 8, 16, 32, 64]),
        unclean: random.u8(..4) == 0,
        disable_after_s: (random.u8(..4) == 0).then(|| random.u32(1..600)),
        queues: std::array::from_fn(|_| policy(&mut random)),
    };
    let length = *pick(&mut random, &[40, 100, 200, 400]);
    let events = (0..length).map(|_| weather.event(&mut random)).collect();
    History { setup, events }
}

fn pick<'a, T>(random: &mut Rng, among: &'a [T]) -> &'a T {
    &among[random.usize(..among.len())]
}

fn policy(random: &mut Rng) -> Policy {
    let max_in_flight = *pick(random, &[1, 2, 3, 8, 64]);
    Policy {
        max_in_flight,
        max_attempts: *pick(random, &[1, 2, 3, 4, 8]),
        backs: match random.u8(..4) {
            0 => Backs::Doubling {
                min_ms: random.u32(1..3000),
                max_ms: random.u32(3000..60_000),
            },
            1 => Backs::Standard,
            _ => Backs::Every {
                ms: random.u32(1..10_000),
            },
        },
        rate: (random.u8(..4) == 0).then(|| Rates {
            messages: random.u8(1..20),
            interval_ms: *pick(random, &[100, 1000, 10_000]),
            burst: random.u8(1..8),
        }),
        breaker: (random.u8(..3) == 0).then(|| Breaks {
            window_s: *pick(random, &[1, 10, 300]),
            min_requests: random.u8(1..6),
            percent: *pick(random, &[1, 50, 70, 100]),
            open_s: *pick(random, &[1, 10, 30]),
            max_failed_probes: random.u8(1..5),
        }),
        blocks: random.bool(),
        bury_expired: random.u8(..3) == 0,
    }
}

impl Weather {
    fn of(random: &mut Rng) -> Weather {
        let mut weights = WEIGHTS;
        for (kind, weight) in weights.iter_mut().enumerate() {
            *weight *= match random.u8(..4) {
                0 if !ALWAYS.contains(&kind) => 0,
                0 | 1 => 1,
                2 => 2,
                _ if ALWAYS.contains(&kind) => 2,
                _ => 4,
            };
            if !ALWAYS.contains(&kind) && random.bool() {
                *weight = 0;
            }
        }
        Weather {
            weights,
            keys: *pick(random, &[1, 3, 40]),
            keyed_percent: *pick(random, &[0, 30, 30, 90]),
            expiring_percent: *pick(random, &[0, 20]),
            large_percent: *pick(random, &[0, 0, 20]),
            poisonous_percent: *pick(random, &[0, 0, 0, 3]),
            failing_percent: *pick(random, &[0, 30, 30, 90]),
            longest_advance_ms: *pick(random, &[20, 2000, 2000, 60_000]),
            jumps_ms: *pick(random, &[5000, 3_600_000]),
        }
    }

    fn event(&self, random: &mut Rng) -> Event {
        let nth = random.u8(..);
        let queue = random.u8(..QUEUES as u8);
        match self.kind(random) {
            0 => Event::Send(self.message(random)),
            1 => Event::SendUntold(self.message(random)),
            2 => Event::Begin(self.message(random)),
            3 => Event::Commit { nth },
            4 => Event::Cancel { nth },
            5 => Event::Rekey {
                nth,
                key: self.key(random),
            },
            6 => Event::Move { nth, queue },
            7 => Event::Redrive {
                nth,
                queue: (random.u8(..4) == 0).then_some(queue),
                in_ms: random.i32(-1000..3000),
            },
            8 => Event::Purge { nth },
            9 => Event::Turn,
            10 => Event::FailedRead,
            11 => Event::TurnWithLocks,
            12 => Event::Answer {
                nth,
                answered: self.answered(random),
                jitter: random.i8(-100..=100),
            },
            13 => Event::Record {
                locked: (random.u8(..10) == 0).then_some(nth),
            },
            14 => Event::Park { nth },
            15 => Event::Advance {
                ms: random.u32(..self.longest_advance_ms),
            },
            16 => Event::Jump {
                ms: random.i32(-self.jumps_ms..self.jumps_ms),
            },
            17 => Event::Change {
                queue,
                policy: policy(random),
            },
            18 => Event::Pause { queue },
            19 => Event::Resume { queue },
            20 if random.bool() => Event::Suspend { queue },
            20 => Event::Replace { queue },
            21 => Event::Slots {
                slots: *pick(random, &[1, 4, 8, 64]),
            },
            22 => Event::Rescan,
            23 if random.bool() => Event::Die,
            23 => Event::TakeOver,
            24 => Event::PutOff {
                nth,
                in_ms: random.i32(-1000..5000),
            },
            _ => Event::Extend {
                nth,
                ttl_ms: (random.u8(..4) != 0).then(|| random.u32(..8000)),
            },
        }
    }

    fn kind(&self, random: &mut Rng) -> usize {
        let mut left = random.u32(..self.weights.iter().sum::<u32>());
        let chosen = self.weights.iter().position(|weight| {
            let chosen = left < *weight;
            left = left.saturating_sub(*weight);
            chosen
        });
        chosen.unwrap_or(0)
    }

    fn message(&self, random: &mut Rng) -> Message {
        Message {
            queue: random.u8(..QUEUES as u8),
            in_ms: match random.u8(..3) {
                0 => 0,
                1 => random.i32(-1000..0),
                _ => random.i32(0..5000),
            },
            key: self.key(random),
            ttl_ms: self
                .happens(random, self.expiring_percent)
                .then(|| random.u32(1..8000)),
            kib: if self.happens(random, self.large_percent) {
                *pick(random, &[9, 1000, 6000, 20_000])
            } else {
                0
            },
            poison: self.happens(random, self.poisonous_percent),
        }
    }

    fn key(&self, random: &mut Rng) -> Option<u8> {
        self.happens(random, self.keyed_percent)
            .then(|| random.u8(..self.keys))
    }

    fn answered(&self, random: &mut Rng) -> Answered {
        if !self.happens(random, self.failing_percent) {
            return Answered::Accepted;
        }
        match random.u8(..20) {
            0 => Answered::Unreachable,
            1 => Answered::TimedOut,
            2 => Answered::Lost,
            3 => Answered::Unauthenticated,
            4 => Answered::Unbuildable,
            5 => Answered::NoSecret,
            6 => Answered::Fault,
            _ => Answered::Refused {
                status: *pick(random, &[500, 500, 500, 404, 429, 429, 502, 503, 504, 301, 410]),
                retry_after_s: (random.u8(..3) == 0).then(|| random.u16(..60)),
            },
        }
    }

    fn happens(&self, random: &mut Rng, percent: u8) -> bool {
        random.u8(..100) < percent
    }
}

//! What may happen. Nothing here depends on what came before: messages are named by a number that is taken
//! modulo how many there are, so that any event can be left out of a history.

use std::fmt;

use super::policy::{Policy, unlike};
use crate::history::Simpler;

/// Queues there are at once.
pub const QUEUES: usize = 4;

/// How things begin.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    pub slots: u8,
    /// The leader before did not end in order.
    pub unclean: bool,
    /// How long a queue may do nothing but fail.
    pub disable_after_s: Option<u32>,
    pub queues: [Policy; QUEUES],
}

/// What a transaction sends.
#[derive(Clone, Copy, PartialEq)]
pub struct Message {
    pub queue: u8,
    /// When it is due, from now.
    pub in_ms: i32,
    pub key: Option<u8>,
    /// When it expires, from when it is due.
    pub ttl_ms: Option<u32>,
    pub kib: u16,
    /// The worker dies of sending it.
    pub poison: bool,
}

/// What comes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answered {
    Accepted,
    Refused { status: u16, retry_after_s: Option<u16> },
    Unreachable,
    TimedOut,
    Lost,
    Unauthenticated,
    Unbuildable,
    NoSecret,
    Fault,
}

/// Something happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A transaction commits, and tells of it.
    Send(Message),
    /// One commits that tells of nothing, as COMMIT PREPARED.
    SendUntold(Message),
    /// A message takes its id, and commits later.
    Begin(Message),
    Commit {
        nth: u8,
    },
    Cancel {
        nth: u8,
    },
    /// Somebody updates `hooks.message`.
    Rekey {
        nth: u8,
        key: Option<u8>,
    },
    Move {
        nth: u8,
        queue: u8,
    },
    /// It is to be sent then instead, from now.
    PutOff {
        nth: u8,
        in_ms: i32,
    },
    /// It expires then instead, from now.
    Extend {
        nth: u8,
        ttl_ms: Option<u32>,
    },
    Redrive {
        nth: u8,
        queue: Option<u8>,
        in_ms: i32,
    },
    Purge {
        nth: u8,
    },
    /// The leader reads what is due and sends it.
    Turn,
    /// It cannot read.
    FailedRead,
    /// It reads, and rows that it would claim are locked.
    TurnWithLocks,
    Answer {
        nth: u8,
        answered: Answered,
        jitter: i8,
    },
    /// The leader records results; that of one message cannot be recorded now, as its row is locked.
    Record {
        locked: Option<u8>,
    },
    /// A result cannot be recorded at all.
    Park {
        nth: u8,
    },
    Advance {
        ms: u32,
    },
    /// Somebody sets the clock.
    Jump {
        ms: i32,
    },
    Change {
        queue: u8,
        policy: Policy,
    },
    Pause {
        queue: u8,
    },
    Resume {
        queue: u8,
    },
    /// The row of a queue cannot be used.
    Suspend {
        queue: u8,
    },
    /// The queue and its messages are gone, and there is another one.
    Replace {
        queue: u8,
    },
    Slots {
        slots: u8,
    },
    Rescan,
    /// The worker dies.
    Die,
    /// The leader ends in order and another one takes over.
    TakeOver,
}

impl Simpler for Setup {
    fn simpler(&self) -> Vec<Setup> {
        let mut simpler = Vec::new();
        for at in 0..QUEUES {
            for policy in self.queues[at].simpler() {
                let mut setup = self.clone();
                setup.queues[at] = policy;
                simpler.push(setup);
            }
        }
        let plain = [
            Setup {
                unclean: false,
                ..self.clone()
            },
            Setup {
                disable_after_s: None,
                ..self.clone()
            },
            Setup {
                slots: 8,
                ..self.clone()
            },
        ];
        simpler.extend(plain);
        simpler.retain(|setup| setup != self);
        simpler
    }
}

/// As one would write it: what is not plain.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let mut part = |differs: bool, name: &str, value: &dyn fmt::Debug| {
            if differs {
                parts.push(format!("{name}: {value:?}"));
            }
        };
        part(self.queue != 0, "queue", &self.queue);
        part(self.in_ms != 0, "in_ms", &self.in_ms);
        part(self.key.is_some(), "key", &self.key);
        part(self.ttl_ms.is_some(), "ttl_ms", &self.ttl_ms);
        part(self.kib != 0, "kib", &self.kib);
        part(self.poison, "poison", &self.poison);
        f.write_str(&unlike("Message", &parts))
    }
}

impl Message {
    /// One that is due at once, and nothing else.
    pub const PLAIN: Message = Message {
        queue: 0,
        in_ms: 0,
        key: None,
        ttl_ms: None,
        kib: 0,
        poison: false,
    };

    fn simpler(self) -> Vec<Message> {
        let mut simpler = vec![
            Message { queue: 0, ..self },
            Message { in_ms: 0, ..self },
            Message { key: None, ..self },
            Message {
                key: self.key.map(|_| 0),
                ..self
            },
            Message { ttl_ms: None, ..self },
            Message { kib: 0, ..self },
            Message {
                poison: false,
                ..self
            },
        ];
        simpler.retain(|message| *message != self);
        simpler
    }
}

impl Simpler for Event {
    fn simpler(&self) -> Vec<Event> {
        let mut simpler = match *self {
            Event::Send(message) => message.simpler().into_iter().map(Event::Send).collect(),
            Event::SendUntold(message) => std::iter::once(Event::Send(message))
                .chain(message.simpler().into_iter().map(Event::SendUntold))
                .collect(),
            Event::Begin(message) => std::iter::once(Event::Send(message))
                .chain(message.simpler().into_iter().map(Event::Begin))
                .collect(),
            Event::Commit { .. } => vec![Event::Commit { nth: 0 }],
            Event::Cancel { .. } => vec![Event::Cancel { nth: 0 }],
            Event::Rekey { nth, key } => vec![Event::Rekey { nth: 0, key }, Event::Rekey { nth, key: None }],
            Event::Move { queue, .. } => vec![Event::Move { nth: 0, queue }],
            Event::PutOff { nth, in_ms } => {
                vec![Event::PutOff { nth: 0, in_ms }, Event::PutOff { nth, in_ms: 0 }]
            }
            Event::Extend { nth, ttl_ms } => vec![
                Event::Extend { nth: 0, ttl_ms },
                Event::Extend { nth, ttl_ms: None },
            ],
            Event::Redrive { nth, queue, in_ms } => vec![
                Event::Redrive { nth: 0, queue, in_ms },
                Event::Redrive {
                    nth,
                    queue: None,
                    in_ms,
                },
                Event::Redrive { nth, queue, in_ms: 0 },
            ],
            Event::Purge { .. } => vec![Event::Purge { nth: 0 }],
            Event::FailedRead | Event::TurnWithLocks => vec![Event::Turn],
            Event::Answer {
                nth,
                answered,
                jitter,
            } => vec![
                Event::Answer {
                    nth: 0,
                    answered,
                    jitter,
                },
                Event::Answer {
                    nth,
                    answered: Answered::Accepted,
                    jitter,
                },
                Event::Answer {
                    nth,
                    answered: Answered::Refused {
                        status: 500,
                        retry_after_s: None,
                    },
                    jitter,
                },
                Event::Answer {
                    nth,
                    answered,
                    jitter: 0,
                },
            ],
            Event::Record { .. } => vec![Event::Record { locked: None }],
            Event::Park { .. } => vec![Event::Park { nth: 0 }],
            Event::Advance { ms } => [1000, 10_000, ms / 1000 * 1000]
                .map(|ms| Event::Advance { ms })
                .into_iter()
                .filter(|event| matches!(event, Event::Advance { ms: less } if *less < ms))
                .collect(),
            Event::Jump { ms } => vec![Event::Jump { ms: ms / 1000 * 1000 }],
            Event::Change { queue, ref policy } => policy
                .simpler()
                .into_iter()
                .map(|policy| Event::Change { queue, policy })
                .collect(),
            _ => Vec::new(),
        };
        simpler.retain(|event| event != self);
        // One plain refusal stands for another, but not in turns.
        if let Event::Answer {
            answered: Answered::Accepted,
            ..
        } = self
        {
            simpler.retain(|event| {
                matches!(
                    event,
                    Event::Answer {
                        answered: Answered::Accepted,
                        ..
                    }
                )
            });
        }
        simpler
    }
}

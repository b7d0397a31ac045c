//! What may happen to schedules.

use crate::domain::cron::MissedPolicy;
use crate::history::Simpler;

/// Entries there are.
pub const ENTRIES: usize = 3;

/// How things begin.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    pub entries: [Entry; ENTRIES],
}

/// An entry of `hooks.cron`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    pub runs: Runs,
    pub missed: MissedPolicy,
    pub missed_limit: u8,
    /// Whether its clocks go forward in March; only for those that run at equal distances all the same.
    pub has_summer: bool,
}

/// When it runs, in Unix time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Runs {
    EverySeconds(u8),
    /// One that divides 60.
    EveryMinutes(u8),
    Hourly {
        minute: u8,
    },
    /// At that hour of UTC.
    Daily {
        hour: u8,
    },
}

/// Something happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The leader does what has come.
    Look,
    /// It dies before it can commit that.
    LookAndDie,
    Die,
    Advance {
        ms: i32,
    },
    /// Somebody sets the clock.
    Jump {
        s: i32,
    },
    /// Somebody has an entry run at another time.
    Plan {
        entry: u8,
        in_s: i32,
    },
    Replace {
        entry: u8,
        with: Entry,
    },
    Pause {
        entry: u8,
    },
    Resume {
        entry: u8,
    },
    /// The leader hears of what users did.
    Tell,
}

impl Runs {
    /// As users write it.
    pub fn expression(self) -> String {
        match self {
            Runs::EverySeconds(seconds) => format!("every {seconds} seconds"),
            Runs::EveryMinutes(minutes) => format!("*/{minutes} * * * *"),
            Runs::Hourly { minute } => format!("{minute} * * * *"),
            Runs::Daily { hour } => format!("0 {hour} * * *"),
        }
    }

    /// Seconds from one run to the next, and of the first one.
    pub fn period_and_phase(self) -> (i64, i64) {
        match self {
            Runs::EverySeconds(seconds) => (i64::from(seconds), 0),
            Runs::EveryMinutes(minutes) => (i64::from(minutes) * 60, 0),
            Runs::Hourly { minute } => (3600, i64::from(minute) * 60),
            Runs::Daily { hour } => (86_400, i64::from(hour) * 3600),
        }
    }
}

impl Entry {
    pub fn made_up(random: &mut fastrand::Rng) -> Entry {
        let runs = match random.u8(..4) {
            0 => Runs::EverySeconds(random.u8(2..60)),
            1 => Runs::EveryMinutes([2, 5, 15, 30][random.usize(..4)]),
            2 => Runs::Hourly {
                minute: random.u8(..60),
            },
            _ => Runs::Daily {
                hour: random.u8(..24),
            },
        };
        let policies = [MissedPolicy::Skip, MissedPolicy::Once, MissedPolicy::All];
        Entry {
            runs,
            missed: policies[random.usize(..3)],
            missed_limit: random.u8(1..20),
            has_summer: matches!(runs, Runs::EverySeconds(_) | Runs::EveryMinutes(_)) && random.bool(),
        }
    }
}

impl Simpler for Setup {
    fn simpler(&self) -> Vec<Setup> {
        let plain = Entry {
            runs: Runs::Hourly { minute: 0 },
            missed: MissedPolicy::Once,
            missed_limit: 1,
            has_summer: false,
        };
        let changed = (0..ENTRIES).map(|at| {
            let mut setup = self.clone();
            setup.entries[at] = plain;
            setup
        });
        changed.filter(|setup| setup != self).collect()
    }
}

impl Simpler for Event {
    fn simpler(&self) -> Vec<Event> {
        let simpler = match *self {
            Event::LookAndDie => vec![Event::Look],
            Event::Advance { ms } => vec![
                Event::Advance { ms: ms / 2 },
                Event::Advance { ms: ms / 1000 * 1000 },
            ],
            Event::Jump { s } => vec![Event::Jump { s: s / 2 }],
            Event::Plan { entry, in_s } => vec![Event::Plan {
                entry,
                in_s: in_s / 2,
            }],
            _ => Vec::new(),
        };
        simpler.into_iter().filter(|event| event != self).collect()
    }
}

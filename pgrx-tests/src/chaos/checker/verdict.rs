//! What the checker found.

use std::collections::BTreeMap;
use std::fmt;

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offence {
    /// Committed, and not delivered or dead.
    Lost,
    /// Sent, though it was never committed, or was taken back.
    Phantom,
    /// Other bytes, another id or another path than those of its message.
    Altered,
    /// Sent again after an accepted answer, and no end of a leader just then explains it.
    Repeated,
    /// More were sent again after the end of a leader than had been on the wire.
    TooManyAgain,
    /// Sent while an earlier message of its key was not done with.
    OutOfOrder,
    TickTwice,
    TickMissing,
    /// Still waiting when all was quiet.
    Stuck,
    /// Both of two ends, or two copies of a dead letter.
    EndedTwice,
    /// An end that nobody asked for.
    EndedWrongly,
    /// Sent before it was due.
    Early,
    /// Sent on after its cancel.
    NotCancelled,
    /// A message of which the time was over was sent all the same.
    TooLate,
    /// A statement of a writer failed while nothing was wrong.
    Refused,
    /// Writers stored less than was planned.
    TooLittle,
    /// One of the ways to store messages never worked, or none of them had one of the ends.
    NeverDone,
    /// The first send came too long after a recovery.
    SlowRecovery,
    /// A message that kills the worker was sent again and again.
    KillsOnAndOn,
}

/// One of them, for people.
#[derive(Clone, Debug)]
pub struct Finding {
    pub offence: Offence,
    pub what: String,
}

/// What can be counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub transactions: usize,
    /// Messages that are stored for good, with those of the nemesis.
    pub committed: usize,
    /// Messages that writers stored for good.
    pub stored: usize,
    /// Statements that the server refused while a fault lasted.
    pub refused: usize,
    /// Messages that were taken back.
    pub rolled_back: usize,
    /// Messages of transactions whose clients never heard how they ended.
    pub unknown: usize,
    /// Messages that a crash took, as `synchronous_commit = off` permits.
    pub forgotten: usize,
    pub arrivals: usize,
    pub delivered: usize,
    pub dead: usize,
    pub cancelled: usize,
    pub expired: usize,
    /// Sent again after an accepted answer, all of them because a leader ended.
    pub sent_again: usize,
    /// The most of these after one fault.
    pub most_sent_again: usize,
    /// How many had been on the wire then.
    pub on_the_wire_then: usize,
    /// Sent again because the worker stood still and read the answer too late.
    pub unheard: usize,
    /// Requests of failed attempts that came when a way was there again.
    pub late: usize,
    pub ticks: usize,
    pub keys: usize,
    /// Innocent messages that were on the wire at three crashes.
    pub suspects_buried: usize,
    /// The most deaths of the worker that one message had a part in that kills it.
    pub most_deaths: usize,
    pub slowest_first_send_ms: f64,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub findings: Vec<Finding>,
    pub figures: Figures,
}

impl Verdict {
    pub fn add(&mut self, offence: Offence, what: impl fmt::Display) {
        self.findings.push(Finding {
            offence,
            what: what.to_string(),
        });
    }

    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    pub fn has(&self, offence: Offence) -> bool {
        self.findings.iter().any(|finding| finding.offence == offence)
    }

    /// How often each promise was broken.
    pub fn counts(&self) -> BTreeMap<Offence, usize> {
        let mut counts = BTreeMap::new();
        for finding in &self.findings {
            *counts.entry(finding.offence).or_default() += 1;
        }
        counts
    }
}

impl fmt::Display for Verdict {
    /// The counts, and the first few of each.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        for (offence, count) in self.counts() {
            writeln!(formatter, "{offence:?}: {count}")?;
            let of_it = self.findings.iter().filter(|finding| finding.offence == offence);
            for finding in of_it.take(SHOWN) {
                writeln!(formatter, "  {}", finding.what)?;
            }
        }
        Ok(())
    }
}

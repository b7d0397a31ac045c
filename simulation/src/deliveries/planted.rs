//! The scheduler, with the defect between it and the leader that is planted, if one is.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use crate::defects::Defect::{self, *};
use crate::defects::is_planted;
use crate::domain::breaker::BreakerPolicy;
use crate::domain::outcome::Outcome;
use crate::domain::queue::{Queue, QueueId};
use crate::domain::retry::{Backoff, STANDARD_SCHEDULE};
use crate::domain::scheduler::{Admission, Answer, Candidate, Fetch, MessageId, Scheduler, Verdict};
use crate::domain::time::Timestamp;

/// Opens at the first failure.
const HASTY: BreakerPolicy = BreakerPolicy {
    window: Duration::from_secs(10),
    min_requests: 1,
    threshold: 0.01,
    open_for: Duration::from_secs(10),
    max_failed_probes: 3,
};

/// What is not here is as it should be.
pub struct Planted {
    scheduler: Scheduler,
    /// The first message that was admitted.
    first: Option<MessageId>,
}

impl Deref for Planted {
    type Target = Scheduler;

    fn deref(&self) -> &Scheduler {
        &self.scheduler
    }
}

impl DerefMut for Planted {
    fn deref_mut(&mut self) -> &mut Scheduler {
        &mut self.scheduler
    }
}

impl Planted {
    pub fn new(slots: usize, began_unclean: Option<Timestamp>, now: Timestamp) -> Planted {
        let began_unclean = match began_unclean {
            Some(_) if is_planted(ProbationForgotten) => None,
            None if is_planted(ProbationInvented) => Some(now),
            as_it_was => as_it_was,
        };
        Planted {
            scheduler: Scheduler::new(counted(slots), began_unclean),
            first: None,
        }
    }

    pub fn set_slots(&mut self, slots: usize) {
        self.scheduler.set_slots(counted(slots));
    }

    pub fn set_disable_after(&mut self, after: Option<Duration>) {
        let early = is_planted(DisablesEarly);
        self.scheduler
            .set_disable_after(after.map(|after| if early { after / 10 } else { after }));
    }

    pub fn load_queue(&mut self, queue: Arc<Queue>, now: Timestamp) {
        let seen = if is_planted(OldAnswersCount) {
            Timestamp::MIN
        } else {
            now
        };
        self.scheduler.load_queue(misread(queue), seen);
    }

    pub fn note_due(&mut self, id: QueueId, at: Timestamp) {
        if !is_planted(NotesLost) {
            self.scheduler.note_due(id, at);
        }
    }

    pub fn plan(&mut self, now: Timestamp) -> Vec<Fetch> {
        if is_planted(ReadsNothing) {
            return Vec::new();
        }
        let mut fetches = self.scheduler.plan(told(now));
        if is_planted(ReadTwice) {
            fetches.extend(fetches.first().cloned());
        }
        if is_planted(QueuePassedOver) {
            fetches.retain(|fetch| fetch.queue_id % 4 != 1);
        }
        fetches
    }

    /// Up to when rows are read.
    pub fn reads_until(&self, now: Timestamp) -> Timestamp {
        if is_planted(ReadsAhead) {
            now.after(Duration::from_secs(10))
        } else {
            now
        }
    }

    pub fn admit(&mut self, fetch: &Fetch, answer: Answer<'_>, now: Timestamp) -> Vec<Admission> {
        if is_planted(ReadsForNothing) {
            self.scheduler.unread(fetch);
            return Vec::new();
        }
        let misread = |rows: &[Candidate]| -> Vec<Candidate> {
            rows.iter().map(|row| misread_row(*row, now)).collect()
        };
        let (rows, heads) = (misread(answer.rows), misread(answer.heads));
        let answer = Answer {
            rows: &rows,
            heads: &heads,
            ..answer
        };
        let mut admitted = self.scheduler.admit(fetch, answer, told(now));
        if is_planted(SentTwice) {
            admitted.extend(admitted.first().copied());
        }
        if is_planted(SentAgain) {
            admitted.extend(self.first.map(Admission::Send));
            self.first = self.first.or(admitted.first().map(|admission| admission.id()));
        }
        admitted
    }

    pub fn verdict(&self, id: MessageId, outcome: &Outcome, now: Timestamp, jitter: f64) -> Verdict {
        let refused = Outcome::Refused {
            status: 500,
            retry_after: None,
        };
        let outcome = if is_planted(AcceptedTakenForRefused) {
            &refused
        } else {
            outcome
        };
        self.scheduler.verdict(id, outcome, now, jitter)
    }

    pub fn release(&mut self, id: MessageId, due_at: Option<Timestamp>) {
        if !is_planted(FlightsNeverEnd) {
            self.scheduler.release(id, due_at);
        }
    }

    pub fn park(&mut self, id: MessageId) {
        if is_planted(ParkedAreReleased) {
            self.scheduler.release(id, Some(Timestamp::MIN));
        } else {
            self.scheduler.park(id);
        }
    }

    pub fn next_wake(&self) -> Option<Timestamp> {
        let wake = self.scheduler.next_wake();
        match wake {
            Some(at) if is_planted(WakesLate) => Some(at.after(Duration::from_secs(1))),
            _ if is_planted(SleepsForGood) => None,
            None if is_planted(NeverSleeps) => Some(Timestamp::MIN),
            _ => wake,
        }
    }
}

fn counted(slots: usize) -> usize {
    if is_planted(TwiceTheSlots) {
        2 * slots
    } else {
        slots
    }
}

fn told(now: Timestamp) -> Timestamp {
    if is_planted(ClockIsFast) {
        now.after(Duration::from_secs(5))
    } else {
        now
    }
}

fn misread(queue: Arc<Queue>) -> Arc<Queue> {
    let changed = |change: &dyn Fn(&mut Queue)| {
        let mut queue = Queue::clone(&queue);
        change(&mut queue);
        Arc::new(queue)
    };
    let planted = |defect: Defect| is_planted(defect);
    match () {
        () if planted(PausesUnheard) => changed(&|queue| queue.active = true),
        () if planted(LimitTooHigh) => changed(&|queue| queue.max_in_flight += 5),
        () if planted(RateForgotten) => changed(&|queue| queue.rate_limit = None),
        () if planted(BreakerForgotten) => changed(&|queue| queue.breaker = None),
        () if planted(BreakerInvented) => changed(&|queue| queue.breaker = queue.breaker.or(Some(HASTY))),
        () if planted(BreakerHasty) => changed(&|queue| {
            if let Some(breaker) = &mut queue.breaker {
                (breaker.min_requests, breaker.threshold) = (1, 0.01);
            }
        }),
        () if planted(BreakerOpensLonger) => changed(&|queue| {
            if let Some(breaker) = &mut queue.breaker {
                breaker.open_for *= 2;
            }
        }),
        () if planted(LettersPassedOver) => changed(&|queue| queue.dead_letters_block = false),
        () if planted(OneAttemptMore) => changed(&|queue| queue.retry.max_attempts += 1),
        () if planted(OneAttemptLess) => changed(&|queue| {
            queue.retry.max_attempts = (queue.retry.max_attempts - 1).max(1);
        }),
        () if planted(BacksOffLonger) => changed(&|queue| queue.retry.backoff = longer(&queue.retry.backoff)),
        () if planted(BuriesTheWrongOnes) => changed(&|queue| queue.bury_expired = !queue.bury_expired),
        () => queue,
    }
}

fn longer(backoff: &Backoff) -> Backoff {
    let twice = |delays: &[Duration]| Backoff::Schedule(delays.iter().map(|delay| *delay * 2).collect());
    match backoff {
        Backoff::Schedule(delays) if delays.is_empty() => twice(&STANDARD_SCHEDULE),
        Backoff::Schedule(delays) => twice(delays),
        Backoff::Exponential { min, max } => Backoff::Exponential {
            min: *min * 2,
            max: *max * 2,
        },
    }
}

fn misread_row(mut row: Candidate, now: Timestamp) -> Candidate {
    match () {
        () if is_planted(ReadsAhead) => row.due_at = row.due_at.min(now),
        () if is_planted(KeysForgotten) => row.ordering_key = None,
        () if is_planted(EndForgotten) => row.expires_at = None,
        () if is_planted(BytesForgotten) => row.size = 0,
        () if is_planted(DeathsForgotten) => row.deaths = 0,
        () if is_planted(DeathsCutShort) => row.deaths = row.deaths.min(1),
        () if is_planted(DeathsInvented) => row.deaths = 5,
        () => {}
    }
    row
}

//! Defects that are planted, so that each rule can be seen to notice one.
//!
//! They stand between the scheduler and the tables: what the scheduler is told is wrong, or what is made of what it
//! says. To the rules that is the same as a scheduler that decides wrongly.

mod table;

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::broken::attempt;
use crate::history::Simulation;
pub use table::{DELIVERIES, SCHEDULES};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    // What the scheduler is told of a queue.
    PausesUnheard,
    LimitTooHigh,
    RateForgotten,
    BreakerForgotten,
    BreakerInvented,
    BreakerHasty,
    BreakerOpensLonger,
    LettersPassedOver,
    OneAttemptMore,
    OneAttemptLess,
    BacksOffLonger,
    BuriesTheWrongOnes,
    DisablesEarly,
    // What it is told of slots, of times and of how the leader before ended.
    TwiceTheSlots,
    ClockIsFast,
    ProbationForgotten,
    ProbationInvented,
    // What it is told of rows.
    ReadsAhead,
    KeysForgotten,
    EndForgotten,
    BytesForgotten,
    DeathsForgotten,
    DeathsCutShort,
    DeathsInvented,
    // What it is told of attempts, and what it makes of that.
    AcceptedTakenForRefused,
    OldAnswersCount,
    NotesLost,
    FlightsNeverEnd,
    ParkedAreReleased,
    // What it says.
    SentTwice,
    SentAgain,
    ReadTwice,
    ReadsNothing,
    ReadsForNothing,
    QueuePassedOver,
    WakesLate,
    SleepsForGood,
    NeverSleeps,
    // What the leader makes of it.
    ResultsLost,
    ResultsUnfenced,
    LettersLost,
    // Of schedules.
    PlanNotMoved,
    OneRunMore,
    RunsAhead,
    NextRunMissed,
}

/// A defect, and the rules that notice it in one history or another.
pub struct Case {
    pub defect: Defect,
    pub noticed_by: &'static [&'static str],
    /// Rules that notice it before these, every time; they are not looked at.
    pub unheard: &'static [&'static str],
}

thread_local! {
    static PLANTED: Cell<Option<&'static Case>> = const { Cell::new(None) };
}

/// Whether this defect is planted.
pub fn is_planted(defect: Defect) -> bool {
    PLANTED.get().is_some_and(|case| case.defect == defect)
}

/// Whether this rule is not looked at.
pub fn is_unheard(rule: &str) -> bool {
    PLANTED.get().is_some_and(|case| case.unheard.contains(&rule))
}

/// The first seed below `seeds` whose history has the rule notice the defect, for each of its rules.
pub fn notice<S: Simulation>(case: &'static Case, seeds: u64) -> BTreeMap<&'static str, Option<u64>> {
    let mut noticed: BTreeMap<_, _> = case.noticed_by.iter().map(|rule| (*rule, None)).collect();
    PLANTED.set(Some(case));
    for seed in 0..seeds {
        let history = S::make_up(seed);
        if let Err(broken) = attempt::<S>(&history.setup, &history.events)
            && let Some(first) = noticed.get_mut(broken.rule.as_str())
        {
            first.get_or_insert(seed);
        }
        if noticed.values().all(Option::is_some) {
            break;
        }
    }
    PLANTED.set(None);
    noticed
}

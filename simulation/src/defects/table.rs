//! Which rules notice which defect.

use super::Case;
use super::Defect::{self, *};

const fn case(defect: Defect, noticed_by: &'static [&'static str]) -> Case {
    behind(&[], defect, noticed_by)
}

const fn behind(
    unheard: &'static [&'static str],
    defect: Defect,
    noticed_by: &'static [&'static str],
) -> Case {
    Case {
        defect,
        noticed_by,
        unheard,
    }
}

const READ_PAUSED: &str = "nothing is read for a queue that is paused";
const GETS_A_SLOT: &str = "a queue with nothing in flight gets a free slot soon";
const WAKES_IN_TIME: &str = "the next wake is never later than what is due first";
const TRIPS: &str = "a closed breaker trips, for as long as its policy says";
const MISSED_RUNS: &str = "missed runs are made up for as the policy says";

pub const DELIVERIES: &[Case] = &[
    case(PausesUnheard, &[READ_PAUSED]),
    behind(
        &[READ_PAUSED],
        PausesUnheard,
        &["a queue that is paused sends nothing"],
    ),
    case(LimitTooHigh, &["a queue has no more in flight than its limit"]),
    case(
        RateForgotten,
        &["no more start within a time than the rate allows"],
    ),
    case(BreakerForgotten, &["a breaker opens when enough attempts failed"]),
    case(BreakerInvented, &["a breaker moves when the receiver was asked"]),
    case(
        BreakerHasty,
        &["no breaker opens for fewer failures than its policy says"],
    ),
    case(BreakerOpensLonger, &[TRIPS]),
    behind(
        &[TRIPS],
        BreakerOpensLonger,
        &["an open breaker moves by its probe"],
    ),
    case(
        LettersPassedOver,
        &["a dead letter holds back what comes after it in its key"],
    ),
    case(
        OneAttemptMore,
        &["no message has more attempts than its queue allows"],
    ),
    case(
        OneAttemptLess,
        &["a message is given up after its last attempt only"],
    ),
    case(
        BacksOffLonger,
        &["a retry comes as the policy says, or as the receiver asks if that is later"],
    ),
    case(
        BuriesTheWrongOnes,
        &["a message expires when its next attempt would come too late"],
    ),
    case(
        DisablesEarly,
        &["a queue is given up when it only failed for as long as is set"],
    ),
    case(
        TwiceTheSlots,
        &[
            "no more is in flight than there are slots",
            "a queue has no more than half of the slots",
            "an eighth of the slots is for queues with nothing in flight",
            "a queue has no more slots than it has earned",
        ],
    ),
    case(
        ClockIsFast,
        &[
            "a queue waits as long as its receiver asked",
            "an open breaker lets one message through, in time",
        ],
    ),
    case(
        ProbationForgotten,
        &["after an unclean end, what was due then is claimed before it is sent"],
    ),
    case(ProbationInvented, &["nothing is claimed without a reason"]),
    case(ReadsAhead, &["nothing is sent before it is due"]),
    case(
        KeysForgotten,
        &[
            "messages of a key are sent in the order of their ids",
            "of a key one message is in flight",
        ],
    ),
    case(
        EndForgotten,
        &[
            "no attempt starts after the end, and nothing expires before",
            "no retry comes after the end",
        ],
    ),
    case(
        BytesForgotten,
        &["the bytes in flight are bounded, but for one message"],
    ),
    case(DeathsForgotten, &["suspects are sent one at a time"]),
    case(
        DeathsCutShort,
        &["what the worker died of so often is sent no more"],
    ),
    case(
        DeathsInvented,
        &["only what the worker died of so often is buried for it"],
    ),
    case(
        AcceptedTakenForRefused,
        &["delivered is what was accepted, and nothing else"],
    ),
    case(
        OldAnswersCount,
        &["what began before a queue was resumed says nothing of it"],
    ),
    case(NotesLost, &[WAKES_IN_TIME]),
    case(FlightsNeverEnd, &["the scheduler knows what is in flight"]),
    case(ParkedAreReleased, &["what is parked waits for the next leader"]),
    case(SentTwice, &["a message is in flight once"]),
    case(
        SentAgain,
        &[
            "nothing is sent after its end",
            "only rows that were read are sent",
            "a queue sends its own messages",
        ],
    ),
    case(ReadTwice, &["a queue is read once in a turn"]),
    behind(&[GETS_A_SLOT], ReadsNothing, &["every message ends"]),
    behind(
        &[GETS_A_SLOT],
        ReadsForNothing,
        &["no turn after turn reads and sends nothing"],
    ),
    case(QueuePassedOver, &[GETS_A_SLOT]),
    case(WakesLate, &[WAKES_IN_TIME]),
    behind(
        &[WAKES_IN_TIME],
        SleepsForGood,
        &["while rows are left, there is a next wake"],
    ),
    case(NeverSleeps, &["a leader with nothing to send sleeps"]),
    case(ResultsLost, &["nothing is sent again after it was accepted"]),
    case(ResultsUnfenced, &["a message ends once"]),
    case(LettersLost, &["each message waits, is a dead letter, or ended"]),
];

pub const SCHEDULES: &[Case] = &[
    case(PlanNotMoved, &["no tick runs twice"]),
    case(OneRunMore, &[MISSED_RUNS]),
    behind(
        &[MISSED_RUNS],
        RunsAhead,
        &["a tick lies between what was planned and now"],
    ),
    case(NextRunMissed, &["an entry waits for its first run after now"]),
];

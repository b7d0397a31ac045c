//! Answers of receivers, as bytes.

use pg_hooks::deliver::spoken;
use pg_hooks::domain::outcome::Outcome;
use pg_hooks::domain::retry_after::MAX_RETRY_AFTER;

/// Most bytes that are kept of a body here.
const KEPT: usize = 300;

/// The first byte says how many come at a time, the rest is what comes.
pub fn run(data: &[u8]) {
    let Some((at_a_time, answer)) = data.split_first() else {
        return;
    };
    let (outcome, response) = spoken::exchange(answer, usize::from(*at_a_time).max(1), KEPT);
    assert!(response.body.len() <= KEPT);
    match outcome {
        Outcome::Accepted { status } => assert!((200..300).contains(&status)),
        Outcome::Refused { status, retry_after } => {
            assert!((100..1000).contains(&status) && !(200..300).contains(&status));
            assert!(retry_after.is_none_or(|wait| wait <= MAX_RETRY_AFTER));
        }
        Outcome::ConnectionLost { detail } => assert!(!detail.is_empty() && response.body.is_empty()),
        other => panic!("{other:?}"),
    }
}

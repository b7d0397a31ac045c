//! Messages that are worth sending for a while only.

use super::{SECOND, Story};
use crate::chaos::checker::Offence;
use crate::chaos::identity::Identity;
use crate::chaos::journal::Intent;
use crate::chaos::reception::Reply;
use crate::chaos::workload::Queue;

/// One that is worth sending for 3 s, and when it was stored.
fn perishable(story: &mut Story) -> (Identity, i64) {
    let identity = story.committed(Queue::Plain, None);
    intent(story, identity).ttl_ms = Some(3_000);
    (identity, story.now_us)
}

fn intent(story: &mut Story, identity: Identity) -> &mut Intent {
    &mut story.evidence.notes.entries[identity.transaction as usize - 1].intents[0]
}

/// It expired at that time, by the server's clock.
fn expired(story: &mut Story, identity: Identity, attempts: u32, at_us: i64) {
    story.evidence.tables.ends.clear();
    story.end(identity, "expired", attempts);
    let ends = story.evidence.tables.ends.values_mut();
    ends.for_each(|ends| ends[0].finished_us = Some(at_us));
}

#[test]
fn message_expires_when_its_time_is_over() {
    let mut story = Story::new();
    let (identity, stored_us) = perishable(&mut story);
    expired(&mut story, identity, 0, stored_us + 3 * SECOND);
    story.assert(&[]);
    expired(&mut story, identity, 0, stored_us + 2 * SECOND);
    story.assert(&[Offence::EndedWrongly]);
    // It is due later, and so expires later.
    expired(&mut story, identity, 0, stored_us + 3 * SECOND);
    intent(&mut story, identity).delay_ms = 1_000;
    story.assert(&[Offence::EndedWrongly]);
}

#[test]
fn message_that_has_no_end_of_its_time_does_not_expire() {
    let mut story = Story::new();
    let (identity, stored_us) = perishable(&mut story);
    expired(&mut story, identity, 0, stored_us + 3_600 * SECOND);
    story.assert(&[]);
    intent(&mut story, identity).ttl_ms = None;
    story.assert(&[Offence::EndedWrongly]);
}

#[test]
fn message_that_would_be_retried_too_late_expires_at_once() {
    let mut story = Story::new();
    let (identity, stored_us) = perishable(&mut story);
    story.arrival(identity, 1, Reply::Refused);
    expired(&mut story, identity, 1, stored_us + 2 * SECOND);
    story.assert(&[]);
    expired(&mut story, identity, 1, stored_us + SECOND);
    story.assert(&[Offence::EndedWrongly]);
}

#[test]
fn time_is_over_by_the_clock_of_the_server() {
    let mut story = Story::new();
    let (identity, stored_us) = perishable(&mut story);
    // It was ahead by a minute when the message was stored.
    story.evidence.clock.0 = vec![(0, 60 * SECOND)];
    expired(&mut story, identity, 0, stored_us + 3 * SECOND);
    story.assert(&[Offence::EndedWrongly]);
    expired(&mut story, identity, 0, stored_us + 63 * SECOND);
    story.assert(&[]);
}

#[test]
fn message_that_was_accepted_does_not_expire() {
    let mut story = Story::new();
    let (identity, stored_us) = perishable(&mut story);
    story.arrival(identity, 1, Reply::Accepted);
    expired(&mut story, identity, 1, stored_us + 3 * SECOND);
    story.assert(&[Offence::EndedWrongly]);
    // Nobody knows of the answer any more.
    story.crash();
    story.assert(&[]);
}

#[test]
fn message_is_not_sent_when_its_time_is_over() {
    let mut story = Story::new();
    let (identity, _) = perishable(&mut story);
    story.end(identity, "delivered", 1);
    story.arrival(identity, 1, Reply::Accepted);
    story.assert(&[]);
    story.answered(0, story.now_us + 60 * SECOND);
    story.assert(&[Offence::TooLate]);
    // The clock was put back meanwhile.
    let put_back_us = story.now_us;
    story.evidence.clock.0 = vec![(0, 0), (put_back_us, -55 * SECOND)];
    story.assert(&[]);
}

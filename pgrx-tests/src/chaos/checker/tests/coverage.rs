//! Runs that show nothing, and statements that are refused.

use super::{SECOND, Story};
use crate::chaos::checker::Offence;
use crate::chaos::journal::{Outcome, Refusal};
use crate::chaos::workload::{Form, Kind, Queue};

#[test]
fn run_of_which_little_was_stored_shows_nothing() {
    let mut story = Story::new();
    (0..9).for_each(|_| _ = story.delivered(None));
    story.evidence.planned = 10;
    story.assert(&[]);
    story.evidence.planned = 11;
    story.assert(&[Offence::TooLittle]);
    // What failed, and what was taken back, is not stored.
    story.transaction(Kind::Commit, Queue::Plain, None, Outcome::Failed);
    story.transaction(Kind::Rollback, Queue::Plain, None, Outcome::RolledBack);
    story.assert(&[Offence::TooLittle]);
    story.delivered(None);
    story.assert(&[]);
}

#[test]
fn way_to_store_that_never_works_is_missed() {
    let mut story = Story::new();
    story.evidence.planned = 1;
    story.delivered(None);
    for _ in 0..20 {
        story.assert(&[]);
        story.transaction(Kind::Commit, Queue::Keyed, Some("a"), Outcome::Failed);
        let intent = &mut story.evidence.notes.entries.last_mut().unwrap().intents[0];
        intent.form = Form::Bytes;
    }
    story.assert(&[Offence::NeverDone]);
    story.delivered(Some("a"));
    story.assert(&[Offence::NeverDone]);
    story.evidence.notes.entries.last_mut().unwrap().intents[0].form = Form::Bytes;
    story.assert(&[]);
}

#[test]
fn rollback_that_never_comes_so_far_is_missed() {
    let mut story = Story::new();
    for _ in 0..20 {
        story.assert(&[]);
        story.transaction(Kind::Rollback, Queue::Plain, None, Outcome::Failed);
    }
    story.assert(&[Offence::NeverDone]);
    story.transaction(Kind::Rollback, Queue::Plain, None, Outcome::RolledBack);
    story.assert(&[]);
}

#[test]
fn large_plan_has_every_way_and_every_end_there_is() {
    let mut story = Story::new();
    story.evidence.planned = 4_000;
    let verdict = crate::chaos::checker::check(&story.evidence);
    let (kinds, queues_and_forms, ends) = (Kind::ALL.len(), 3 * 3, 4);
    let missing = kinds + queues_and_forms + ends;
    assert_eq!(
        verdict.counts().get(&Offence::NeverDone),
        Some(&missing),
        "{verdict}"
    );
}

#[test]
fn statement_is_refused_only_while_there_is_a_fault() {
    let mut story = Story::new();
    story.crash();
    let fault = &mut story.evidence.disturbances[0];
    fault.ended_us = fault.begun_us + SECOND;
    let (begun_us, ended_us) = (fault.begun_us, fault.ended_us);
    let refusal = |begun_us, ended_us| Refusal {
        begun_us,
        ended_us,
        sqlstate: "40P01".to_owned(),
        message: "deadlock detected".to_owned(),
    };
    // It began before, or ended after.
    story.evidence.notes.refusals = vec![refusal(begun_us - 9, begun_us), refusal(ended_us, ended_us + 9)];
    story.assert(&[]);
    story
        .evidence
        .notes
        .refusals
        .push(refusal(ended_us + 1, ended_us + 9));
    story.assert(&[Offence::Refused]);
}

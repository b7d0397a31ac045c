//! How it comes to an end: receivers answer, and nothing is left.

use super::vocabulary::Answered;
use super::world::World;
use crate::rule;

impl World {
    /// Receivers answer and queues run: every message ends, and then there is nothing to wake for. Returns how
    /// many turns that took.
    pub fn finish(&mut self) -> u64 {
        for id in self.ids {
            self.switch(id, true);
            self.change(self.policies[&id].of_queue(id, true));
        }
        while !self.store.uncommitted.is_empty() {
            self.commit_late(0);
        }
        if !self.parked.is_empty() {
            self.take_over();
        }
        self.rescan();
        let most = 400 + 60 * self.store.rows.len() as u64;
        let mut turns = 0;
        while !self.store.rows.is_empty() || !self.flights.is_empty() {
            turns += 1;
            rule!(
                turns < most,
                "every message ends",
                "{} are left",
                self.store.rows.len()
            );
            while !self.store.letters.is_empty() {
                self.purge(0);
            }
            self.turn(false);
            self.check();
            if self.flights.is_empty() && !self.store.rows.is_empty() {
                let wake = self.scheduler.next_wake();
                rule!(wake.is_some(), "while rows are left, there is a next wake");
                self.now = self.now.max(wake.unwrap_or(self.now));
            }
            while self
                .flights
                .values()
                .any(|flight| flight.is_sent && flight.verdict.is_none())
            {
                self.answer(0, Answered::Accepted, 0.0);
            }
            self.record(None);
            self.check();
        }
        self.rest();
        turns
    }

    /// Nothing is left: the leader finds that out and sleeps for good.
    pub fn rest(&mut self) {
        for _ in 0..100 {
            match self.scheduler.next_wake() {
                None => return,
                Some(at) => self.now = self.now.max(at),
            }
            self.turn(false);
        }
        rule!(false, "a leader with nothing to send sleeps");
    }
}

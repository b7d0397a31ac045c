//! Random histories by seed: sends, late commits, results, pauses, changed limits, failed reads, lost
//! notes with a rescan, and leaders that die.

use super::model::World;
use super::*;

const SLOTS: usize = 6;

struct Simulation {
    random: fastrand::Rng,
    world: World,
    scheduler: Scheduler,
    /// A commit that nothing told of, such as COMMIT PREPARED.
    untold: bool,
    many_keys: bool,
    /// Messages that have an id and are not committed yet.
    late: Vec<(QueueId, Candidate)>,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let mut random = fastrand::Rng::with_seed(seed);
        let queues = (1..=4)
            .map(|id| {
                let made = queue(id, random.u32(1..=SLOTS as u32), random.u32(1..=4));
                let dead_letters_block = random.bool();
                Arc::new(Queue {
                    dead_letters_block,
                    ..Queue::clone(&made)
                })
            })
            .collect::<Vec<_>>();
        let many_keys = random.u32(0..4) == 0;
        let scheduler = loaded(SLOTS, &queues);
        Simulation {
            random,
            world: World::new(queues),
            scheduler,
            untold: false,
            many_keys,
            late: Vec::new(),
        }
    }

    fn step(&mut self) {
        match self.random.u32(0..100) {
            0..26 => self.send(),
            26 => self.send_late(),
            27 => self.commit_late(),
            28 => self.cancel(),
            29 => self.purge(),
            30..65 => self.deliver(false),
            65..85 => self.finish_one(),
            85..92 => self.advance(),
            92..94 => self.change_queue(),
            94..96 => self.deliver(true),
            96..98 => self.rescan(),
            98 => self.restart(),
            _ => self.send_untold(),
        }
        self.check_wake();
    }

    fn due_time(&mut self) -> Timestamp {
        Timestamp(self.world.now.0 + self.random.i64(-SECOND..=5 * SECOND))
    }

    /// A row as a transaction stores it; every third has a key, every fifth an end.
    fn new_row(&mut self, id: MessageId) -> Candidate {
        let due_at = self.due_time();
        // More than may wait for their first row, now and then.
        let key = self.random.i64(1..=if self.many_keys { 40 } else { 3 });
        Candidate {
            ordering_key: (self.random.u32(0..3) == 0).then_some(key),
            expires_at: (self.random.u32(0..5) == 0).then(|| Timestamp(due_at.0 + 3 * SECOND)),
            ..row(id, due_at.0)
        }
    }

    fn send(&mut self) {
        let queue_id = self.random.i64(1..=4);
        let row = self.new_row(self.world.next_id);
        self.world.commit(queue_id, row);
        self.scheduler.note_due(queue_id, row.due_at);
    }

    /// A message takes its id, and commits after others that took theirs later.
    fn send_late(&mut self) {
        let queue_id = self.random.i64(1..=4);
        let row = self.new_row(self.world.next_id);
        self.world.next_id += 1;
        self.late.push((queue_id, row));
    }

    fn commit_late(&mut self) {
        if let Some((queue_id, row)) = self.late.pop() {
            self.world.committed_late.insert(row.id);
            self.world.commit(queue_id, row);
            self.scheduler.note_due(queue_id, row.due_at);
        }
    }

    fn send_untold(&mut self) {
        let queue_id = self.random.i64(1..=4);
        let row = self.new_row(self.world.next_id);
        self.world.commit(queue_id, row);
        self.untold = true;
    }

    /// Somebody cancels a message. A note tells only of one with a key.
    fn cancel(&mut self) {
        let ids: Vec<MessageId> = self.world.rows.keys().copied().collect();
        let Some(id) = self.random.choice(ids) else { return };
        if self.world.on_the_wire.contains(&id) {
            return;
        }
        let Some(gone) = self.world.rows.remove(&id) else {
            return;
        };
        self.world.finished.insert(id);
        if gone.candidate.ordering_key.is_some() {
            self.scheduler.note_due(gone.queue_id, Timestamp::MIN);
        }
    }

    /// Dead letters are purged, and what they held back may go.
    fn purge(&mut self) {
        for (queue_id, _) in std::mem::take(&mut self.world.dead).into_keys() {
            self.scheduler.note_due(queue_id, Timestamp::MIN);
        }
    }

    fn deliver(&mut self, fails: bool) {
        for fetch in self.scheduler.plan(self.world.now) {
            if fails {
                self.scheduler.unread(&fetch);
                continue;
            }
            let (rows, next_due) = self.world.read(&fetch);
            let heads = self.world.read_heads(&fetch);
            let answer = Answer {
                rows: &rows,
                next_due,
                heads: &heads,
            };
            for admission in self.scheduler.admit(&fetch, answer, self.world.now) {
                self.world.send(&fetch, admission);
            }
        }
        assert!(self.world.on_the_wire.len() <= SLOTS, "more in flight than slots");
        assert_eq!(self.world.on_the_wire.len(), self.scheduler.in_flight());
    }

    fn finish_one(&mut self) {
        let Some(id) = self
            .random
            .choice(self.world.on_the_wire.iter().copied().collect::<Vec<_>>())
        else {
            return;
        };
        if let Some(end) = self.world.ends.remove(&id) {
            self.world.record(id, end);
            self.scheduler.release(id, None);
            return;
        }
        let outcome = if self.random.u32(0..3) == 0 {
            Outcome::Refused {
                status: 500,
                retry_after: None,
            }
        } else {
            Outcome::Accepted { status: 200 }
        };
        let started = self.world.now;
        self.scheduler.observe(id, &outcome, started, self.world.now);
        let jitter = self.random.f64() * 2.0 - 1.0;
        let verdict = self.scheduler.verdict(id, &outcome, self.world.now, jitter);
        let due_at = self.world.record(id, verdict);
        self.scheduler.release(id, due_at);
    }

    fn advance(&mut self) {
        self.world.now = Timestamp(self.world.now.0 + self.random.i64(0..=2 * SECOND));
    }

    fn change_queue(&mut self) {
        let id = self.random.i64(1..=4);
        let in_flight = self
            .world
            .on_the_wire
            .iter()
            .filter(|m| self.world.rows[m].queue_id == id)
            .count();
        let old = &self.world.queues[&id];
        let changed = Arc::new(Queue {
            active: self.random.u32(0..4) > 0,
            dead_letters_block: self.random.bool(),
            max_in_flight: self.random.u32(in_flight.max(1) as u32..=SLOTS as u32),
            ..Queue::clone(old)
        });
        self.world.queues.insert(id, Arc::clone(&changed));
        self.scheduler.load_queue(changed);
    }

    /// As the leader does it: the first due time of each queue, over the whole table.
    fn rescan(&mut self) {
        for id in 1..=4 {
            let of_queue = self.world.rows.values().filter(|row| row.queue_id == id);
            if let Some(due_at) = of_queue.map(|row| row.candidate.due_at).min() {
                self.scheduler.note_due(id, due_at);
            }
        }
        self.untold = false;
    }

    /// The leader dies with everything it had in memory; what was on the wire is sent again.
    fn restart(&mut self) {
        self.world.on_the_wire.clear();
        self.world.ends.clear();
        self.scheduler = Scheduler::new(SLOTS, Some(self.world.now));
        for queue in self.world.queues.values() {
            self.scheduler.load_queue(Arc::clone(queue));
        }
        self.rescan();
    }

    /// The next wake is never later than the first message that could be sent.
    fn check_wake(&self) {
        let lanes = self.scheduler.lanes.values();
        let full = lanes.filter(|lane| lane.is_full_with_work()).count();
        assert_eq!(
            self.scheduler.pressed, full,
            "queues that wait for a slot of their own"
        );
        if self.untold {
            return;
        }
        if let Some(due_at) = self.world.earliest_sendable(SLOTS, &self.scheduler.lanes) {
            let wake = self.scheduler.next_wake();
            assert!(
                wake.is_some_and(|wake| wake <= due_at),
                "wakes at {wake:?}, but {due_at:?} is due"
            );
        }
    }

    /// Every message ends once receivers answer and queues run.
    fn drain(&mut self) {
        for queue in self.world.queues.values_mut() {
            *queue = Arc::new(Queue {
                active: true,
                ..Queue::clone(queue)
            });
            self.scheduler.load_queue(Arc::clone(queue));
        }
        while !self.late.is_empty() {
            self.commit_late();
        }
        self.rescan();
        for _ in 0..100_000 {
            self.purge();
            if self.world.rows.is_empty() {
                return;
            }
            self.deliver(false);
            self.check_wake();
            if self.world.on_the_wire.is_empty() {
                let wake = self
                    .scheduler
                    .next_wake()
                    .expect("rows are left, so there is a next wake");
                self.world.now = self.world.now.max(wake);
            }
            self.finish_one();
        }
        panic!("{} messages did not end", self.world.rows.len());
    }
}

fn run(seed: u64, steps: u32) {
    let mut simulation = Simulation::new(seed);
    for _ in 0..steps {
        simulation.step();
    }
    simulation.drain();
    assert_eq!(
        simulation.world.finished.len() as i64,
        simulation.world.next_id - 1,
        "every message ended"
    );
}

#[test]
fn invariants_hold_in_random_histories() {
    let seeds: u64 = option_env!("PG_HOOKS_SEEDS").map_or(2_000, |seeds| seeds.parse().expect("a number"));
    for seed in 0..seeds {
        let result = std::panic::catch_unwind(|| run(seed, 300));
        assert!(result.is_ok(), "seed {seed} breaks an invariant");
    }
}

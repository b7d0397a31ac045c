//! Whether what the scheduler counts agrees with what it holds. For simulations.

use super::Scheduler;
use super::bytes::BYTE_BUDGET;

impl Scheduler {
    /// Panics if it does not.
    pub fn check(&self) {
        let lanes = || self.lanes.values();
        let flights = || self.in_flight.values();
        let pressed = lanes().filter(|lane| lane.is_full_with_work()).count();
        assert_eq!(self.pressed, pressed, "queues that wait for a slot of their own");
        let keyed = flights().filter(|flight| flight.ordering_key.is_some()).count();
        assert_eq!(self.keyed, keyed, "messages in flight that have a key");
        let within = self
            .in_flight
            .iter()
            .filter(|(id, _)| self.bytes.beyond != Some(**id));
        let bytes: usize = within.map(|(_, flight)| flight.weight).sum();
        assert_eq!(self.bytes.counted, bytes, "bytes in flight");
        assert!(bytes <= BYTE_BUDGET, "{bytes} bytes in flight");
        let beyond = self.bytes.beyond;
        assert!(
            beyond.is_none_or(|id| self.in_flight.contains_key(&id)),
            "a message beyond the budget is in flight"
        );
        for (id, lane) in &self.lanes {
            let of_queue = || flights().filter(|flight| flight.queue_id == *id);
            assert_eq!(
                lane.in_flight as usize,
                of_queue().count(),
                "messages of queue {id} in flight"
            );
            let bytes: usize = of_queue().map(|flight| flight.weight).sum();
            assert_eq!(lane.bytes, bytes, "bytes of queue {id} in flight");
            assert_eq!(lane.in_turn, self.turns.contains(id), "turn of queue {id}");
            assert_eq!(
                lane.lacks.is_some(),
                self.squeezed.contains(id),
                "queue {id} waits for slots"
            );
            let waits = self.waiting.iter().filter(|(_, waiting)| waiting == id);
            assert!(
                waits.map(|(at, _)| Some(*at)).eq(lane.waits_until.map(Some)),
                "wait of queue {id}"
            );
        }
        for (at, id) in &self.waiting {
            let lane = self.lanes.get(id);
            assert!(
                lane.is_some_and(|lane| lane.waits_until == Some(*at)),
                "queue {id} waits until {at:?}"
            );
        }
    }
}

//! What the leader has set itself a time for, when somebody sets the clock back: that time may now be hours away.

use super::Leader;
use crate::domain::scheduler::CLOCK_SET_BACK;
use crate::domain::time::Timestamp;

impl Leader {
    /// Takes in what time it is. When the clock was set back, what waits for a time is looked at again at once. The
    /// scheduler sees to its queues itself, and due times are what they are.
    pub fn heed_the_clock(&mut self, now: Timestamp) {
        let told = std::mem::replace(&mut self.told, now);
        if told.since(now) < CLOCK_SET_BACK {
            return;
        }
        for appointment in [
            &mut self.linger_until,
            &mut self.held_up_until,
            &mut self.next_survey,
            &mut self.follow_at,
            &mut self.record_at,
            &mut self.deliver_at,
            &mut self.notices_at,
            &mut self.tallying.fold_at,
        ] {
            if *appointment != Timestamp::MAX {
                *appointment = now.min(*appointment);
            }
        }
        self.prepared.look_at_once();
        self.cron.set_back(now);
        self.tidying.set_back(now);
        self.showing.set_back(now);
    }
}

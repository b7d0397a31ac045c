//! What the nemesis did, and what was seen of it.

/// One fault, from its beginning until deliveries went on.
#[derive(Clone, Debug, Default)]
pub struct Disturbance {
    pub name: &'static str,
    /// Microseconds since 1970, as all times here.
    pub begun_us: i64,
    /// The fault was over, and the server took connections.
    pub lifted_us: i64,
    /// A message that was committed after that had arrived.
    pub ended_us: i64,
    /// Another leader led afterwards: what was on the wire is sent again.
    pub leader_changed: bool,
    /// The leader was told to end, and so recorded what had come.
    pub orderly: bool,
    /// Processes stood still: answers may have come in time and been read too late.
    pub stalls: bool,
    /// Results waited until it was over.
    pub keeps_results: bool,
    /// Packets came late, as the system sends them again long after the worker gave up.
    pub delays: bool,
    /// From `lifted_us` to the first arrival of a message that was committed after it.
    pub first_send_ms: Option<f64>,
    /// How often the worker was killed by a message that always kills it.
    pub kills: usize,
}

impl Disturbance {
    /// Whether the leader ended without a word.
    pub fn is_crash(&self) -> bool {
        self.leader_changed && !self.orderly
    }

    /// How many leaders ended because of it.
    pub fn ends(&self) -> usize {
        self.kills.max(usize::from(self.leader_changed))
    }
}

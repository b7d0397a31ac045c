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
    /// Processes stood still: answers may have come in time and been read too late.
    pub stalls: bool,
    /// The server's clock jumped.
    pub moves_clock: bool,
    /// From `lifted_us` to the first arrival of a message that was committed after it.
    pub first_send_ms: Option<f64>,
    /// How often the worker was killed by a message that always kills it.
    pub kills: usize,
}

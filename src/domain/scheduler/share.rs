//! How slots and bytes are shared between queues.

/// Most bytes of large messages in flight; one message may exceed it.
pub const BYTE_BUDGET: usize = 16 << 20;

/// Messages up to this size, in bytes, are bounded by the slots alone.
pub const SMALL_BYTES: usize = 8 << 10;

/// How many of `free` slots a queue may take that holds `held` already; `None` if it is to wait for
/// others to give some back.
///
/// It gets more only while it holds less than what is left for all, so that one queue never has more
/// than half of all slots, two two thirds, and so on. The last eighth is for queues that hold none, one
/// slot each: however much some hang, another finds a slot unless as many queues hang.
pub fn fair_share(held: usize, free: usize, slots: usize) -> Option<usize> {
    let shared = free.saturating_sub(slots / 8);
    let more = shared.saturating_sub(held).div_ceil(2);
    if held == 0 && free > 0 {
        Some(more.max(1))
    } else {
        (more > 0).then_some(more)
    }
}

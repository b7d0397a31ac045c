//! How slots are shared between queues.

/// How many of `free` slots a queue may take that holds `held` already and may be trusted with
/// `trusted`; `None` if it is to wait for others to give some back.
///
/// One queue never has more than half of what is shared. The last eighth of all slots is for queues that
/// hold none, one slot each: however much some hang, another finds a slot unless as many queues hang.
pub fn fair_share(held: usize, trusted: usize, free: usize, slots: usize) -> Option<usize> {
    let reserve = slots / 8;
    let half = (slots - reserve).div_ceil(2);
    let shared = free.saturating_sub(reserve);
    let more = shared.min(half.min(trusted).saturating_sub(held));
    if held == 0 && free > 0 {
        Some(more.max(1))
    } else {
        (more > 0).then_some(more)
    }
}

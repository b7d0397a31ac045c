//! Starting threads that no signal ever reaches.

use std::io;
use std::thread::Builder;

use nix::sys::signal::{SigSet, SigmaskHow};

use crate::fault;

/// Starts a detached thread that has every signal blocked.
///
/// Postgres' handlers touch the state of the main thread, so no other thread may run one. A thread
/// inherits the mask of the one that starts it, which is why the mask is set here and not by the new one.
///
/// # Errors
/// The system refuses another thread, for now at least.
pub fn spawn(name: &str, stack_bytes: usize, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    fault::io("thread: start")?;
    let builder = Builder::new().name(name.to_owned()).stack_size(stack_bytes);
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let started = builder.spawn(run);
    // Cannot fail: the mask was in force a moment ago.
    let _ = before.thread_set_mask();
    started.map(drop)
}

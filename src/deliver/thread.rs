//! Starting threads that no signal ever reaches, and whose panics tell no secrets.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::panic;
use std::sync::Once;
use std::thread::Builder;

use nix::sys::signal::{SigSet, SigmaskHow};

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Starts a detached thread that has every signal blocked.
///
/// Postgres' handlers touch the state of the main thread, so no other thread may run one. A thread
/// inherits the mask of the one that starts it, which is why the mask is set here and not by the new one.
///
/// # Errors
/// The system refuses another thread, for now at least.
pub fn spawn(name: &str, stack_bytes: usize, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    hush_panics();
    let builder = Builder::new().name(name.to_owned()).stack_size(stack_bytes);
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let started = builder.spawn(|| {
        OURS.set(true);
        run();
    });
    // Cannot fail: the mask was in force a moment ago.
    let _ = before.thread_set_mask();
    started.map(drop)
}

/// The words of a panic may hold what it was about: a slice that is cut wrongly quotes all of it. Of our
/// threads the log is told the place alone.
fn hush_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !OURS.try_with(Cell::get).unwrap_or(false) {
                return before(info);
            }
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            // Where nothing can be written, eprintln would panic again, which ends the server.
            let _ = writeln!(io::stderr(), "pg_hooks: panic at {place}");
            let _ = PANICKED_AT.try_with(|at| at.replace(place));
        }));
    });
}

/// Where this thread panicked last.
pub fn panicked_at() -> String {
    PANICKED_AT.with(RefCell::take)
}

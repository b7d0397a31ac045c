//! Waiting for a condition, with a deadline and a message that says what was seen last.

use std::fmt::Display;
use std::time::{Duration, Instant};

const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// What one look at the world gave: found, or not yet and why.
pub trait Look {
    type Found;

    /// `Err` holds what was seen instead, when that is worth telling.
    fn found(self) -> Result<Self::Found, Option<String>>;
}

impl Look for bool {
    type Found = ();

    fn found(self) -> Result<(), Option<String>> {
        if self { Ok(()) } else { Err(None) }
    }
}

impl<T> Look for Option<T> {
    type Found = T;

    fn found(self) -> Result<T, Option<String>> {
        self.ok_or(None)
    }
}

impl<T, E: Display> Look for Result<T, E> {
    type Found = T;

    fn found(self) -> Result<T, Option<String>> {
        self.map_err(|seen| Some(seen.to_string()))
    }
}

/// Looks again and again until `look` finds something, for at most `deadline`.
///
/// `look` gives a `bool`, an `Option`, or a `Result` whose error is what was seen instead.
///
/// # Panics
/// When the deadline passes: `waited 5 s for WHAT; last seen: SEEN`.
#[track_caller]
pub fn wait_until<L: Look>(what: impl Display, deadline: Duration, look: impl FnMut() -> L) -> L::Found {
    match try_wait(deadline, look) {
        Ok(found) => found,
        Err(None) => panic!("waited {deadline:?} for {what}"),
        Err(Some(seen)) => panic!("waited {deadline:?} for {what}; last seen: {seen}"),
    }
}

/// Like [`wait_until`], but gives what was seen last instead of a panic.
pub fn try_wait<L: Look>(
    deadline: Duration,
    mut look: impl FnMut() -> L,
) -> Result<L::Found, Option<String>> {
    let started = Instant::now();
    loop {
        match look().found() {
            Ok(found) => return Ok(found),
            Err(seen) if started.elapsed() >= deadline => return Err(seen),
            Err(_) => std::thread::sleep(BETWEEN_LOOKS),
        }
    }
}

/// Asserts that `look` finds nothing during the whole of `period`.
///
/// # Panics
/// As soon as something is found.
#[track_caller]
pub fn never_within<L: Look>(what: impl Display, period: Duration, look: impl FnMut() -> L) {
    let started = Instant::now();
    if try_wait(period, look).is_ok() {
        panic!("{what}, after {:?}", started.elapsed());
    }
}

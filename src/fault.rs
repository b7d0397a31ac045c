//! Places where a test can have a step fail, and the plan that says which of them strike.
//!
//! Only the cargo feature `faults` compiles the plan in; without it nothing ever strikes, and the questions cost
//! nothing. Nobody who is served runs such a build. No PostgreSQL here, as I/O threads ask as well.

#[cfg(any(test, feature = "faults"))]
mod places;
#[cfg(any(test, feature = "faults"))]
#[cfg_attr(not(feature = "faults"), allow(dead_code))]
mod plan;
#[cfg(test)]
mod tests;

#[cfg(feature = "faults")]
pub use plan::{Plan, set, strike_of};

use std::io;

/// What is to happen at a place that strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    /// What the plan says after the `=`, if anything: what it means is the place's business.
    pub argument: Option<String>,
}

/// Whether the step at this place is to fail now, if the plan means this one of the steps: it is asked with what
/// the plan says after the `=`.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn strike_of(_place: &str, _is_meant: impl Fn(Option<&str>) -> bool) -> Option<Strike> {
    None
}

/// Whether the step at this place is to fail now.
#[inline]
pub fn strike(place: &str) -> Option<Strike> {
    strike_of(place, |_| true)
}

/// As [`strike`], for steps that can fail in one way only.
#[inline]
pub fn strikes(place: &str) -> bool {
    strike(place).is_some()
}

/// Whether the step at this place is to fail now, as `text` holds the words that the plan gives.
#[inline]
pub fn strikes_at(place: &str, text: &[u8]) -> bool {
    let holds = |words: &str| {
        text.windows(words.len().max(1))
            .any(|part| part == words.as_bytes())
    };
    strike_of(place, |words| words.is_some_and(holds)).is_some()
}

/// Fails with the `errno` that the plan gives, or with EIO.
#[inline]
pub fn io(place: &str) -> io::Result<()> {
    match strike(place) {
        None => Ok(()),
        Some(strike) => {
            let errno = strike.argument.and_then(|errno| errno.parse().ok());
            Err(io::Error::from_raw_os_error(errno.unwrap_or(nix::libc::EIO)))
        }
    }
}

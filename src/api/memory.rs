//! Memory for what may be large, in sessions of users.
//!
//! Rust ends a process that asks for memory which is not there, and PostgreSQL then starts all of them anew. What is
//! copied here fails instead, as any statement does that finds no memory.

use crate::error::Error;
use crate::{fault, session};

/// From so many bytes on, there may be no memory for a copy.
pub const LARGE: usize = 64 * 1024;

/// A copy of these bytes.
///
/// # Errors
/// There is no memory, as for the others here.
pub fn copied(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut copy = room_for(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// An empty vector with room for so many.
pub fn room_for<T>(count: usize) -> Result<Vec<T>, Error> {
    let mut empty = Vec::new();
    if fault::strikes("session: memory") || empty.try_reserve_exact(count).is_err() {
        return Err(Error::OutOfMemory(count.saturating_mul(size_of::<T>())));
    }
    Ok(empty)
}

/// Appends these bytes.
pub fn append(to: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Error> {
    if fault::strikes("session: memory") || to.try_reserve(bytes.len()).is_err() {
        return Err(Error::OutOfMemory(to.len().saturating_add(bytes.len())));
    }
    to.extend_from_slice(bytes);
    Ok(())
}

/// Sees to it that the current memory context has room for an error, before what may find no memory.
pub fn reserve_for_errors() -> Result<(), Error> {
    session::reserve_for_errors().map_err(|_| Error::OutOfMemory(LARGE))
}

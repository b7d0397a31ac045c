//! Memory for an error: when there is none left, it must still be possible to tell of that.
//!
//! pgrx copies an error into the memory context of the caller while errors still jump back to that very place. If
//! there is no memory for the copy, it fails again and again until PostgreSQL's stack of errors is full, which is a
//! PANIC: all of the server starts anew.

use std::ptr;

use pgrx::pg_sys;

use super::Failure;

/// Sizes of what an error is copied into: its fields, its words, and its context, which is the text of a statement.
/// A memory context keeps what was freed by powers of two.
const CHUNKS: [usize; 12] = [16, 32, 64, 128, 128, 256, 256, 512, 1024, 2048, 4096, 8192];

/// Sees to it that the current memory context has room for an error.
///
/// # Errors
/// There is none; then nothing should be begun that may fail.
pub fn reserve_for_errors() -> Result<(), Failure> {
    let mut chunks = [ptr::null_mut(); CHUNKS.len()];
    let mut missing = None;
    for (chunk, size) in chunks.iter_mut().zip(CHUNKS) {
        // SAFETY: the current memory context is valid at any time; null where there is no memory.
        *chunk = unsafe {
            let no_error = pg_sys::MCXT_ALLOC_NO_OOM as i32;
            pg_sys::MemoryContextAllocExtended(pg_sys::CurrentMemoryContext, size, no_error)
        };
        if chunk.is_null() {
            missing = Some(size);
        }
    }
    for chunk in chunks {
        if !chunk.is_null() {
            // SAFETY: it was allocated above. It stays with its context, for whoever asks for one of its size next.
            unsafe { pg_sys::pfree(chunk) };
        }
    }
    missing.map_or(Ok(()), |size| Err(Failure::out_of_memory(size)))
}

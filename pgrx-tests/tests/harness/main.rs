//! The harness is tested without the extension: what it says about pg_hooks must be believable.

mod cluster;
mod ends;
mod receiver;
mod wait;

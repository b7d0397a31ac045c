//! What people do to databases, to the extension and to its tables while messages are on their way.
//!
//! `DROP_CYCLES=200 cargo test -p pg_hooks_tests --test ddl` drops the extension two hundred times.

mod dropping;
mod rewriting;

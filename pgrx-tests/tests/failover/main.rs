//! Failover: standbys send nothing, a promoted one goes on soon, and what was acknowledged is not lost.
//!
//! `PROMOTIONS=50 cargo test -p pg_hooks_tests --test failover` promotes fifty times.

mod pair;
mod promotions;
mod reading;
mod stops;

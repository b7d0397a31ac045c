//! What people and machines that look after pg_hooks see.

mod browser;
mod causes;
mod crash;
mod exporter;
mod health;
mod held;
mod holders;
mod log;
mod odd_counts;
mod report;
mod statistics;
mod windows;

//! The whole system: what a client commits in a real server is what a real receiver gets.

mod bodies;
mod cancel;
mod connections;
mod copies;
mod dead_letters;
mod expiry;
mod failures;
mod headers;
mod in_flight;
mod isolation;
mod large_bodies;
mod ordering;
mod queues;
mod records;
mod retries;
mod schedule;
mod site;
mod startup;
mod transactions;
mod volume;
mod wake;

//! The SQL interface: what it does, and what it refuses with which words.

mod alterations;
mod batches;
mod body_sizes;
mod catalog;
mod database;
mod dead_letter_cycles;
mod due_times;
mod extension;
mod headers;
mod health;
mod ordering;
mod policies;
mod queues;
mod refusal;
mod retry_policies;
mod roles;
mod sends;
mod sessions;
mod settings;
mod status;
mod surroundings;
mod unknown_queues;
mod urls;

//! Triggers that send what changes in tables: what they send, when they fail, and as whom they run.

mod alterations;
mod bulk;
mod columns;
mod configuration;
mod events;
mod messages;
mod partitions;
mod row_level;
mod security;
mod sizes;
mod statement_level;
mod temporary;
mod watch;

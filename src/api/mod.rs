//! What SQL calls: thin shims over `domain` and `wake`, by subject. Their SQL declarations are in
//! `sql/functions`.

mod access;
mod caller;
mod cron;
mod emit;
mod event;
mod filter;
mod identity;
mod memory;
mod message;
mod operate;
mod owner;
mod prepared;
mod preview;
mod queue;
mod report;
mod restore;
mod room;
mod row;
mod secret;
mod silence;
mod statistics;
mod trace;
mod transform;
mod trial;

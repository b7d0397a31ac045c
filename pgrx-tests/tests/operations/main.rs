//! What operators do: repair, try out, and be told of what happens.

mod disabling;
mod events;
mod large_headers;
mod letters;
mod purge;
mod redrive;
mod redrive_many;
mod replaying;
mod traces;
mod trying;
mod trying_queues;
mod waiting;

//! Secrets of queues and what is signed with them, checked by implementations that are not ours.

mod canary;
mod delivery;
mod encryption;
mod files;
mod setting;
mod site;
mod surroundings;
mod verifier;

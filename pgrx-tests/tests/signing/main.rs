//! Secrets of queues and what is signed with them, checked by implementations that are not ours.

mod setting;

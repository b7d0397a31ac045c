//! Events: what is published reaches each subscription it matches, once, in the form it wants.

mod envelopes;
mod fanout;
mod filters;
mod idempotency;
mod patterns;
mod privileges;
mod publish;
mod queue_transforms;
mod retention;
mod status;
mod subscriptions;
mod transforms;
mod ttl;

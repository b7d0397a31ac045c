//! What roles may do: with all queues, with single ones, with their own; and what nobody may.

mod acl;
mod adopting;
mod attacks;
mod caps;
mod copying;
mod found;
mod grants;
mod linter;
mod owners;
mod roles;
mod schedules;
mod shares;
mod snapshots;
mod tenants;
mod watches;

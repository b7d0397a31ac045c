//! What roles may do: with all queues, with single ones, with their own; and what nobody may.

mod acl;
mod attacks;
mod caps;
mod found;
mod grants;
mod linter;
mod owners;
mod roles;
mod schedules;
mod shares;
mod tenants;
mod watches;

//! Processes: who starts, leads, stops, crashes and comes back, and that nothing is lost or sent twice by it.

mod activity;
mod burst;
mod crashes;
mod databases;
mod dropped;
mod election;
mod locks;
mod order;
mod probation;
mod reload;
mod rig;
mod servers;
mod signals;
mod stops;
mod vitals;

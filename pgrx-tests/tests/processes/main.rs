//! Processes: who starts, leads, stops, crashes and comes back, and that nothing is lost or sent twice by it.

mod activity;
mod burst;
mod clock;
mod crashes;
mod databases;
mod dropped;
mod election;
mod held;
mod launching;
mod locks;
mod order;
mod probation;
mod reload;
mod rig;
mod servers;
mod signals;
mod stops;
mod vitals;

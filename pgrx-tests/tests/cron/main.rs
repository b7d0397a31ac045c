//! Schedules: messages by the clock, one for each tick.

mod changes;
mod events;
mod many;
mod missed;
mod overlap;
mod privileges;
mod restart;
mod schedule;
mod site;
mod syntax;
mod ticks;
mod zones;

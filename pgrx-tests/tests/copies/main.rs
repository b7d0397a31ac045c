//! Copies of a database: nothing is sent from one until somebody says so, and then everything goes on.

mod adopting;
mod clones;
mod dumps;
mod physical;
mod refusing;
mod scene;
mod settings;
mod subscribers;

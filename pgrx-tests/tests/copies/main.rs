//! Copies of a database: nothing is sent from one until somebody says so, and then everything goes on.

mod clones;
mod dumps;
mod physical;
mod scene;
mod subscribers;

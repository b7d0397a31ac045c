//! The whole system: what a client commits in a real server is what a real receiver gets.

mod bodies;
mod site;

//! From one version to the next: scripts that are released stay as they are, lead to what a new installation is, and
//! lose nothing on the way.

mod catalog;
mod released;
mod synthetic;

//! From one version to the next: scripts that are released stay as they are, lead to what a new installation is, and
//! lose nothing on the way.

mod catalog;
mod differences;
mod made_up;
mod released;
mod servers;
mod synthetic;
mod updating;

//! What the documents say is so: their SQL runs as printed, and what they name exists.

mod blocks;
mod dependencies;
mod files;
mod reference;
mod testing;
mod tutorial;

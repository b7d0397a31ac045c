//! Steps that are made to fail, in a build of the extension that can do so (`src/fault.rs`).

#[path = "../../../src/fault/places.rs"]
mod places;

mod facility;
mod village;

mod calls;
mod everything;
mod levels;
mod memory;
mod poison;
mod randomness;
mod shortage;
mod tidying;

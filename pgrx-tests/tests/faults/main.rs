//! Steps that are made to fail, in a build of the extension that can do so (`src/fault.rs`).

mod facility;

//! Which database this is, which version the library has, and standing aside.

use pgrx::prelude::*;

use crate::{session, wake};

#[pg_extern(sql = false)]
fn place() -> String {
    session::place()
}

#[pg_extern(sql = false)]
fn library_version() -> &'static str {
    session::LIBRARY_VERSION
}

#[pg_extern(sql = false)]
fn stand_aside(seconds: f64) {
    if let Some(database) = wake::my_database() {
        let micros = (seconds * 1e6) as i64;
        database.release_until(wake::wall_clock().saturating_add(micros));
        wake::wake_launcher();
    }
}

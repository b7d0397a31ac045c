//! `cargo demo`: from a machine with Rust to delivered webhooks, with everything that is sent and received.
//!
//! `--once` ends after the show; otherwise the server stays up to play with until Ctrl-C.

mod scenes;
mod stage;

use std::process::ExitCode;
use std::time::Duration;

use pg_hooks_tests::{Failure, Result, setup};
use stage::Stage;

fn main() -> ExitCode {
    let once = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--once") => true,
        Some(_) => return Failure::needs_user("usage: cargo demo [--once]").report(),
    };
    match show(once) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn show(once: bool) -> Result<()> {
    setup::setup()?;
    let mut stage = Stage::set()?;
    scenes::play(&mut stage)?;
    if !once {
        invite(&mut stage);
    }
    Ok(())
}

/// Goes on showing what arrives. Ctrl-C ends the process, and with it the server and its files.
fn invite(stage: &mut Stage) {
    println!("\nThe server stays up until you press Ctrl-C. To go on playing, in another terminal:\n");
    println!("    {}\n", stage.psql_line());
    println!("For example:\n");
    println!("    select hooks.send('orders', '{{\"order\": 99}}');\n");
    println!("What arrives at {} is shown here.", stage.receiver.url("/"));
    loop {
        stage.show_new_arrivals();
        std::thread::sleep(Duration::from_millis(50));
    }
}

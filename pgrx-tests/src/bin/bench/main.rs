//! `cargo bench-delivery`: how fast messages are delivered, measured from outside.
//!
//! ```text
//! cargo bench-delivery                                     everything; takes most of an hour
//! cargo bench-delivery drain messages=1000000 runs=1       one thing, with parameters
//! cargo bench-delivery latency poisson rates=200           several
//! cargo bench-delivery smoke                               everything, tiny: does all arrive?
//! cargo bench-delivery help                                what there is, with all parameters
//! ```

mod arguments;
mod backlog;
mod figures;
mod machine;
mod measurement;
mod measures;
mod process;
mod rig;
mod sender;
mod table;

use std::process::ExitCode;

use arguments::Plan;
use pg_hooks_tests::{Failure, Result, setup};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["help"] {
        println!("{}", arguments::usage());
        return ExitCode::SUCCESS;
    }
    match arguments::plan(&arguments).and_then(|plan| measure(&plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn measure(plan: &Plan) -> Result<()> {
    setup::setup()?;
    machine::raise_file_limit();
    machine::describe()?;
    for (measurement, values) in plan {
        println!("### {}: {}\n", measurement.name, measurement.about);
        println!("`{} {}`\n", measurement.name, values.line());
        (measurement.run)(values).map_err(|failure| Failure::because(measurement.name, failure))?;
        println!();
    }
    Ok(())
}

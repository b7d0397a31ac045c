//! Another session holds an old snapshot while messages come and go: no row that is deleted can be removed.

use std::time::{Duration, Instant};

use pg_hooks_tests::Result;

use crate::backlog;
use crate::figures::Figures;
use crate::measurement::{Measurement, Parameter, Values};
use crate::rig::{Rig, sql_failure};
use crate::table::{Table, percent, whole};

pub const MEASUREMENT: Measurement = Measurement {
    name: "snapshot",
    about: "slices of messages sent to one queue and drained, while another session holds an old snapshot",
    parameters: &[
        Parameter {
            name: "messages",
            about: "of each slice",
            usual: &[100_000.0],
            smoke: &[200.0],
        },
        Parameter {
            name: "slices",
            about: "at least so many",
            usual: &[8.0],
            smoke: &[2.0],
        },
        Parameter {
            name: "minutes",
            about: "at least so long",
            usual: &[0.0],
            smoke: &[0.0],
        },
    ],
    run,
};

fn run(values: &Values) -> Result<()> {
    let without = churn(values, false)?;
    let with = churn(values, true)?;
    let table = Table::begin(&["slice ", "without/s", "with snapshot/s", "ratio"]);
    let row = |name: String, without: f64, with: f64| {
        table.row([name, whole(without), whole(with), percent(with / without)]);
    };
    for (number, (without, with)) in without.iter().zip(&with).enumerate() {
        row((number + 1).to_string(), *without, *with);
    }
    row(
        "median".to_owned(),
        Figures::of(without).median(),
        Figures::of(with).median(),
    );
    Ok(())
}

/// Drained messages/s of each slice. The tables are left to autovacuum: that is the subject.
fn churn(values: &Values, hold_snapshot: bool) -> Result<Vec<f64>> {
    let (slices, length) = (values.count("slices"), values.minutes("minutes"));
    let mut rig = Rig::start()?;
    rig.create_queue("churn", ", active => false")?;
    let mut holder = rig.connect();
    if hold_snapshot {
        let hold = "begin isolation level repeatable read; select 1";
        holder.batch_execute(hold).map_err(sql_failure)?;
    }
    let begun = Instant::now();
    let mut rates = Vec::new();
    while rates.len() < slices || begun.elapsed() < length {
        rates.push(slice(&mut rig, values.count("messages"))?);
    }
    Ok(rates)
}

fn slice(rig: &mut Rig, messages: usize) -> Result<f64> {
    rig.run("select hooks.pause('churn')")?;
    backlog::load(rig, "churn", messages)?;
    // Otherwise it would come in the middle of one slice or another.
    rig.run("checkpoint")?;
    let took: Duration = backlog::drain(rig, "churn", messages)?;
    Ok(messages as f64 / took.as_secs_f64())
}

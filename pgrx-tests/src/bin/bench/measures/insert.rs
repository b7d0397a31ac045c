//! What it costs a transaction to store a message.

use std::time::Instant;

use pg_hooks_tests::Result;

use super::RUNS;
use crate::backlog::BODY;
use crate::figures::medians;
use crate::measurement::{Measurement, Parameter, Values};
use crate::rig::{Rig, sql_failure};
use crate::table::{Table, decimal};

pub const MEASUREMENT: Measurement = Measurement {
    name: "insert",
    about: "us a row to store messages, within a transaction, without its commit",
    parameters: &[
        Parameter {
            name: "rows",
            about: "of each kind in a run",
            usual: &[50_000.0],
            smoke: &[200.0],
        },
        RUNS,
    ],
    run,
};

/// A way to store one row, for each of the three ways to repeat it.
struct Variant {
    name: &'static str,
    /// Stores one row with the body `$1`.
    statement: &'static str,
    /// Stores one row with the body `body`, in PL/pgSQL.
    in_loop: &'static str,
    /// Stores `{rows}` rows with the body `{body}`.
    bulk: &'static str,
}

/// The first is what the others are compared with. The tables of the last two are as bare but for their triggers.
const VARIANTS: [Variant; 6] = [
    Variant {
        name: "INSERT into an equal table without triggers",
        statement: "insert into bare (queue_id, body) values (1, $1)",
        in_loop: "insert into bare (queue_id, body) values (1, body)",
        bulk: "insert into bare (queue_id, body) select 1, '{body}' from generate_series(1, {rows})",
    },
    Variant {
        name: "INSERT into hooks.message",
        statement: "insert into hooks.message (queue_id, body) values (1, $1)",
        in_loop: "insert into hooks.message (queue_id, body) values (1, body)",
        bulk: "insert into hooks.message (queue_id, body) select 1, '{body}' from generate_series(1, {rows})",
    },
    Variant {
        name: "hooks.send",
        statement: "select hooks.send('insert', $1::text)",
        in_loop: "perform hooks.send('insert', body)",
        bulk: "select hooks.send('insert', '{body}') from generate_series(1, {rows})",
    },
    Variant {
        name: "hooks.send_batch, one or 100 a call",
        statement: "select hooks.send_batch('insert', array[$1::text])",
        in_loop: "perform hooks.send_batch('insert', array[body])",
        bulk: "select hooks.send_batch('insert', array_fill('{body}'::text, array[100])) \
               from generate_series(1, {rows} / 100)",
    },
    Variant {
        name: "INSERT into a table that emits each row",
        statement: "insert into emits_rows (queue_id, body) values (1, $1)",
        in_loop: "insert into emits_rows (queue_id, body) values (1, body)",
        bulk: "insert into emits_rows (queue_id, body) select 1, '{body}' from generate_series(1, {rows})",
    },
    Variant {
        name: "INSERT into a table that is watched",
        statement: "insert into watched (queue_id, body) values (1, $1)",
        in_loop: "insert into watched (queue_id, body) values (1, body)",
        bulk: "insert into watched (queue_id, body) select 1, '{body}' from generate_series(1, {rows})",
    },
];

const TABLES: &str = "create table bare (like hooks.message including all);
    create table emits_rows (like bare including all);
    create trigger emit after insert on emits_rows for each row execute function hooks.emit('insert');
    create table watched (like bare including all);
    select hooks.watch('watched', 'insert', '{insert}')";

fn run(values: &Values) -> Result<()> {
    let mut rig = Rig::start()?;
    rig.create_queue("insert", ", active => false")?;
    rig.run(TABLES)?;
    let table = Table::begin(&[
        "stored by                                  ",
        "one a statement",
        "ratio",
        "PL/pgSQL loop",
        "ratio",
        "bulk",
        "ratio",
    ]);
    let rows = values.count("rows");
    // All variants within each run: what slows the machine for a while then slows them all.
    let figures: [f64; VARIANTS.len() * 3] = medians(values.count("runs"), |_| {
        let mut run = [0.0; VARIANTS.len() * 3];
        for (figures, variant) in run.chunks_mut(3).zip(&VARIANTS) {
            figures.copy_from_slice(&measure(&mut rig, variant, rows)?);
        }
        Ok(run)
    })?;
    for (variant, of_variant) in VARIANTS.iter().zip(figures.chunks(3)) {
        let cells = of_variant.iter().zip(&figures[..3]);
        let cells = cells.flat_map(|(figure, bare)| [decimal(*figure, 2), format!("{:.2} x", figure / bare)]);
        table.row([variant.name.to_owned()].into_iter().chain(cells));
    }
    Ok(())
}

/// Microseconds a row, for each of the three ways.
fn measure(rig: &mut Rig, variant: &Variant, rows: usize) -> Result<[f64; 3]> {
    let loop_block = format!(
        "do $$ declare body constant text := '{BODY}'; \
         begin for i in 1..{rows} loop {}; end loop; end $$",
        variant.in_loop
    );
    let bulk = variant
        .bulk
        .replace("{body}", BODY)
        .replace("{rows}", &rows.to_string());
    let statement = rig.client.prepare(variant.statement).map_err(sql_failure)?;
    let one_a_statement = timed(rig, rows, |rig| {
        for _ in 0..rows {
            rig.client.query(&statement, &[&BODY]).map_err(sql_failure)?;
        }
        Ok(())
    })?;
    let in_loop = timed(rig, rows, |rig| rig.run(&loop_block))?;
    let in_bulk = timed(rig, rows, |rig| rig.run(&bulk))?;
    Ok([one_a_statement, in_loop, in_bulk])
}

/// Microseconds a row of what is rolled back afterwards, so that every time the tables are as empty.
fn timed(rig: &mut Rig, rows: usize, store: impl FnOnce(&mut Rig) -> Result<()>) -> Result<f64> {
    rig.run("truncate bare, hooks.message; checkpoint; begin")?;
    let begun = Instant::now();
    store(rig)?;
    let took = begun.elapsed();
    rig.run("rollback")?;
    Ok(took.as_secs_f64() * 1e6 / rows as f64)
}

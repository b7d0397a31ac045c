//! What a page of a list reads where there is much history: the first page, and one far behind it.

use pg_hooks_tests::{Failure, Result};
use serde_json::Value;

use crate::measurement::{Measurement, Parameter, Values};
use crate::rig::Rig;
use crate::table::{Table, decimal, whole};

pub const MEASUREMENT: Measurement = Measurement {
    name: "lists",
    about: "buffers that a page of 100 rows reads of that many finished messages and attempts, and a tenth as many that wait and died",
    parameters: &[Parameter {
        name: "rows",
        about: "finished messages; as many attempts",
        usual: &[1_000_000.0],
        smoke: &[2_000.0],
    }],
    run,
};

const DAYS: usize = 6;
const QUEUES: usize = 5;

/// Lists by what is asked for: a name, the function of their query, and its arguments, in which `{page}` stands
/// for both cursors.
const LISTS: &[(&str, &str, &str)] = &[
    (
        "messages",
        "messages_query",
        "null, null, null, null, null, null, {page}",
    ),
    (
        "messages of a queue",
        "messages_query",
        "'q1', null, null, null, null, null, {page}",
    ),
    (
        "delivered",
        "messages_query",
        "null, 'delivered', null, null, null, null, {page}",
    ),
    (
        "delivered of a queue",
        "messages_query",
        "'q1', 'delivered', null, null, null, null, {page}",
    ),
    (
        "cancelled",
        "messages_query",
        "null, 'cancelled', null, null, null, null, {page}",
    ),
    (
        "cancelled of a queue",
        "messages_query",
        "'q1', 'cancelled', null, null, null, null, {page}",
    ),
    (
        "dead of a queue",
        "messages_query",
        "'q1', 'dead', null, null, null, null, {page}",
    ),
    (
        "scheduled of a queue",
        "messages_query",
        "'q1', 'scheduled', null, null, null, null, {page}",
    ),
    (
        "retrying",
        "messages_query",
        "null, 'retrying', null, null, null, null, {page}",
    ),
    (
        "messages of two days",
        "messages_query",
        "null, null, null, null, now() - interval '4 days', now() - interval '2 days', {page}",
    ),
    (
        "attempts",
        "attempts_query",
        "null, null, null, null, null, null, {page}",
    ),
    (
        "attempts of a queue",
        "attempts_query",
        "null, 'q1', null, null, null, null, {page}",
    ),
    (
        "failures",
        "attempts_query",
        "null, null, false, null, null, null, {page}",
    ),
    (
        "failures of a queue",
        "attempts_query",
        "null, 'q1', false, null, null, null, {page}",
    ),
    (
        "attempts of a message",
        "attempts_query",
        "777, null, null, null, null, null, {page}",
    ),
    (
        "dead letters",
        "dead_letters_query",
        "null, null, null, null, {page}",
    ),
    (
        "dead letters of a queue",
        "dead_letters_query",
        "'q1', null, null, null, {page}",
    ),
];

fn run(values: &Values) -> Result<()> {
    let mut rig = Rig::start()?;
    fill(&mut rig, values.count("rows"))?;
    let table = Table::begin(&["list                   ", "first page", "ms", "deep page", "ms"]);
    for (name, function, arguments) in LISTS {
        let (first, first_ms) = page(&mut rig, function, arguments, "null, null")?;
        let deep = "hooks.page_cursor(now() - interval '3 days', 1), null";
        let (deep, deep_ms) = page(&mut rig, function, arguments, deep)?;
        let cells = [
            whole(first),
            decimal(first_ms, 1),
            whole(deep),
            decimal(deep_ms, 1),
        ];
        table.row([(*name).to_owned()].into_iter().chain(cells));
    }
    Ok(())
}

fn fill(rig: &mut Rig, rows: usize) -> Result<()> {
    for queue in 1..=QUEUES {
        rig.create_queue(&format!("q{queue}"), ", active => false")?;
    }
    for day in 1..=DAYS {
        for relation in ["attempt", "message_log"] {
            rig.run(&format!(
                "begin;
                 lock table only hooks.{relation} in share update exclusive mode;
                 lock table hooks.{relation}_default in access exclusive mode;
                 select hooks.add_history_day('{relation}', (now() at time zone 'UTC')::date - {day});
                 commit"
            ))?;
        }
    }
    let (ids, tenth) = (format!("generate_series(1, {rows}) as n"), rows / 10);
    let at = format!("now() - n * (interval '{DAYS} days' / {rows})");
    rig.run("set session_replication_role = replica")?;
    rig.run(&format!(
        "insert into hooks.message_log (id, queue_id, state, attempts, created_at, due_at, finished_at)
         select n, 1 + n % {QUEUES}, case when n % 1000 < 5 then 'cancelled' else 'delivered' end, 1, {at}, {at}, {at} from {ids}"
    ))?;
    rig.run(&format!(
        "insert into hooks.attempt (message_id, attempt, queue_id, attempted_at, duration_ms, status, error_class)
         select n, 1, 1 + n % {QUEUES}, {at}, 1, case when n % 1000 < 5 then 500 else 200 end,
                case when n % 1000 < 5 then 'status' end
         from {ids}"
    ))?;
    rig.run(&format!(
        "insert into hooks.message (id, queue_id, due_at, created_at, attempt, body)
         select {rows} + n, 1 + n % {QUEUES}, '2100-01-01', {at}, case when n % 100 < 5 then 1 else 0 end, 'x' from {ids} where n <= {tenth};
         insert into hooks.dead_letter (id, queue_id, attempts, error_class, created_at, due_at, dead_at)
         select 2 * {rows} + n, 1 + n % {QUEUES}, 1, 'status', {at}, {at}, {at} from {ids} where n <= {tenth}"
    ))?;
    rig.run("reset session_replication_role")?;
    rig.run("vacuum analyze")
}

/// Buffers that a page reads, and how long it takes once they are in memory.
fn page(rig: &mut Rig, function: &str, arguments: &str, cursors: &str) -> Result<(f64, f64)> {
    let arguments = arguments.replace("{page}", &format!("{cursors}, 100, 0"));
    let query: String = rig.value(&format!("select hooks.{function}({arguments})"))?;
    let explain = format!("explain (analyze, buffers, format json) {query}");
    rig.value::<Value>(&explain)?;
    let explained: Value = rig.value(&explain)?;
    let told = |value: &Value| {
        value
            .as_f64()
            .ok_or_else(|| Failure::new(format!("no plan: {explained}")))
    };
    let plan = &explained[0]["Plan"];
    let buffers = told(&plan["Shared Hit Blocks"])? + told(&plan["Shared Read Blocks"])?;
    Ok((buffers, told(&explained[0]["Execution Time"])?))
}

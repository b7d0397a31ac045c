//! What the demo shows, one feature after another.

use std::time::Duration;

use pg_hooks_tests::{Behaviour, Failure, Result};

use crate::stage::Stage;

/// Long enough for a message that should not have been sent to arrive.
const SILENCE: Duration = Duration::from_millis(300);

/// Plays every scene; the first that does not end as announced is the failure.
pub fn play(stage: &mut Stage) -> Result<()> {
    message(stage)?;
    later(stage)?;
    rollback(stage)?;
    trigger(stage)?;
    retry(stage)?;
    dead_letter(stage)?;
    schedule(stage)
}

fn message(stage: &mut Stage) -> Result<()> {
    stage.title("A message: sent when its transaction commits");
    let url = stage.receiver.url("/orders");
    stage.run(&format!(
        "create extension pg_hooks;\nselect hooks.create_queue('orders', '{url}');"
    ))?;
    stage.send(r#"select hooks.send('orders', '{"order": 1}'::jsonb)"#)?;
    stage.arrivals("/orders", 1)
}

fn later(stage: &mut Stage) -> Result<()> {
    stage.title("A message that is due in 2 seconds");
    stage.send(r#"select hooks.send('orders', '{"order": 2}'::jsonb, at => now() + interval '2 s')"#)?;
    stage.arrivals("/orders", 2)
}

fn rollback(stage: &mut Stage) -> Result<()> {
    stage.title("A transaction that rolls back sends nothing");
    stage.run("begin;\nselect hooks.send('orders', 'never sent');\nrollback;")?;
    std::thread::sleep(SILENCE);
    match stage.receiver.requests("/orders").len() {
        2 => println!("  nothing arrived within {} ms", SILENCE.as_millis()),
        _ => {
            return Err(Failure::new(
                "a message of a transaction that rolled back was sent",
            ));
        }
    }
    Ok(())
}

fn trigger(stage: &mut Stage) -> Result<()> {
    stage.title("A trigger that sends each new row of a table");
    stage.run(
        "create table customer (id int primary key, name text not null);
create function announce_customer() returns trigger language plpgsql as $$
begin
  perform hooks.send('orders', to_jsonb(new), headers => '{\"x-table\": \"customer\"}');
  return null;
end
$$;
create trigger announce after insert on customer
  for each row execute function announce_customer();",
    )?;
    stage.run("insert into customer values (1, 'Ada'), (2, 'Grace');")?;
    stage.arrivals("/orders", 4)
}

fn retry(stage: &mut Stage) -> Result<()> {
    stage.title("A receiver that answers 503 twice, then accepts");
    let url = stage.receiver.url("/flaky");
    stage.receiver.on("/flaky", Behaviour::failing(2, 503));
    stage.run(&format!(
        "select hooks.create_queue('flaky', '{url}', min_backoff => '200 ms', max_backoff => '5 s');"
    ))?;
    let id = stage.send("select hooks.send('flaky', 'third time lucky')")?;
    stage.arrivals("/flaky", 3)?;
    show_state(stage, id, "delivered")
}

fn dead_letter(stage: &mut Stage) -> Result<()> {
    stage.title("A message that ends as a dead letter, and is redriven once its receiver is well again");
    let url = stage.receiver.url("/broken");
    stage.receiver.on("/broken", Behaviour::status(500));
    stage.run(&format!(
        "select hooks.create_queue('broken', '{url}', max_attempts => 2, min_backoff => '200 ms', max_backoff => '1 s');"
    ))?;
    let id = stage.send("select hooks.send('broken', 'important')")?;
    stage.arrivals("/broken", 2)?;
    stage.row(&format!(
        "select attempts::text, last_status::text, last_error, body from hooks.dead_letter where id = {id}"
    ))?;
    println!("  the receiver is well again");
    stage.receiver.on("/broken", Behaviour::status(200));
    stage.run(&format!("select hooks.redrive({id});"))?;
    stage.arrivals("/broken", 3)?;
    show_state(stage, id, "delivered")
}

fn schedule(stage: &mut Stage) -> Result<()> {
    stage.title("A schedule: one message at each tick, here each second");
    let url = stage.receiver.url("/ticks");
    stage.run(&format!(
        "select hooks.create_queue('ticks', '{url}');
select hooks.schedule('heartbeat', 'ticks', 'every 1 second', '{{\"alive\": true}}');"
    ))?;
    stage.arrivals("/ticks", 2)?;
    stage.run("select hooks.unschedule('heartbeat');")?;
    stage.row("select p::text from hooks.cron_preview('30 4 * * mon-fri', 'Europe/Berlin', n => 1) as p")
}

fn show_state(stage: &mut Stage, id: i64, state: &str) -> Result<()> {
    stage.row(&format!(
        "select state, attempts::text from hooks.status({id}) where state = '{state}'"
    ))
}

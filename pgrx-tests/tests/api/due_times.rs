//! When a message is due.

use crate::database::{run, value};
use crate::policies::database_with_queue;
use crate::refusal::{INVALID, assert_all_refused};

#[test]
fn null_and_past_times_mean_now() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(&mut client, "select hooks.pause('good')");
    let times = [
        "null",
        "'2001-01-01'",
        "'-infinity'",
        "now() - interval '1 us'",
        "now()",
    ];
    for at in times {
        let statements = [
            format!("select hooks.send('good', 'x', {at})"),
            format!("select hooks.send('good', '1'::jsonb, {at})"),
            format!("select hooks.send('good', 'x'::bytea, {at})"),
            format!("select hooks.send_batch('good', array['x', 'y'], {at})"),
            format!(
                "insert into hooks.message (queue_id, body, due_at) select id, 'x', {at} from hooks.queue"
            ),
        ];
        for statement in statements {
            run(&mut client, &format!("begin; {statement}"));
            let now = "select bool_and(due_at = now()) from hooks.message";
            assert!(value::<bool>(&mut client, now), "{statement}");
            run(&mut client, "rollback");
        }
    }
}

#[test]
fn default_due_time_is_now() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "begin; select hooks.send('good', 'x'); select hooks.send_batch('good', array['x'])",
    );
    assert!(value::<bool>(
        &mut client,
        "select bool_and(due_at = now() and created_at = now()) from hooks.message"
    ));
}

#[test]
fn future_time_is_kept_exactly() {
    let database = database_with_queue();
    let mut client = database.connect();
    let times = [
        "2100-01-02 03:04:05.678901+00",
        "9999-12-31 23:59:59.999999+00",
        "294276-12-31 23:59:59.999999+00",
    ];
    for at in times {
        let statements = [
            format!("select hooks.send('good', 'x', '{at}')"),
            format!("select hooks.send('good', '1'::jsonb, '{at}')"),
            format!("select hooks.send('good', 'x'::bytea, '{at}')"),
            format!("select hooks.send_batch('good', array['x', 'y'], '{at}')"),
            format!(
                "insert into hooks.message (queue_id, body, due_at) select id, 'x', '{at}' from hooks.queue"
            ),
        ];
        for statement in statements {
            run(&mut client, &format!("truncate hooks.message; {statement}"));
            let kept = format!("select bool_and(due_at = '{at}') from hooks.message");
            assert!(value::<bool>(&mut client, &kept), "{statement}");
        }
    }
}

#[test]
fn plain_update_moves_the_due_time() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.pause('good');
         select hooks.send('good', 'x', at => '2100-01-01');
         begin;
         update hooks.message set due_at = '2001-01-01'",
    );
    assert!(value::<bool>(
        &mut client,
        "select due_at = now() from hooks.message"
    ));
    run(
        &mut client,
        "update hooks.message set due_at = '2100-02-01 00:00:00+00'; commit",
    );
    assert!(value::<bool>(
        &mut client,
        "select due_at = '2100-02-01 00:00:00+00' from hooks.message"
    ));
}

#[test]
fn infinite_due_time_is_refused() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.send('good', 'waits', at => '2100-01-01')",
    );
    let statements = [
        "select hooks.send('good', 'x', at => 'infinity')",
        "select hooks.send('good', '1'::jsonb, at => 'infinity')",
        "select hooks.send('good', 'x'::bytea, at => 'infinity')",
        "select hooks.send_batch('good', array['x'], at => 'infinity')",
        "select hooks.send_batch('good', array['1']::jsonb[], at => 'infinity')",
        "select hooks.send_batch('good', array['x']::bytea[], at => 'infinity')",
        "insert into hooks.message (queue_id, body, due_at) select id, 'x', 'infinity' from hooks.queue",
        "update hooks.message set due_at = 'infinity'",
    ];
    assert_all_refused(
        &mut client,
        &statements,
        INVALID,
        "due time must not be infinite",
        "Give the time at which to send.",
    );
}

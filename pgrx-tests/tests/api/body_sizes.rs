//! How large a body may be.

use crate::database::{run, value};
use crate::policies::database_with_queue;
use crate::refusal::{INVALID, assert_all_refused};

const HINT: &str = "Send a reference to the data, or raise hooks.max_body_size.";

#[test]
fn body_over_the_limit_is_refused_by_every_way_to_store_it() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.send('good', 'waits', at => '2100-01-01')",
    );
    let large = "repeat('x', 1048577)";
    let statements = [
        format!("select hooks.send('good', {large})"),
        format!("select hooks.send('good', {large}::bytea)"),
        format!("select hooks.send_batch('good', array['small', {large}])"),
        format!("select hooks.send_batch('good', array['small', {large}]::bytea[])"),
        format!(
            "insert into hooks.message (queue_id, body)
             select id, {large} from hooks.queue where name = 'good'"
        ),
        format!(
            "insert into hooks.message (queue_id, body_bytes)
             select id, {large}::bytea from hooks.queue where name = 'good'"
        ),
        format!("update hooks.message set body = {large}"),
    ];
    let message = "body of 1048577 bytes exceeds hooks.max_body_size, 1048576 bytes";
    assert_all_refused(&mut client, &statements, INVALID, message, HINT);
}

#[test]
fn json_body_is_measured_as_the_text_that_is_sent() {
    let database = database_with_queue();
    let large = "to_jsonb(repeat('x', 1048575))";
    let statements = [
        format!("select hooks.send('good', {large})"),
        format!("select hooks.send_batch('good', array['1', {large}])"),
    ];
    let message = "body of 1048577 bytes exceeds hooks.max_body_size, 1048576 bytes";
    assert_all_refused(&mut database.connect(), &statements, INVALID, message, HINT);
}

#[test]
fn body_is_measured_in_bytes_and_not_in_characters() {
    let database = database_with_queue();
    let statements = ["select hooks.send('good', repeat('ö', 524289))"];
    let message = "body of 1048578 bytes exceeds hooks.max_body_size, 1048576 bytes";
    assert_all_refused(&mut database.connect(), &statements, INVALID, message, HINT);
}

/// A value that comes from a table may be compressed or stored elsewhere; its size is still its size.
#[test]
fn compressed_body_is_measured_as_it_is_sent() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "create table source as select repeat('x', 1048577) as large, repeat('x', 1048576) as fits",
    );
    let statements = ["select hooks.send('good', large) from source"];
    let message = "body of 1048577 bytes exceeds hooks.max_body_size, 1048576 bytes";
    assert_all_refused(&mut client, &statements, INVALID, message, HINT);
    run(
        &mut client,
        "select hooks.send('good', fits, at => '2100-01-01') from source",
    );
}

#[test]
fn body_at_the_limit_is_stored() {
    let database = database_with_queue();
    let mut client = database.connect();
    run(
        &mut client,
        "select hooks.send('good', repeat('x', 1048576), at => '2100-01-01');
         select hooks.send('good', repeat('x', 1048576)::bytea, at => '2100-01-01');
         select hooks.send('good', to_jsonb(repeat('x', 1048574)), at => '2100-01-01');
         select hooks.send('good', null, at => '2100-01-01')",
    );
    let sizes: Vec<Option<i32>> = crate::database::column(
        &mut client,
        "select coalesce(octet_length(body), octet_length(body_bytes)) from hooks.message order by id",
    );
    assert_eq!(sizes, [Some(1 << 20), Some(1 << 20), Some(1 << 20), None]);
    let queues: i64 = value(&mut client, "select count(distinct queue_id) from hooks.message");
    assert_eq!(queues, 1);
}

//! What a standby tells: functions that read work there, and rights that are taken back are gone there too.

use pg_hooks_tests::site::{run, value};
use pg_hooks_tests::wait_until;
use postgres::Client;

use crate::pair::{DATABASE, Pair, SOON};

/// One message that waits and one of an event, in a queue that a reader and a watcher have rights on, and a queue of the
/// reader's own.
const SCENE: &str = "
    create role reader login; create role watcher login;
    select hooks.create_queue('q', 'http://127.0.0.1:8080/', active => false);
    select hooks.send('q', 'x');
    select hooks.subscribe('a', 'q'); select hooks.publish('a', '1');
    grant hooks_tenant to reader;
    select hooks.grant_read('q', 'reader'), hooks.grant_send('q', 'watcher');
    create table t (id int);
    create trigger e after insert on t for each row execute function hooks.emit('q');
    alter table t owner to watcher;
    select hooks.create_queue('mine', 'http://127.0.0.1:8080/', active => false);
    select hooks.send('mine', 'x'), hooks.give_queue('mine', 'reader')";

/// Each gives the number of its rows.
const READS: [(&str, i64); 10] = [
    ("hooks.list_messages(queue => 'q')", 2),
    ("hooks.list_attempts(queue => 'q')", 0),
    ("hooks.list_dead_letters(queue => 'q')", 0),
    ("hooks.queue_messages('q')", 2),
    ("hooks.show_queue('q')", 1),
    ("hooks.public_keys('q')", 0),
    ("hooks.status(1)", 1),
    ("hooks.event_status(1)", 1),
    ("hooks.preview('mine', 'x')", 1),
    ("hooks.preview(message_id => 3)", 1),
];

/// What fails, with the error.
fn failures(client: &mut Client) -> Vec<String> {
    let read = |(call, count): &(&str, i64)| {
        let found = client.query_one(&format!("select count(*) from {call}"), &[]);
        match found {
            Ok(row) if row.get::<_, i64>(0) == *count => None,
            Ok(row) => Some(format!("{call}: {} rows", row.get::<_, i64>(0))),
            Err(error) => Some(format!("{call}: {error:?}")),
        }
    };
    READS.iter().filter_map(read).collect()
}

#[test]
fn standby_shows_what_its_readers_may_see_until_that_is_revoked() {
    let pair = Pair::start();
    let mut primary = pair.primary.connect(DATABASE);
    run(&mut primary, SCENE);
    let mut admin = pair.standby.connect(DATABASE);
    wait_until("the standby to have it all", SOON, || {
        value::<bool>(&mut admin, "select to_regclass('t') is not null")
    });
    assert_eq!(failures(&mut admin), Vec::<String>::new());
    let stopped = "select count(*) from hooks.watches where stopped is not null or problem is not null";
    assert_eq!(value::<i64>(&mut admin, stopped), 0);
    run(&mut admin, "select * from hooks.health()");

    let mut reader = pair.standby.connect_as("reader", DATABASE);
    assert_eq!(failures(&mut reader), Vec::<String>::new());
    run(&mut primary, "select hooks.revoke_read('q', 'reader')");
    wait_until("the revoke to reach the session", SOON, || {
        let refused = reader.batch_execute("select * from hooks.show_queue('q')");
        match refused {
            Ok(()) => Err("it still reads".to_owned()),
            Err(error) => {
                let code = error.as_db_error().map(|error| error.code().code().to_owned());
                assert_eq!(code.as_deref(), Some("42501"), "{error:?}");
                Ok(())
            }
        }
    });
}

/// A transaction that only reads is given no id: ids are what a wraparound counts.
#[test]
fn functions_that_read_give_their_transaction_no_id() {
    let pair = Pair::start();
    let mut client = pair.primary.connect(DATABASE);
    run(&mut client, SCENE);
    let mut reader = pair.primary.connect_as("reader", DATABASE);
    for (call, _) in READS {
        run(&mut reader, &format!("begin; select * from {call}"));
        let id = "select coalesce(pg_current_xact_id_if_assigned()::text, 'none')";
        assert_eq!(value::<String>(&mut reader, id), "none", "{call}");
        run(&mut reader, "commit");
    }
}

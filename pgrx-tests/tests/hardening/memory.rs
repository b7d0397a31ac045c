//! Sessions for which memory is short: a statement fails as any other does then, and the server goes on.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::cluster::limit_memory;
use pg_hooks_tests::site::{Site, run, value};
use pg_hooks_tests::vitals::kilobytes;
use postgres::Client;
use postgres::error::SqlState;

/// Bytes of what is sent.
const LARGE: u32 = 8_000_000;

/// Queues that send nothing, one of them with a transform; tables whose changes are messages, and events that are
/// transformed.
const SCENE: &str = "
    create function same(payload jsonb, context jsonb) returns jsonb language sql immutable as 'select payload';
    select hooks.alter_queue('transformed', transform => 'public.same');
    select hooks.subscribe('row.made', 'plain', transform => 'public.same');
    create table plain (id int primary key, body text);
    create table transformed (like plain);
    create table event (like plain);
    create table keyed (like plain);
    select hooks.watch('plain', 'plain', '{insert}', for_each => 'row');
    select hooks.watch('transformed', 'transformed', '{insert}');
    select hooks.watch('event', 'row.made', '{insert}');
    select hooks.watch('keyed', 'plain', '{insert}', columns => '{id}', ordering_key => '{body}')";

/// What copies what it is given, with the size as `$`.
const CALLS: [&str; 10] = [
    "select hooks.send('plain', repeat('x', $))",
    "select hooks.send('plain', '{}', headers => jsonb_build_object('x-a', repeat('x', $)))",
    "select hooks.send('transformed', '{}', headers => jsonb_build_object('x-a', repeat('x', $)))",
    "select hooks.send('transformed', to_jsonb(repeat('x', $)))",
    "select hooks.send_batch('transformed', array[to_jsonb(repeat('x', $))])",
    "select hooks.publish('row.made', to_jsonb(repeat('x', $)))",
    "insert into plain values (1, repeat('x', $))",
    "insert into transformed values (1, repeat('x', $))",
    "insert into event values (1, repeat('x', $))",
    "insert into keyed values (1, repeat('x', $))",
];

/// Of small things, so that the session has all that it needs besides.
fn warmed(site: &Site, call: &str) -> Client {
    let mut client = site.connect();
    let small = call.replace('$', "10");
    run(&mut client, &format!("begin; {small}; rollback"));
    client
}

/// Whether the call succeeds with so much memory. If not, it says why.
#[track_caller]
fn succeeds(client: &mut Client, call: &str, room: u64) -> bool {
    let pid: i32 = value(client, "select pg_backend_pid()");
    limit_memory(pid, Some((kilobytes(pid, "VmSize:") + room) * 1024));
    let large = call.replace('$', &LARGE.to_string());
    let failed = client.batch_execute(&format!("begin; {large}; rollback")).err();
    limit_memory(pid, None);
    let Some(error) = failed else { return true };
    let code = error.code().map(SqlState::code);
    let expected = [SqlState::OUT_OF_MEMORY, SqlState::INVALID_PARAMETER_VALUE];
    assert!(
        expected.iter().any(|state| code == Some(state.code())),
        "{call} with {room} kB: {error:?}"
    );
    run(client, "rollback; select 1");
    false
}

#[test]
fn session_that_gets_no_memory_has_an_error_and_the_server_goes_on() {
    let cluster = Cluster::builder().setting("hooks.max_body_size", "32MB").start();
    let mut site = Site::on(Box::leak(Box::new(cluster)));
    for queue in ["plain", "transformed"] {
        site.queue(queue, ", active => false");
    }
    site.run(SCENE);
    for call in CALLS {
        let has_headers = call.contains("headers");
        // From too little for one copy to enough for all.
        let rooms = (0..16).map(|step| 1_000 + step * 5_300).chain([400_000]);
        let mut failed = 0;
        for room in rooms {
            let mut client = warmed(&site, call);
            let succeeded = succeeds(&mut client, call, room);
            failed += u32::from(!succeeded);
            assert!(
                succeeded || has_headers || room < 400_000,
                "{call} with {room} kB"
            );
        }
        assert!(failed > 0, "{call} never lacked memory");
    }
    // All sessions would have ended with the first.
    assert!(site.value::<bool>("select true"));
    let log = site.cluster().log();
    assert!(!log.contains("was terminated by signal"), "{log}");
}

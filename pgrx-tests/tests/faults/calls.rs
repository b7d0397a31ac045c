//! Calls of users that fail in any of their statements: the session is as it was before, and the same call then succeeds.

use pg_hooks_tests::site::{Site, run, value};
use pg_hooks_tests::{Behaviour, Cluster};
use postgres::Client;

/// More statements than any call runs.
const MOST: usize = 400;

/// Who calls is not who owns the functions.
const SCENE: &str = "
    create role clerk;
    grant hooks_admin, hooks_sender, hooks_reader, pg_read_server_files to clerk;
    create table orders (id int primary key, queue text);
    alter table orders owner to clerk;
    create table watched (id int primary key);
    alter table watched owner to clerk;
    create function public.changed(payload jsonb, context jsonb) returns jsonb language sql
      as $$ select payload operator(pg_catalog.||) '{\"n\": 1}' $$;
    alter function public.changed owner to clerk;
    select hooks.subscribe('order.*', 'good', envelope => 'standard');
    select hooks.subscribe('order.*', 'asleep', transform => 'public.changed');
    select hooks.alter_queue('changing', transform => 'public.changed');
    select hooks.send('asleep', 'waits');
    select hooks.send('kept', 'delivered'), hooks.send('buried', 'dies');
    select hooks.send('full', 'x'), hooks.send('rolling', 'x')";

/// Each is a transaction of the clerk, of statements that succeed.
const CALLS: &[&[&str]] = &[
    &["select hooks.send('good', 'x', idempotency_key => 'k')"],
    &["select hooks.send_batch('good', array['x', 'y'], idempotency_keys => array['a', 'b'])"],
    &["select hooks.send('changing', '{}'::jsonb)"],
    &["select hooks.send('rolling', 'y')"],
    &[
        "do $$ begin perform hooks.send('full', 'y'); exception when configuration_limit_exceeded then null; end $$",
    ],
    &["select hooks.publish('order.made', '{}')"],
    &["insert into hooks.message (queue_id, body) select id, 'x' from hooks.queue where name = 'good'"],
    &[
        "create trigger t after insert on orders for each row execute function hooks.emit('good')",
        "insert into orders values (1)",
    ],
    &[
        "create trigger t after insert on orders for each row execute function hooks.emit('event=order.made')",
        "insert into orders values (1)",
    ],
    &[
        "select hooks.watch('watched', 'good')",
        "insert into watched values (1), (2)",
    ],
    &[
        "select hooks.watch('watched', 'good')",
        "select hooks.unwatch('watched')",
    ],
    &["select hooks.create_queue('new', 'http://127.0.0.1:8080/')"],
    &["select hooks.alter_queue('good', timeout => '20 s', name => 'better')"],
    &["select hooks.drop_queue('rolling', cancel_messages => true)"],
    &["select hooks.pause('good')", "select hooks.resume('good')"],
    &[
        "select hooks.set_secret('good', 'token', 'bearer')",
        "select hooks.remove_secret('good', 'bearer')",
    ],
    &["select hooks.set_secret_file('good', 'signing')"],
    &["select hooks.rotate_secret('good')"],
    &["select hooks.preview('good', 'x')"],
    &["select hooks.preview(message_id => (select min(id) from hooks.message where body = 'waits'))"],
    &["select hooks.cancel((select min(id) from hooks.message where body = 'waits'))"],
    &["select hooks.redrive(id => (select min(id) from hooks.dead_letter))"],
    &["select hooks.redrive(queue => 'buried', rate => 1)"],
    &["select hooks.purge(queue => 'buried')"],
    &["select hooks.replay('kept', '-infinity')"],
    &[
        "select hooks.schedule('tick', 'good', '0 3 * * *', 'tick')",
        "select hooks.unschedule('tick')",
    ],
    &["select hooks.subscribe('other', 'good', filter => '$.n > 1')"],
    &[
        "select hooks.grant_send('good', 'clerk')",
        "select hooks.revoke_send('good', 'clerk')",
    ],
    &["select * from hooks.list_messages()"],
    &["select * from hooks.show_queue('good')"],
    &["select * from hooks.show_dead_letter((select min(id) from hooks.dead_letter))"],
    &["select * from hooks.health()"],
];

struct Office {
    cluster: &'static Cluster,
    site: Site,
}

/// What a session is, as far as a call could change it.
fn state(client: &mut Client) -> String {
    let query = "select current_user || ' ' || session_user || ' ' || current_schemas(true)::text";
    value(client, query)
}

impl Office {
    /// Has the place strike whenever this call comes to it, once the first time, once the second, until it comes to it
    /// no more. Gives how often that was. Sessions are new, and have everything to look up.
    fn fail(&self, call: &[&str], place: &str) -> usize {
        let script = call.join("; ");
        for nth in 1..MOST {
            let mut client = self.site.connect();
            let before = self.cluster.strikes(place);
            // In turns, an error of the system and a bug of ours.
            let argument = if nth % 2 == 0 { "=panic" } else { "" };
            let plan = format!("set hooks.faults = '{place}:{nth}{argument}'; set role clerk");
            run(&mut client, &plan);
            run(&mut client, "begin; savepoint before");
            let outcome = client.batch_execute(&script);
            let struck = self.cluster.strikes(place) > before;
            assert_eq!(outcome.is_err(), struck, "{script}: {outcome:?}");
            if !struck {
                return nth - 1;
            }
            run(&mut client, &format!("rollback to before; {script}; rollback"));
            run(&mut client, "reset role; set hooks.faults = ''; set role clerk");
            let mut other = self.site.connect();
            run(&mut other, "set role clerk");
            assert_eq!(state(&mut client), state(&mut other), "{script}");
            run(&mut client, &format!("begin; {script}; rollback"));
        }
        panic!("{script} has no end at {place}");
    }
}

fn office() -> Office {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::builder().faulty().start()));
    cluster.write_private("secrets/signing", &"s".repeat(40));
    let directory = cluster.private("secrets");
    cluster.reload(&[("hooks.secret_directory", &directory.to_string_lossy())]);
    let mut site = Site::on(cluster);
    site.queue("good", "");
    site.queue("asleep", ", active => false");
    site.queue("changing", ", active => false");
    site.queue("kept", ", keep_bodies => true");
    site.queue("buried", ", max_attempts => 1");
    site.queue("full", ", active => false, max_messages => 1");
    site.queue(
        "rolling",
        ", active => false, max_messages => 1, overflow => 'drop_oldest'",
    );
    site.receiver.on("/buried", Behaviour::status(500));
    site.run(SCENE);
    site.wait_until(
        "select exists (select from hooks.dead_letter) and exists (select from hooks.message_log where state = 'delivered')",
    );
    Office { cluster, site }
}

#[test]
fn function_that_fails_in_any_of_its_statements_succeeds_afterwards_in_the_same_session() {
    let office = office();
    for call in CALLS {
        let places = [
            "session: memory",
            "session: query",
            "session: statement",
            "session: transform",
        ];
        let failed: usize = places.iter().map(|place| office.fail(call, place)).sum();
        // A statement of the client is one itself.
        assert!(failed > call.len(), "{call:?}: {failed} failures");
    }
}

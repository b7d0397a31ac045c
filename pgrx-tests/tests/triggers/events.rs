//! Changes as events: which are published, to whom, and as whom transforms run.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::site::{Site, refusal, run, value};
use serde_json::{Value, json};

use crate::messages::{deleted, inserted, site, updated};

const TABLE: &str = "create table t (id int primary key, name text); ";

/// Takes all events away, and gives their types and payloads without the time and the transaction.
#[track_caller]
fn published(site: &mut Site) -> Vec<(String, Value)> {
    let types = site.column::<String>("select type from hooks.event order by id");
    let payloads = site.column::<String>("select payload from hooks.event order by id");
    site.run("delete from hooks.message; delete from hooks.event");
    let parsed = payloads.iter().map(|payload| {
        let mut payload: Value = serde_json::from_str(payload).expect("a payload is JSON");
        let fields = payload.as_object_mut().expect("a payload is an object");
        fields.shift_remove("at").expect("a payload has a time");
        fields.shift_remove("txid").expect("a payload has a transaction");
        payload
    });
    types.into_iter().zip(parsed).collect()
}

fn event(event_type: &str, payload: Value) -> (String, Value) {
    (event_type.to_owned(), payload)
}

/// A session of a new role that may change the table `t` and nothing else.
fn writer(site: &mut Site) -> (String, postgres::Client) {
    let role = format!("writer_{}", site.database);
    site.run(&format!(
        "create role {role} login; grant insert, update, delete, select on t to {role}"
    ));
    let client = Cluster::shared().connect_as(&role, &site.database);
    (role, client)
}

#[test]
fn each_changed_row_is_an_event_of_its_operation() {
    for level in ["row", "statement"] {
        let mut site = site(TABLE);
        site.run(&format!(
            "select hooks.subscribe('order.*', 'q');
             select hooks.watch('t', 'order.{{op}}', for_each => '{level}')"
        ));
        site.run("insert into t values (1, 'a'), (2, 'b'); update t set name = 'c' where id = 1; delete from t where id = 2; truncate t");
        let (one, two) = (json!({"id": 1, "name": "a"}), json!({"id": 2, "name": "b"}));
        assert_eq!(
            site.value::<i64>("select count(*) from hooks.message"),
            5,
            "{level}"
        );
        let truncated = json!({"op": "truncate", "schema": "public", "table": "t", "old": null, "new": null, "changed": null});
        let expected = [
            event("order.insert", inserted(one.clone())),
            event("order.insert", inserted(two.clone())),
            event(
                "order.update",
                updated(one, json!({"id": 1, "name": "c"}), json!(["name"])),
            ),
            event("order.delete", deleted(two)),
            event("order.truncate", truncated),
        ];
        assert_eq!(published(&mut site), expected, "{level}");
    }
}

#[test]
fn type_takes_schema_and_table() {
    let mut site = site(TABLE);
    site.run("select hooks.watch('t', 'event={schema}-{table}'); insert into t values (1, 'a')");
    let expected = [event("public-t", inserted(json!({"id": 1, "name": "a"})))];
    assert_eq!(published(&mut site), expected);
}

#[test]
fn event_reaches_each_subscriber_with_key_and_headers() {
    let mut site = Site::new();
    site.queue("one", "");
    site.queue("two", "");
    site.run(TABLE);
    site.run(
        r#"select hooks.subscribe('order.*', 'one'), hooks.subscribe('**', 'two', filter => '$.new.id > 1');
           select hooks.watch('t', 'order.{op}', ordering_key => '{id}', headers => '{"x-a": "b"}');
           begin; insert into t values (1, 'a'), (2, 'b');
           create table seen as select distinct ordering_key from hooks.message order by 1; commit"#,
    );
    assert_eq!(
        site.column::<String>("select ordering_key from seen order by 1"),
        ["1", "2"]
    );
    let one = site.arrivals("one", 2);
    let two = site.arrival("two");
    assert!(
        two.text().contains(r#""new":{"id":2,"name":"b"}"#),
        "{}",
        two.text()
    );
    assert!(one.iter().any(|request| request.body == two.body));
    assert_eq!(two.header("x-a"), Some("b"));
    site.settle();
    assert_eq!((site.arrived("one"), site.arrived("two")), (2, 1));
}

#[test]
fn many_rows_of_a_statement_are_published_in_order() {
    let mut site = site(TABLE);
    site.run(
        "select hooks.subscribe('order.*', 'q');
         select hooks.watch('t', 'order.{op}', ordering_key => '{id}');
         insert into t select g, 'a' from generate_series(1, 5000) as g",
    );
    let in_order: i64 = site.value(
        "select count(*)
         from (select m.ordering_key::int = row_number() over (order by m.id)
                  and (e.payload::json -> 'new' ->> 'id') = m.ordering_key as fits
               from hooks.message as m join hooks.event as e on e.id = m.event_id) as x
         where fits",
    );
    assert_eq!(in_order, 5000);
}

/// The plan of the statement that stores them is made once in a session, at its first and second use.
#[test]
fn messages_of_a_statement_are_in_the_order_of_its_rows_whatever_the_plan() {
    let mut site = site("create table t (id int, k int)");
    site.run("select hooks.watch('t', 'order.{op}', ordering_key => '{k}')");
    let planners = [
        "",
        "set enable_hashjoin = off",
        "set enable_nestloop = off",
        "set enable_nestloop = off; set enable_hashjoin = off",
    ];
    for subscriptions in 1..=2 {
        site.run("select hooks.subscribe('order.*', 'q')");
        for planner in planners {
            let mut client = site.connect();
            // Plans that are dear by decree would be compiled at each call.
            run(&mut client, &format!("set jit = off; {planner}"));
            run(&mut client, "insert into t (id, k) values (1, 7), (2, 7)");
            run(
                &mut client,
                "insert into t (id, k) select n, 7 from generate_series(3, 1000) as n",
            );
            let (stored, reversed): (i64, i64) = (
                site.value("select count(*) from hooks.message"),
                site.value(
                    "select count(*) from (
                       select m.event_id < lag(m.event_id) over (order by m.id) as is_back from hooks.message as m) as x
                     where is_back",
                ),
            );
            assert_eq!(
                (stored, reversed),
                (1000 * subscriptions, 0),
                "{subscriptions} {planner}"
            );
            site.run("truncate hooks.message, hooks.event");
        }
    }
}

#[test]
fn what_rolls_back_is_not_published() {
    let mut site = site(TABLE);
    site.run("select hooks.subscribe('order.*', 'q'); select hooks.watch('t', 'order.{op}')");
    site.run(
        "begin; insert into t values (1, 'a'); rollback;
         begin; savepoint s; insert into t values (2, 'b'); rollback to s; insert into t values (3, 'c'); commit",
    );
    let expected = [event("order.insert", inserted(json!({"id": 3, "name": "c"})))];
    assert_eq!(published(&mut site), expected);
}

#[test]
fn writer_needs_no_rights_on_hooks_to_publish() {
    let mut site = site(TABLE);
    site.run("select hooks.subscribe('order.*', 'q'); select hooks.watch('t', 'order.{op}')");
    let (name, mut client) = writer(&mut site);
    run(&mut client, "insert into t values (1, 'a'); update t set id = 2");
    assert_eq!(site.value::<i64>("select count(*) from hooks.message"), 2);
    assert_eq!(value::<String>(&mut client, "select current_user::text"), name);
    for statement in ["table hooks.event", "select hooks.publish('a', '1')"] {
        assert_eq!(refusal(&mut client, statement).code, "42501", "{statement}");
    }
}

#[test]
fn transform_runs_as_the_writer_in_his_search_path() {
    for level in ["row", "statement"] {
        let mut site = site(TABLE);
        site.run(&format!(
            "create schema app; create table app.word (word text); insert into app.word values ('sesame');
             grant usage on schema app to public;
             create function public.who(p jsonb, c jsonb) returns jsonb language plpgsql as $$
             begin
               if p -> 'new' ->> 'id' = '2' then return null; end if;
               return jsonb_build_object('who', current_user, 'word', (select word from word), 'type', c -> 'type',
                 'id', p -> 'new' -> 'id');
             end $$;
             select hooks.subscribe('order.*', 'q', transform => 'public.who'), hooks.subscribe('order.*', 'q');
             select hooks.watch('t', 'order.{{op}}', for_each => '{level}')"
        ));
        let (name, mut client) = writer(&mut site);
        run(&mut client, "set search_path = app, public");
        let refused = refusal(&mut client, "insert into t values (1, 'a')");
        assert_eq!(refused.message, "permission denied for table word", "{level}");
        site.run("grant select on app.word to public");
        run(&mut client, "insert into t values (1, 'a'), (2, 'b'), (3, 'c')");
        let bodies =
            site.column::<String>("select body from hooks.message where body is not null order by id");
        let bodies: Vec<Value> = bodies
            .iter()
            .map(|body| serde_json::from_str(body).unwrap())
            .collect();
        let made = |id: i32| json!({"who": name, "word": "sesame", "type": "order.insert", "id": id});
        assert_eq!(bodies, [made(1), made(3)], "{level}");
        assert_eq!(
            site.value::<i64>("select count(*) from hooks.message"),
            5,
            "{level}"
        );
        assert_eq!(published(&mut site).len(), 3, "{level}");
        assert_eq!(value::<String>(&mut client, "select current_user::text"), name);
    }
}

/// Or whoever may subscribe has writers run what he likes.
#[test]
fn transform_of_a_stranger_is_not_run() {
    let mut site = site(TABLE);
    let mut admin = site.connect_as_member("hooks_admin");
    let owner: String = value(&mut admin, "select current_user::text");
    site.run(&format!(
        "create schema own authorization {owner}; grant usage on schema own to public;
         select hooks.watch('t', 'order.{{op}}')"
    ));
    run(
        &mut admin,
        "create function own.trap(p jsonb, c jsonb) returns jsonb language plpgsql as $$
         begin raise exception 'trapped'; end $$;
         select hooks.subscribe('order.*', 'q', transform => 'own.trap')",
    );
    let (name, mut client) = writer(&mut site);
    let insert = "insert into public.t values (1, 'a')";
    for (client, who) in [(&mut site.client, "postgres"), (&mut client, name.as_str())] {
        let refused = refusal(client, insert);
        assert_eq!(refused.code, "42501", "{who}");
        assert_eq!(
            refused.message,
            format!("transform own.trap is not run: \"{who}\" does not trust its owner \"{owner}\"")
        );
    }
    site.run(&format!("grant {owner} to {name}"));
    assert_eq!(
        refusal(&mut client, insert).code,
        "42501",
        "others can be members too"
    );
    site.run(&format!("revoke {owner} from {name}; grant {name} to {owner}"));
    assert_eq!(
        refusal(&mut client, insert).message,
        "trapped",
        "its owner may act as the writer anyway"
    );
}

#[test]
fn what_jsonb_cannot_hold_fails_and_names_the_trigger() {
    for subscription in ["", ", transform => 'pg_catalog.jsonb_concat'"] {
        let mut site = site("create table t (id int, doc json);");
        site.run(&format!(
            "select hooks.subscribe('order.*', 'q'{subscription});
             create trigger mine after insert on t for each row execute function hooks.emit('order.{{op}}')"
        ));
        for (doc, code) in [(r#"{"a": "\u0000"}"#, "22P05"), ("1e200000", "22003")] {
            let error = site
                .client
                .batch_execute(&format!("insert into t values (1, '{doc}')"))
                .unwrap_err();
            let error = error.as_db_error().unwrap();
            assert_eq!(error.code().code(), code, "{error:?}");
            assert!(
                error
                    .message()
                    .starts_with("row cannot be published as an event: "),
                "{error:?}"
            );
            let detail = "Trigger \"mine\" of table public.t calls hooks.emit().";
            assert_eq!(error.detail(), Some(detail));
            assert!(error.hint().is_some_and(|hint| hint.ends_with('.')));
        }
        assert_eq!(site.value::<i64>("select count(*) from t"), 0);
    }
}

#[test]
fn watches_show_events_and_types_that_cannot_be() {
    let mut site = site("create table \"my orders\" (id int);");
    let refused = site.refusal(r#"select hooks.watch('"my orders"', '{table}.{op}')"#);
    assert_eq!(refused.code, "22023", "{refused:?}");
    assert!(refused.message.contains("my orders"), "{refused:?}");
    site.run(r#"select hooks.watch('"my orders"', 'order.{op}')"#);
    let shown: Value = site.value(
        "select json_build_object('name', name, 'queue', queue, 'event', event_type, 'problem', problem) from hooks.watches",
    );
    let expected = json!({"name": "order.{op}", "queue": null, "event": "order.{op}", "problem": null});
    assert_eq!(shown, expected);
    site.run(r#"select hooks.unwatch('"my orders"');
                create trigger e after insert on "my orders" for each row execute function hooks.emit('{table}.{op}')"#);
    let refused = site.refusal(r#"insert into "my orders" values (1)"#);
    assert_eq!(refused.code, "22023", "{refused:?}");
    assert!(site.value::<bool>("select problem is not null from hooks.watches"));
}

#[test]
fn events_are_not_published_of_events() {
    let mut site = site("");
    site.run("create trigger e after insert on hooks.event for each row execute function hooks.emit('a.b')");
    let refused = site.refusal("select hooks.publish('a', '1')");
    assert_eq!(refused.code, "0A000");
    assert_eq!(refused.message, "events cannot be published of hooks.event");
}

/// Keys of the advisory locks by which functions of a test wait for it.
const GATE: i64 = 7;

#[test]
fn subscription_that_gets_a_transform_while_another_one_runs_has_its_message() {
    for level in ["row", "statement"] {
        let mut site = site(TABLE);
        site.run(&format!(
            "create function public.slow(p jsonb, c jsonb) returns jsonb language plpgsql as $$
               begin perform pg_advisory_xact_lock({GATE}); return p; end $$;
             create function public.other(p jsonb, c jsonb) returns jsonb language sql as 'select ''\"other\"''::jsonb';
             select hooks.subscribe('order.*', 'q', transform => 'public.slow'), hooks.subscribe('order.*', 'q');
             select hooks.watch('t', 'order.{{op}}', for_each => '{level}')"
        ));
        let mut client = site.connect();
        while_it_waits(
            &mut site,
            "select hooks.alter_subscription(2, transform => 'public.other')",
            || run(&mut client, "insert into t values (1, 'a')"),
        );
        let mut bodies = site.column::<String>("select left(body, 6) from hooks.message");
        bodies.sort();
        assert_eq!(bodies, ["\"other", "{\"at\":"], "{level}");
    }
}

/// What a row is rendered with may be code of users and take its time.
#[test]
fn first_transform_of_a_type_that_comes_while_rows_are_rendered_is_not_passed_over() {
    let mut site = site("");
    site.run(&format!(
        "create type mood as enum ('calm');
         create function public.mood_json(mood) returns json language plpgsql as $$
           begin perform pg_advisory_xact_lock({GATE}); return to_json($1::text); end $$;
         create cast (mood as json) with function public.mood_json(mood);
         create table t (id int, m mood);
         create function public.other(p jsonb, c jsonb) returns jsonb language sql as 'select ''\"other\"''::jsonb';
         select hooks.subscribe('order.*', 'q');
         select hooks.watch('t', 'order.{{op}}')"
    ));
    let insert = "insert into t values (1, 'calm')";
    let mut client = site.connect();
    let refused = while_it_waits(
        &mut site,
        "select hooks.alter_subscription(1, transform => 'public.other')",
        || refusal(&mut client, insert),
    );
    assert_eq!(refused.code, "40001", "{refused:?}");
    assert!(refused.hint.ends_with('.'), "{refused:?}");
    run(&mut client, insert);
    assert_eq!(
        site.column::<String>("select body from hooks.message"),
        ["\"other\""]
    );
}

/// Runs a script in a session of its own while `work` waits for the gate, and then opens that.
#[track_caller]
fn while_it_waits<T: Send>(site: &mut Site, script: &str, work: impl FnOnce() -> T + Send) -> T {
    let mut keeper = site.connect();
    run(&mut keeper, &format!("select pg_advisory_lock({GATE})"));
    std::thread::scope(|scope| {
        // Gone with the closure, also when that fails, and its lock with it.
        let mut keeper = keeper;
        let working = scope.spawn(work);
        site.wait_until(&format!(
            "select exists (select from pg_locks where locktype = 'advisory' and objid = {GATE} and not granted
               and database = (select oid from pg_database where datname = current_database()))"
        ));
        site.run(script);
        run(&mut keeper, &format!("select pg_advisory_unlock({GATE})"));
        working.join().expect("it does not panic")
    })
}

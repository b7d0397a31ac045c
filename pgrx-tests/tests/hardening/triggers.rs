//! Trigger functions run with the rights of their owner, who is a superuser: only our tables may have them.

use crate::site::{DENIED, NOT_SUPPORTED, Site, refusal, run};

/// Each trigger function with the event that its trigger is made for.
const FUNCTIONS: [(&str, &str); 4] = [
    ("check_queue", "before insert on own for each row"),
    ("note_queue_dropped", "after delete on own for each row"),
    (
        "note_queues_truncated",
        "after truncate on own for each statement",
    ),
    ("check_message", "before insert on own for each row"),
];

/// A member of hooks_admin with a table like `hooks.queue`, whose id makes its caster a superuser.
fn intruder(site: &mut Site) -> String {
    let intruder = site.role("intruder");
    site.run(&format!(
        "grant hooks_admin to {intruder}; create schema authorization {intruder}"
    ));
    let mut client = site.cluster.connect_as(&intruder, &site.database);
    run(
        &mut client,
        &format!(
            "create type trap as (x text);
             create function spring(trap) returns bigint language plpgsql as
               $$ begin alter role {intruder} superuser; return 1; end $$;
             create cast (trap as bigint) with function spring(trap) as implicit;
             create table own (like hooks.queue including defaults);
             alter table own drop column id;
             alter table own add column id trap"
        ),
    );
    intruder
}

fn is_superuser(site: &mut Site, role: &str) -> bool {
    site.value(&format!("select rolsuper from pg_roles where rolname = '{role}'"))
}

const USE_EVERY_TRIGGER: [&str; 3] = [
    "insert into own (name, url, id) values ('n', 'https://example.com/', row('x'))",
    "delete from own",
    "truncate own",
];

#[test]
fn member_of_hooks_admin_cannot_make_triggers_of_our_functions() {
    let mut site = Site::new();
    let intruder = intruder(&mut site);
    let mut client = site.cluster.connect_as(&intruder, &site.database);
    for (function, event) in FUNCTIONS {
        let trigger = format!("create trigger mine {event} execute function hooks.{function}()");
        let refused = refusal(&mut client, &trigger);
        assert_eq!(refused.code, DENIED, "{refused:?}");
    }
    for statement in USE_EVERY_TRIGGER {
        run(&mut client, statement);
    }
    assert!(!is_superuser(&mut site, &intruder));
}

#[test]
fn trigger_function_on_another_table_runs_no_code_of_its_owner() {
    let mut site = Site::new();
    let intruder = intruder(&mut site);
    let mut client = site.cluster.connect_as(&intruder, &site.database);
    for ((function, event), statement) in FUNCTIONS.into_iter().zip([
        USE_EVERY_TRIGGER[0],
        USE_EVERY_TRIGGER[1],
        USE_EVERY_TRIGGER[2],
        USE_EVERY_TRIGGER[0],
    ]) {
        run(&mut client, USE_EVERY_TRIGGER[0]);
        site.run(&format!(
            "set search_path = {intruder}; create trigger theirs {event} execute function hooks.{function}()"
        ));
        let refused = refusal(&mut client, statement);
        assert_eq!(refused.code, NOT_SUPPORTED, "{function}: {refused:?}");
        assert!(refused.hint.is_some(), "{refused:?}");
        run(&mut client, "drop trigger theirs on own; truncate own");
    }
    assert!(!is_superuser(&mut site, &intruder));
}

#[test]
fn check_message_on_a_table_of_other_columns_reads_none_of_them() {
    let mut site = Site::new();
    site.run(
        "create table t (a int, b bigint, c bigint, d int, e int, f int, g int, h bigint, i bigint, j bigint);
         create trigger theirs before insert on t for each row execute function hooks.check_message()",
    );
    let refused = site.refusal("insert into t (b, h) values (1, 4702111234474983745)");
    assert_eq!(refused.code, NOT_SUPPORTED, "{refused:?}");
    assert_eq!(site.value::<i64>("select count(*) from t"), 0);
}

#[test]
fn check_message_as_another_trigger_than_its_own_is_refused_without_a_crash() {
    let mut site = Site::new();
    site.queue("q", "");
    let insert = "insert into hooks.message (queue_id, body) select id, 'x' from hooks.queue";
    for (event, statement) in [
        ("after insert on hooks.message for each row", insert),
        ("before insert on hooks.message for each statement", insert),
        ("after insert on hooks.message for each statement", insert),
        (
            "before delete on hooks.message for each row",
            "delete from hooks.message",
        ),
        (
            "after delete on hooks.message for each row",
            "delete from hooks.message",
        ),
        (
            "before truncate on hooks.message for each statement",
            "truncate hooks.message",
        ),
        (
            "before insert on hooks.queue for each row",
            "insert into hooks.queue (name, url) values ('n', 'https://example.com/')",
        ),
    ] {
        site.run("select hooks.send('q', 'later', at => '2100-01-01')");
        site.run(&format!(
            "create trigger another {event} execute function hooks.check_message()"
        ));
        let refused = site.refusal(statement);
        assert_eq!(refused.code, NOT_SUPPORTED, "{event}: {refused:?}");
        let table = event.split(' ').nth(3).unwrap();
        site.run(&format!("drop trigger another on {table}"));
    }
    let refused = site.refusal("select hooks.check_message()");
    assert_eq!(refused.code, NOT_SUPPORTED, "{refused:?}");
    site.send("q", "goes on");
    assert_eq!(site.arrival("q").text(), "goes on");
}

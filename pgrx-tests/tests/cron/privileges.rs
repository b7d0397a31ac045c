//! Who may schedule.

use postgres::Client;

use crate::site::{Site, run};

fn member(site: &mut Site, role: &str) -> Client {
    let user = format!("{role}_{}", site.database);
    site.run(&format!("create role {user} login in role {role}"));
    site.cluster.connect_as(&user, &site.database)
}

#[track_caller]
fn assert_denied(client: &mut Client, statements: &[&str]) {
    for statement in statements {
        let Err(error) = client.batch_execute(statement) else {
            panic!("not denied: {statement}");
        };
        assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{statement}");
    }
}

const CHANGES: [&str; 7] = [
    "select hooks.schedule('b', 'q', '@daily')",
    "select hooks.unschedule('a')",
    "select hooks.pause_schedule('a')",
    "select hooks.resume_schedule('a')",
    "insert into hooks.cron (name, queue_id, schedule) values ('b', 1, '@daily')",
    "update hooks.cron set active = false",
    "delete from hooks.cron",
];

#[test]
fn admin_schedules_by_functions_and_rows() {
    let mut site = Site::new();
    site.queue("q", "");
    let mut admin = member(&mut site, "hooks_admin");
    run(
        &mut admin,
        "select hooks.schedule('a', 'q', '@daily', '{}'::jsonb);
         select hooks.schedule('a', 'q', '@daily', '{}'::json);
         select hooks.schedule('a', 'q', '@daily', 'x'::bytea);
         insert into hooks.cron (name, queue_id, schedule) values ('b', hooks.queue_id('q'), '@daily');
         update hooks.cron set schedule = '@hourly' where name = 'b';
         select hooks.pause_schedule('a');
         select hooks.resume_schedule('a');
         table hooks.cron_status;
         select hooks.cron_preview('@daily');
         select hooks.unschedule('a', cancel_waiting => true);
         delete from hooks.cron",
    );
    let internal = [
        "select hooks.note_cron(1)",
        "select hooks.switch_schedule('a', true)",
        "create table t (id bigint); create trigger t before insert on t for each row execute function hooks.check_cron()",
    ];
    site.run("grant create on schema public to hooks_admin");
    assert_denied(&mut admin, &internal);
}

#[test]
fn reader_sees_schedules_without_bodies() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.schedule('a', 'q', '@daily', 'secret')");
    let mut reader = member(&mut site, "hooks_reader");
    run(
        &mut reader,
        "table hooks.cron_status; select hooks.cron_preview('@daily')",
    );
    assert_denied(&mut reader, &CHANGES);
    assert_denied(&mut reader, &["table hooks.cron"]);
}

#[test]
fn sender_has_no_part_in_schedules() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.schedule('a', 'q', '@daily', 'secret')");
    let mut sender = member(&mut site, "hooks_sender");
    assert_denied(&mut sender, &CHANGES);
    assert_denied(
        &mut sender,
        &[
            "table hooks.cron",
            "table hooks.cron_status",
            "select hooks.cron_preview('@daily')",
        ],
    );
}

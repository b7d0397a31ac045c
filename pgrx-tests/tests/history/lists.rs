//! Lists, page by page.

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::site::{Refusal, Site, refusal, run, value};

/// A site with messages in every state, of queues "a" and "b", ids 1 to 9.
fn site() -> Site {
    let mut site = Site::new();
    site.receiver.on("/a", Behaviour::status(200));
    site.receiver.on("/b", Behaviour::status(500));
    site.queue("a", "");
    site.queue("b", ", max_attempts => 1");
    for one in [
        "select hooks.subscribe('order.*', 'a'), hooks.send('a', '1')",
        "select hooks.send('b', '2')",
        "select hooks.publish('order.paid', '{}')",
    ] {
        site.run(one);
        site.settle();
    }
    site.run(
        "select hooks.pause('a');
         select hooks.send('a', '4', at => '2100-01-01');
         select hooks.send('a', '5');
         select hooks.send('a', '6'), hooks.cancel(6);
         select hooks.publish('user.made', '{}');
         insert into hooks.message (queue_id, body, attempt) select id, '7', 1 from hooks.queue where name = 'a';
         set session_replication_role = replica;
         insert into hooks.message (queue_id, body, expires_at) select id, '8', now() from hooks.queue where name = 'a';
         set session_replication_role = origin",
    );
    site
}

fn ids(site: &mut Site, arguments: &str) -> Vec<i64> {
    site.column(&format!("select id from hooks.list_messages({arguments})"))
}

#[test]
fn messages_in_any_state_are_listed_the_newest_first() {
    let mut site = site();
    let all: Vec<String> =
        site.column("select id || ' ' || queue_name || ' ' || message_state from hooks.list_messages()");
    assert_eq!(
        all,
        [
            "8 a expired",
            "7 a retrying",
            "6 a cancelled",
            "5 a pending",
            "4 a scheduled",
            "3 a delivered",
            "2 b dead",
            "1 a delivered"
        ]
    );
    for (arguments, expected) in [
        ("queue => 'b'", &[2][..]),
        ("queue => 'a', state => 'delivered'", &[3, 1]),
        ("state => 'dead'", &[2]),
        ("state => 'expired'", &[8]),
        ("state => 'retrying'", &[7]),
        ("state => 'pending'", &[5]),
        ("state => 'scheduled', queue => 'a'", &[4]),
        ("state => 'cancelled'", &[6]),
        ("event_pattern => 'order.**'", &[3]),
        ("event_pattern => 'nothing.*'", &[]),
        ("event_id => 1", &[3]),
        ("row_limit => 2, row_offset => 1", &[7, 6]),
        ("created_from => now() + interval '1 h'", &[]),
        ("created_to => now() - interval '1 h'", &[]),
        ("created_from => now() - interval '1 h', state => 'dead'", &[2]),
    ] {
        assert_eq!(ids(&mut site, arguments), expected, "{arguments}");
    }
}

#[test]
fn what_was_not_delivered_of_a_dropped_queue_is_among_all_messages() {
    let mut site = site();
    site.run("delete from hooks.subscription; select hooks.drop_queue('a', cancel_messages => true)");
    let cancelled: i64 =
        site.value("select count(*) from hooks.list_messages() where message_state = 'cancelled'");
    let logged: i64 = site.value("select count(*) from hooks.message_log where state = 'cancelled'");
    assert_eq!(cancelled, logged);
    assert!(cancelled > 1, "those of the queue were cancelled with it");
}

#[test]
fn pattern_with_the_name_of_a_column_is_a_pattern() {
    let mut site = site();
    site.run("select hooks.subscribe('account.*', 'a'); select hooks.publish('account.created_at', '{}')");
    let listed: i64 =
        site.value("select count(*) from hooks.list_messages(event_pattern => 'account.created_at')");
    assert_eq!(listed, 1);
}

#[test]
fn pages_hold_every_message_once_in_both_directions() {
    let mut site = site();
    for queue in ["", "queue => 'a', "] {
        let all = ids(&mut site, &format!("{queue}row_limit => 100"));
        let (mut forth, mut cursor, mut cursors) = (Vec::new(), "null".to_owned(), Vec::new());
        loop {
            let query = format!(
                "select id, page_cursor from hooks.list_messages({queue}row_limit => 3, after_cursor => {cursor})"
            );
            let page = site.client.query(&query, &[]).unwrap();
            let Some(last) = page.last() else { break };
            cursor = format!("'{}'", last.get::<_, &str>(1));
            cursors.push(cursor.clone());
            forth.extend(page.iter().map(|row| row.get::<_, i64>(0)));
        }
        assert_eq!(forth, all);
        let back = ids(
            &mut site,
            &format!("{queue}row_limit => 3, before_cursor => {}", cursors[1]),
        );
        assert_eq!(back, all[2..5], "the three before the sixth");
    }
}

#[test]
fn attempts_are_listed_by_what_came_of_them() {
    let mut site = site();
    let list = |site: &mut Site, arguments: &str| -> Vec<i64> {
        site.column(&format!(
            "select of_message from hooks.list_attempts({arguments})"
        ))
    };
    assert_eq!(list(&mut site, "")[0], 3);
    for (arguments, expected) in [
        ("queue => 'a'", &[3, 1][..]),
        ("message_id => 2", &[2]),
        ("success => true", &[3, 1]),
        ("success => false", &[2]),
        ("status => 500", &[2]),
        ("status => 404", &[]),
        ("success => false, queue => 'a'", &[]),
        ("attempted_to => now() - interval '1 h'", &[]),
        ("queue => 'a', row_limit => 1", &[3]),
        (
            "queue => 'a', row_limit => 1, after_cursor => (select page_cursor from hooks.list_attempts(message_id => 3))",
            &[1],
        ),
        (
            "queue => 'a', before_cursor => (select page_cursor from hooks.list_attempts(message_id => 1))",
            &[3],
        ),
    ] {
        assert_eq!(list(&mut site, arguments), expected, "{arguments}");
    }
}

#[test]
fn dead_letters_and_queues_are_listed() {
    let mut site = site();
    let letters = "select id || ' ' || queue_name || ' ' || last_status || ' ' || last_error_class from hooks.list_dead_letters";
    for arguments in [
        "()",
        "('b')",
        "(error_class => 'status')",
        "(dead_from => now() - interval '1 h')",
    ] {
        assert_eq!(
            site.column::<String>(&format!("{letters}{arguments}")),
            ["2 b 500 status"],
            "{arguments}"
        );
    }
    for arguments in [
        "('a')",
        "(error_class => 'timeout')",
        "(dead_to => now() - interval '1 h')",
    ] {
        assert_eq!(
            site.column::<String>(&format!("{letters}{arguments}")),
            [""; 0],
            "{arguments}"
        );
    }
    site.run("select hooks.create_queue('c', 'https://example.com/secret/path?token=1')");
    for (arguments, expected) in [
        ("", &["a", "b", "c"][..]),
        ("active => false", &["a"]),
        ("after_name => 'a', row_limit => 1", &["b"]),
        ("name_prefix => 'c'", &["c"]),
    ] {
        let names: Vec<String> = site.column(&format!("select name from hooks.list_queues({arguments})"));
        assert_eq!(names, expected, "{arguments}");
    }
    assert_eq!(
        site.value::<String>("select origin from hooks.list_queues('c')"),
        "https://example.com"
    );
}

#[test]
fn reader_may_list_and_sees_no_secret_and_no_body() {
    let mut site = site();
    let mut reader = site.connect_as_member("hooks_reader");
    for list in ["messages", "attempts", "dead_letters", "queues"] {
        let rows: i64 = value(&mut reader, &format!("select count(*) from hooks.list_{list}()"));
        assert!(rows > 0, "{list}");
    }
    assert_eq!(
        value::<i64>(
            &mut reader,
            "select count(url) + count(request_headers) from hooks.list_attempts('1')"
        ),
        0
    );
    assert_eq!(
        site.value::<i64>("select count(url) + count(request_headers) from hooks.list_attempts('1')"),
        2
    );
    let mut admin = site.connect_as_member("hooks_admin");
    assert_eq!(
        value::<i64>(&mut admin, "select count(url) from hooks.list_attempts('1')"),
        1
    );
    let mut sender = site.connect_as_member("hooks_sender");
    for list in ["messages", "attempts", "dead_letters", "queues"] {
        assert_eq!(
            refusal(&mut sender, &format!("select hooks.list_{list}()")).code,
            "42501",
            "{list}"
        );
    }
    run(&mut admin, "select hooks.list_messages(queue => 'a')");
}

#[test]
fn wrong_argument_is_an_error_and_never_everything() {
    let mut site = site();
    for list in ["messages", "attempts", "dead_letters"] {
        let unknown = site.refusal(&format!("select hooks.list_{list}(queue => 'nobody')"));
        assert_eq!(unknown.code, "42704", "{list}");
        for arguments in [
            "row_limit => -1",
            "row_limit => 0",
            "row_limit => 1001",
            "row_limit => null",
            "row_offset => -1",
            "row_offset => 10001",
            "after_cursor => 'x'",
            "after_cursor => ''",
            "after_cursor => '1-1', before_cursor => '1-1'",
        ] {
            let Refusal { code, hint, .. } = site.refusal(&format!("select hooks.list_{list}({arguments})"));
            assert_eq!(code, "22023", "{list}: {arguments}");
            assert!(!hint.is_empty(), "{list}: {arguments}");
        }
    }
    for call in [
        "list_messages(state => 'done')",
        "list_messages(state => '')",
        "list_messages(created_from => now(), created_to => now() - interval '1 s')",
        "list_messages(event_pattern => 'a..b')",
        "list_messages(event_pattern => 'a.b', event_id => 1)",
        "list_attempts(status => 1)",
        "list_attempts(attempted_from => now(), attempted_to => now())",
        "list_dead_letters(error_class => 'Not a class')",
        "list_dead_letters(dead_from => now(), dead_to => now())",
        "list_queues(row_limit => 0)",
        "list_queues(row_offset => -1)",
    ] {
        let Refusal { code, hint, .. } = site.refusal(&format!("select hooks.{call}"));
        assert_eq!(code, "22023", "{call}");
        assert!(!hint.is_empty(), "{call}");
    }
}

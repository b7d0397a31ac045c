//! What is due is so by the time of the look, and not by that of the transaction or the client's message.

use pg_hooks_tests::site::{Site, row, run, value};

/// A site whose queue "q" sends nothing.
fn site() -> Site {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    site
}

#[test]
fn messages_that_were_made_after_the_clients_message_came_are_listed() {
    let mut site = site();
    site.run(
        "do $$
         begin
           perform hooks.send('q', '1');
           commit;
           perform hooks.send('q', '2');
           create temporary table listed as
           select 'all' as kind, id, message_state from hooks.list_messages()
           union all
           select 'of q', id, message_state from hooks.list_messages('q', 'pending');
         end
         $$",
    );
    let listed: Vec<String> =
        site.column("select concat_ws(' ', kind, id, message_state) from listed order by 1");
    assert_eq!(
        listed,
        [
            "all 1 pending",
            "all 2 pending",
            "of q 1 pending",
            "of q 2 pending"
        ]
    );
}

#[test]
fn message_that_became_due_is_not_scheduled_in_an_older_transaction() {
    let mut site = site();
    let mut older = site.connect();
    run(&mut older, "begin; select 1");
    let id: i64 = site.value("select hooks.send('q', 'x')");
    for state in [
        format!("select state from hooks.status({id})"),
        format!("select state from hooks.wait({id}, '0')"),
        format!("select state from hooks.message_state where id = {id}"),
        "select message_state from hooks.queue_messages('q')".to_owned(),
        "select message_state from hooks.list_messages(state => 'pending')".to_owned(),
    ] {
        assert_eq!(value::<String>(&mut older, &state), "pending", "{state}");
    }
    for stats in ["hooks.queue_stats", "hooks.stats"] {
        let counts = row(
            &mut older,
            &format!("select live, due, scheduled, retrying, oldest_due_age > '0' from {stats}"),
        );
        let counted = [0, 1, 2, 3].map(|column| counts.get::<_, i64>(column));
        assert_eq!(counted, [1, 1, 0, 0], "{stats}");
        assert!(counts.get::<_, bool>(4), "{stats}: it has been due for a while");
    }
}

#[test]
fn message_that_expired_is_so_in_an_older_transaction() {
    let mut site = site();
    let mut older = site.connect();
    run(&mut older, "begin; select 1");
    let id: i64 =
        site.value("select hooks.send('q', 'x', expires_at => clock_timestamp() + interval '10 ms')");
    site.wait_until(&format!(
        "select clock_timestamp() > expires_at from hooks.message where id = {id}"
    ));
    for state in [
        format!("select state from hooks.status({id})"),
        "select message_state from hooks.list_messages(state => 'expired')".to_owned(),
        "select message_state from hooks.list_messages()".to_owned(),
    ] {
        assert_eq!(value::<String>(&mut older, &state), "expired", "{state}");
    }
}

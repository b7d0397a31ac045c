//! Rights within a transaction that keeps its first snapshot, when others change them meanwhile.

use pg_hooks_tests::site::{Site, run};
use postgres::Client;

use crate::roles::{assert_denied, member, role};

const LEVELS: [&str; 2] = ["repeatable read", "serializable"];

/// Begins a transaction of that level, which has its snapshot from then on.
#[track_caller]
fn begin(client: &mut Client, level: &str) {
    run(
        client,
        &format!("begin isolation level {level}; select count(*) from pg_class"),
    );
}

#[test]
fn right_that_is_taken_back_is_gone_in_a_transaction_with_an_older_snapshot() {
    for level in LEVELS {
        let mut site = Site::new();
        site.queue("mine", ", active => false");
        let (sender, mut client) = member(&mut site, "sender", "");
        site.run(&format!("select hooks.grant_send('mine', '{sender}')"));
        begin(&mut client, level);
        run(&mut client, "select hooks.send('mine', 'x')");
        site.run(&format!("select hooks.revoke_send('mine', '{sender}')"));
        assert_denied(&mut client, &["select hooks.send('mine', 'x')"]);
        run(&mut client, "rollback");
        // As rights of PostgreSQL, one that is given is there at once too.
        begin(&mut client, level);
        site.run(&format!("select hooks.grant_send('mine', '{sender}')"));
        run(&mut client, "select hooks.send('mine', 'x'); commit");
    }
}

/// Else the next owner's messages could be sent to the former one.
#[test]
fn queue_that_was_given_away_is_not_changed_in_a_transaction_with_an_older_snapshot() {
    for level in LEVELS {
        let mut site = Site::new();
        let (_, mut tenant) = member(&mut site, "tenant", "in role hooks_tenant");
        let next = role(&mut site, "next", "");
        let url = site.receiver.url("/q");
        run(&mut tenant, &format!("select hooks.create_queue('q', '{url}')"));
        begin(&mut tenant, level);
        site.run(&format!("select hooks.give_queue('q', '{next}')"));
        let elsewhere = format!("select hooks.alter_queue('q', url => '{url}/elsewhere')");
        assert_denied(&mut tenant, &[&elsewhere]);
        run(&mut tenant, "rollback");
        assert_eq!(site.value::<String>("select url from hooks.queue"), url);
    }
}

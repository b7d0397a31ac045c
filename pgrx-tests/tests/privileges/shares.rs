//! What owners and readers of single queues see and set: of these queues all there is, of others nothing.

use pg_hooks_tests::Cluster;
use pg_hooks_tests::site::{refusal, run, value};

use crate::roles::{assert_denied, member};
use crate::tenants::tenants;

/// SQLSTATE of what does not exist.
const UNKNOWN: &str = "42704";

#[test]
fn owner_tries_out_lists_and_counts_what_is_its_own() {
    let mut t = tenants();
    let shown: String = value(
        &mut t.b,
        &format!(
            "select convert_from(request_body, 'UTF8') from hooks.preview(message_id => {})",
            t.message_of_b
        ),
    );
    assert_eq!(shown, "secret");
    run(&mut t.b, "select * from hooks.preview('qb', 'x')");
    let status: i32 = value(&mut t.b, "select status from hooks.test_queue('qb')");
    assert_eq!(status, 404);
    let waited: String = value(
        &mut t.b,
        &format!("select state from hooks.wait({})", t.dead_of_b),
    );
    assert_eq!(waited, "dead");
    for (list, count) in [
        ("hooks.list_messages(queue => 'qb')", 2),
        ("hooks.list_dead_letters(queue => 'qb')", 1),
        (
            "hooks.list_attempts(queue => 'qb') where url is not null and request_headers is not null",
            1,
        ),
        ("hooks.list_queues() where name = 'qb' and origin is not null", 1),
        ("hooks.list_queues()", 1),
        ("hooks.show_queue('qb') where scheduled = 1", 1),
        ("hooks.show_windows('qb')", 3),
    ] {
        assert_eq!(
            value::<i64>(&mut t.b, &format!("select count(*) from {list}")),
            count,
            "{list}"
        );
    }
}

#[test]
fn owner_sets_what_its_queue_signs_and_authenticates_with() {
    let mut t = tenants();
    run(
        &mut t.b,
        "select hooks.set_secret('qb', hooks.generate_secret());
         select hooks.alter_queue('qb', signatures => '{v1,v1a}');
         select hooks.rotate_secret('qb'); select hooks.rotate_secret('qb', purpose => 'signing_ed25519');
         select hooks.use_bearer('qb', 'token'); select hooks.use_basic('qb', 'user', 'password');
         select hooks.use_api_key('qb', 'x-key', 'key');
         select hooks.use_oauth2('qb', 'https://login.example.com/token', 'client', 'secret')",
    );
    assert_eq!(
        value::<i64>(&mut t.b, "select count(*) from hooks.public_keys('qb')"),
        1
    );
    let scheme: String = t.site.value("select string_agg(scheme, ',') from hooks.auth");
    assert_eq!(scheme, "oauth2");
    assert!(value::<bool>(
        &mut t.b,
        "select hooks.remove_auth('qb') and hooks.remove_secret('qb')"
    ));
    assert_denied(
        &mut t.b,
        &["table hooks.secrets", "select hooks.set_secret_file('qb', 'x')"],
    );
}

#[test]
fn nobody_tries_out_lists_or_sets_anything_of_the_queue_of_another() {
    let mut t = tenants();
    assert_denied(
        &mut t.a,
        &[
            "select hooks.preview('qb', 'x')",
            "select hooks.test_queue('qb')",
            "select hooks.list_messages(queue => 'qb')",
            "select hooks.list_attempts(queue => 'qb')",
            "select hooks.list_dead_letters(queue => 'qb')",
            "select hooks.list_messages()",
            "select hooks.list_attempts()",
            "select hooks.list_dead_letters()",
            "select hooks.list_messages(event_id => 1)",
            &format!("select hooks.list_attempts(message_id => {})", t.dead_of_b),
            "select hooks.show_queue('qb')",
            "select hooks.show_windows('qb')",
            "select hooks.set_secret('qb', 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDazfodPKtvQo=')",
            "select hooks.rotate_secret('qb')",
            "select hooks.remove_secret('qb')",
            "select hooks.public_keys('qb')",
            "select hooks.use_bearer('qb', 'token')",
            "select hooks.use_basic('qb', 'user', 'password')",
            "select hooks.use_api_key('qb', 'x-key', 'key')",
            "select hooks.use_oauth2('qb', 'https://login.example.com/token', 'client', 'secret')",
            "select hooks.remove_auth('qb')",
            "select hooks.replay('qb', since => '-infinity')",
            "select hooks.replay('qa', since => '-infinity', to_queue => 'qb')",
        ],
    );
    for call in [
        format!("select hooks.preview(message_id => {})", t.message_of_b),
        format!("select hooks.wait({})", t.message_of_b),
        format!("select hooks.wait({})", t.dead_of_b),
    ] {
        assert_eq!(refusal(&mut t.a, &call).code, UNKNOWN, "{call}");
    }
    let listed: String = value(&mut t.a, "select string_agg(name, ',') from hooks.list_queues()");
    assert_eq!(listed, "qa");
}

#[test]
fn reader_of_a_queue_sees_where_things_stand_and_not_what_they_say() {
    let mut t = tenants();
    let (reader, mut client) = member(&mut t.site, "reader", "");
    run(&mut t.b, &format!("select hooks.grant_read('qb', '{reader}')"));
    for (list, count) in [
        ("hooks.list_messages(queue => 'qb')", 2),
        ("hooks.list_dead_letters(queue => 'qb')", 1),
        (
            "hooks.list_attempts(queue => 'qb') where url is null and request_headers is null",
            1,
        ),
        ("hooks.list_queues() where name = 'qb' and origin is null", 1),
        ("hooks.list_queues()", 1),
        ("hooks.show_queue('qb') where dead = 1", 1),
        ("hooks.show_windows('qb')", 3),
    ] {
        t.site.wait_until("select dead = 2 from hooks.stats");
        assert_eq!(
            value::<i64>(&mut client, &format!("select count(*) from {list}")),
            count,
            "{list}"
        );
    }
    assert_eq!(
        value::<String>(
            &mut client,
            &format!("select state from hooks.wait({})", t.dead_of_b)
        ),
        "dead"
    );
    assert_denied(
        &mut client,
        &[
            "select hooks.preview('qb', 'x')",
            "select hooks.test_queue('qb')",
            "select hooks.set_secret('qb', 'x')",
            "select hooks.use_bearer('qb', 'x')",
            "select hooks.list_messages(queue => 'qa')",
            "table hooks.queue_stats",
        ],
    );
    run(&mut t.b, &format!("select hooks.revoke_read('qb', '{reader}')"));
    assert_denied(
        &mut client,
        &[
            "select hooks.list_messages(queue => 'qb')",
            "select hooks.show_queue('qb')",
        ],
    );
    assert_eq!(
        value::<i64>(&mut client, "select count(*) from hooks.list_queues()"),
        0
    );
}

#[test]
fn secret_that_an_owner_gives_wrongly_is_not_in_the_log() {
    let mut t = tenants();
    for call in [
        "select hooks.set_secret('qb', 'canary')",
        "select hooks.use_bearer('qb', 'canary canary')",
        "select hooks.use_certificate('qb', 'canary', 'canary')",
        "select hooks.use_bearer('qa', 'canary')",
        "select hooks.set_secret('qa', 'canary')",
        "do $$ begin perform hooks.use_basic('qa', 'user', 'canary'); end $$",
    ] {
        let refused = refusal(&mut t.b, call);
        assert!(!format!("{refused:?}").contains("canary"), "{refused:?}");
    }
    assert!(!Cluster::shared().log().contains("canary"));
}

/// Dead-letter queue of a queue.
fn link(site: &mut pg_hooks_tests::site::Site, queue: &str) -> Option<String> {
    site.value(&format!(
        "select d.name from hooks.queue as q left join hooks.queue as d on d.id = q.dead_letter_queue_id where q.name = '{queue}'"
    ))
}

#[test]
fn dead_letters_are_copied_no_more_where_their_owner_may_not_send() {
    let mut t = tenants();
    let a: String = value(&mut t.a, "select current_user::text");
    let linked = Some("qb".to_owned());
    run(
        &mut t.b,
        &format!("select hooks.grant_send('qb', '{a}'), hooks.grant_read('qb', '{a}')"),
    );
    run(
        &mut t.a,
        "select hooks.alter_queue('qa', dead_letter_queue => 'qb')",
    );
    run(
        &mut t.b,
        "select hooks.create_queue('qb2', 'https://example.com/', dead_letter_queue => 'qb')",
    );
    run(&mut t.b, &format!("select hooks.revoke_read('qb', '{a}')"));
    assert_eq!(link(&mut t.site, "qa"), linked);
    run(&mut t.b, &format!("select hooks.revoke_send('qb', '{a}')"));
    assert_eq!(link(&mut t.site, "qa"), None);
    assert_eq!(link(&mut t.site, "qb2"), linked, "its owner may");
    // Who has the right from somewhere else keeps the link.
    t.site.run(&format!(
        "grant hooks_sender to {a}; select hooks.grant_send('qb', '{a}')"
    ));
    run(
        &mut t.a,
        "select hooks.alter_queue('qa', dead_letter_queue => 'qb')",
    );
    t.site.run(&format!("select hooks.revoke_send('qb', '{a}')"));
    assert_eq!(link(&mut t.site, "qa"), linked);
    t.site.run(&format!("select hooks.give_queue('qb', '{a}')"));
    assert_eq!(
        link(&mut t.site, "qb2"),
        None,
        "its owner had the right as owner of both"
    );
    assert_eq!(link(&mut t.site, "qa"), linked);
}

//! Settings of databases and roles that would have a worker be somebody else, or a function read text in another way.

use postgres::Client;

use crate::site::{Site, run, value};

/// What changes how literals read and how values print. Neither our functions' bodies nor what they make may.
const OTHER_FORMS: &str = "
    set standard_conforming_strings = off; set escape_string_warning = off; set backslash_quote = off;
    set array_nulls = off; set quote_all_identifiers = on; set transform_null_equals = on;
    set datestyle = 'SQL, DMY'; set timezone = 'Pacific/Chatham'; set intervalstyle = 'sql_standard';
    set bytea_output = 'escape'; set xmlbinary = 'hex'; set extra_float_digits = -5;
    set plan_cache_mode = 'force_custom_plan'; set default_transaction_isolation = 'serializable'";

/// A bit of everything that users call, with nothing in it that such settings change the meaning of.
const CALLS: &str = r#"
    select hooks.create_queue('dead', 'https://example.com/dead', active => false);
    select hooks.create_queue('q', 'https://example.com/x?y=z', method => 'PUT', headers => '{"X-A": "b"}',
      timeout => '2 s', accepted_statuses => '{200,204}', max_attempts => 3, retry_schedule => array[interval '1 s', interval '1 h'],
      dead_letter_queue => 'dead', active => false, rate_limit => 100, rate_interval => '1 min', breaker_window => '90 s',
      breaker_threshold => 0.123456, keep_bodies => true, description => 'for a test', max_bytes => 1000000);
    select hooks.alter_queue('q', timeout => '3 s', breaker_open_time => '2 s', reset => '{description}');
    select hooks.use_api_key('q', 'X-Key', 'secret'), hooks.set_secret('q', repeat('s', 40));
    select hooks.alter_queue('q', signatures => '{github}');
    select hooks.send('q', 'text', headers => '{"X-B": "c"}', ordering_key => 'k', idempotency_key => 'i',
      expires_at => '2100-01-01 00:00:00+00', at => '2099-01-01 00:00:00+00');
    select hooks.send('q', '{"a": 1.10}'::jsonb), hooks.send('q', decode('00ff5c27', 'hex'));
    select hooks.send_batch('q', array['one', 'two'], at => '2099-01-01 00:00:00+00');
    select hooks.cancel(hooks.send('q', 'cancelled'));
    select hooks.subscribe('order.*', 'q', filter => '$.n > 0.5 && $.s like_regex "^a"', envelope => 'standard');
    select hooks.subscribe('order.*', 'q', envelope => 'cloudevents');
    select hooks.publish('order.made', '{"n": 1.25, "s": "abc"}', metadata => '{"source": "here"}');
    select hooks.schedule('nightly', 'q', '30 4 29 2 *', 'tick', 'Europe/Berlin');
    create table t (id bigint primary key, f float8, n numeric, txt text);
    select hooks.watch('t', 'q', exclude => '{txt}', ordering_key => '{id}', condition => 'new.id > 0', operations => '{insert}');
    insert into t (id, f, n, txt) values (1, 0.1, 1.10, 'x');
    select hooks.grant_send('q', '"Granted"');
    insert into hooks.dead_letter (id, queue_id, attempts, created_at, due_at, dead_at, body, error_class)
      select 1000 + n, q.id, 1, now(), now(), now() - n * interval '1 min', 'dead ' || n, 'status'
      from hooks.queue as q, generate_series(1, 5) as n where q.name = 'q';
    select hooks.redrive(queue => 'q', rate => 1, per => '1 min', row_limit => 2, at => '2099-02-01 00:00:00+00');
    select hooks.purge(id => 1005)"#;

/// What is looked at. Each answers in such a session as well.
const LOOKS: [&str; 11] = [
    "select count(*) from hooks.list_messages()",
    "select count(*) from hooks.list_messages(after_cursor => (select max(page_cursor) from hooks.list_messages(row_limit => 2)))",
    "select count(*) from hooks.list_dead_letters()",
    "select count(*) from hooks.list_queues()",
    "select count(*) from hooks.list_subscriptions()",
    "select count(*) from hooks.health()",
    "select condition like '((%' from hooks.watches",
    "select count(*) from hooks.queue_stats",
    "select count(*) from hooks.cron_preview('30 4 * * 1-5', 'Europe/Berlin', '2024-03-30 00:00:00+00', 3)",
    "select count(*) from hooks.preview('q', 'x')",
    "select hooks.report() is not null",
];

/// All that was stored, but for times of storing, ids of the site, and what is random.
const STORED: &str = r#"
    select string_agg(x.line, E'\n' order by x.line) from (
      select 'queue ' || (to_jsonb(q) - '{home,created_at,updated_at}'::text[])::text as line from hooks.queue as q
      union all
      select 'message ' || m.id || ' ' || (to_jsonb(m) - '{id,created_at,due_at,body}'::text[])::text
             || case when m.ordering_key = '1' then (m.body::json -> 'new')::text else coalesce(m.body, '') end
             || case when m.due_at > '2090-01-01' then m.due_at::text else '' end
      from hooks.message as m
      union all
      select 'event ' || (to_jsonb(e) - '{created_at,updated_at,expires_at}'::text[])::text from hooks.event as e
      union all
      select 'subscription ' || (to_jsonb(s) - '{created_at,updated_at}'::text[])::text from hooks.subscription as s
      union all
      select 'cron ' || (to_jsonb(c) - '{created_at,updated_at}'::text[])::text from hooks.cron as c
      union all
      select 'auth ' || (to_jsonb(a) - '{created_at,updated_at}'::text[])::text from hooks.auth as a
      union all
      select 'dead ' || d.id || d.body from hooks.dead_letter as d
      union all
      select pg_get_triggerdef(t.oid) from pg_trigger as t where t.tgrelid = 't'::regclass
    ) as x"#;

fn stored_by(before: &str) -> (Site<'static>, Client, String) {
    let mut site = Site::new();
    let mut client = site.connect();
    run(&mut client, before);
    for call in CALLS.split(";\n") {
        run(&mut client, call);
    }
    let stored: String = site.value(STORED);
    (site, client, stored)
}

#[test]
fn functions_store_the_same_whatever_forms_the_session_has_for_text() {
    let role = "create role \"Granted\" login";
    let mut site = Site::new();
    site.run(role);
    let (_plain_site, mut plain, expected) = stored_by("");
    let (_other_site, mut other, stored) = stored_by(OTHER_FORMS);
    for (line, other) in expected.lines().zip(stored.lines()) {
        assert_eq!(other, line);
    }
    assert_eq!(stored, expected);
    for look in LOOKS {
        let look = format!("select ({look})::text");
        assert_eq!(
            value::<Option<String>>(&mut other, &look),
            value::<Option<String>>(&mut plain, &look),
            "{look}"
        );
    }
    drop((plain, other, _plain_site, _other_site));
    site.run("drop owned by \"Granted\"; drop role \"Granted\"");
}

#[test]
fn worker_is_itself_where_a_database_is_to_begin_as_another_role() {
    let mut site = Site::new();
    let weak = site.role("weak");
    let before = site.leader();
    let database = site.database.clone();
    site.queue("q", "");
    site.run(&format!(
        "alter role postgres in database {database} set role = '{weak}';
         select pg_terminate_backend({before})"
    ));
    site.send("q", "sent by the next one");
    assert_eq!(site.arrival("q").text(), "sent by the next one");
    site.wait_for_delivered(1);
    assert_ne!(site.leader(), before);
}

//! Transforms: functions that queues name, run as whoever sends.

use pg_hooks_tests::site::{Site, refusal, run, value};
use postgres::error::SqlState;

/// A site with queue `q`, whose transform drops small numbers and tells what it was told.
fn site() -> Site {
    let mut site = Site::new();
    site.run(
        "create function public.large(p jsonb, c jsonb) returns jsonb language sql as $$
           select case when (p->>'n')::int > 10 then p || jsonb_build_object('context', c) end $$",
    );
    site.queue("q", ", transform => 'public.large'");
    site
}

#[test]
fn transform_makes_the_body_of_each_kind_of_json_and_null_sends_nothing() {
    for kind in ["text", "json", "jsonb"] {
        let mut site = site();
        let sent: Option<i64> = site.value(&format!(r#"select hooks.send('q', '{{"n": 1}}'::{kind})"#));
        assert_eq!(sent, None, "{kind}");
        site.run(&format!(
            r#"select hooks.send('q', '{{"n": 11}}'::{kind}, headers => '{{"X-A": "b"}}')"#
        ));
        let body: serde_json::Value = serde_json::from_str(site.arrival("q").text()).unwrap();
        let context = serde_json::json!({"queue": "q", "headers": {"X-A": "b"}});
        assert_eq!(body, serde_json::json!({"n": 11, "context": context}), "{kind}");
    }
}

#[test]
fn batch_has_null_where_nothing_is_sent_and_goes_on_in_order() {
    let mut site = site();
    let ids: Vec<Option<i64>> = site.column(
        r#"select hooks.send_batch('q', array['{"n": 11}', '{"n": 1}', null, '{"n": 12}'], ordering_key => 'k')"#,
    );
    assert_eq!(ids, [Some(1), None, Some(2), Some(3)]);
    let arrived = site.arrivals("q", 3);
    assert!(arrived[0].text().contains("\"n\": 11"));
    assert_eq!(arrived[1].text(), "", "nothing to transform");
    assert!(arrived[2].text().contains("\"n\": 12"));
}

#[test]
fn body_that_is_not_json_is_refused() {
    let mut site = site();
    for send in [
        "send('q', 'no json')",
        "send_batch('q', array['{\"n\": 11}', 'no json'])",
    ] {
        let refused = site.refusal(&format!("select hooks.{send}"));
        assert_eq!(refused.code, "22023", "{send}");
        assert_eq!(
            refused.message,
            "body is not JSON, which transform public.large takes"
        );
        assert!(!refused.hint.is_empty());
    }
    for send in ["send('q', '1'::bytea)", "send_batch('q', array['1']::bytea[])"] {
        let refused = site.refusal(&format!("select hooks.{send}"));
        assert_eq!(refused.code, "22023", "{send}");
        assert_eq!(
            refused.message,
            "binary body for a queue with transform public.large"
        );
    }
    assert_eq!(site.value::<i64>("select count(*) from hooks.message"), 0);
}

#[test]
fn change_of_the_transform_holds_for_the_next_send() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.send('q', 'as it is')");
    assert_eq!(site.arrival("q").text(), "as it is");
    site.run(
        "create function public.one(p jsonb, c jsonb) returns jsonb language sql as $$ select '1'::jsonb $$;
         select hooks.alter_queue('q', transform => 'public.one')",
    );
    site.run("select hooks.send('q', '0')");
    assert_eq!(site.arrivals("q", 2)[1].text(), "1");
    site.run("select hooks.alter_queue('q', reset => '{transform}')");
    site.run("select hooks.send('q', '0')");
    assert_eq!(site.arrivals("q", 3)[2].text(), "0");
}

#[test]
fn transform_runs_as_the_sender_and_only_if_he_trusts_its_owner() {
    let mut site = Site::new();
    site.run(
        "create function public.who(p jsonb, c jsonb) returns jsonb language sql as 'select to_jsonb(current_user::text)'",
    );
    site.queue("q", ", transform => 'public.who'");
    let mut sender = site.connect_as_member("hooks_sender");
    run(&mut sender, "select hooks.send('q', '1')");
    let name: String = value(&mut sender, "select current_user::text");
    assert_eq!(site.arrival("q").text(), format!("\"{name}\""));

    let mut admin = site.connect_as_member("hooks_admin");
    let owner: String = value(&mut admin, "select current_user::text");
    site.run(&format!(
        "create schema own authorization {owner}; grant usage on schema own to public"
    ));
    run(
        &mut admin,
        "create function own.trap(p jsonb, c jsonb) returns jsonb language plpgsql as $$
         begin
           raise exception 'trapped';
         end $$;
         select hooks.alter_queue('q', transform => 'own.trap')",
    );
    for send in ["send('q', '1')", "send_batch('q', array['1'])"] {
        for client in [&mut site.client, &mut sender] {
            let refused = refusal(client, &format!("select hooks.{send}"));
            assert_eq!(refused.code, SqlState::INSUFFICIENT_PRIVILEGE.code(), "{send}");
            assert!(
                refused.message.contains("does not trust its owner"),
                "{}",
                refused.message
            );
        }
    }
    assert_eq!(
        refusal(&mut admin, "select hooks.send('q', '1')").message,
        "trapped"
    );
}

#[test]
fn changes_of_a_table_are_transformed_as_whoever_changes_it() {
    for level in ["row", "statement"] {
        let mut site = Site::new();
        site.run(
            "create table public.t (n int);
             create function public.odd(p jsonb, c jsonb) returns jsonb language sql as $$
               select case when (p #>> '{new,n}')::int % 2 = 1
                 then jsonb_build_object('n', p #> '{new,n}', 'queue', c -> 'queue') end $$",
        );
        site.queue("q", ", transform => 'public.odd'");
        site.run(&format!(
            "create trigger tell after insert on public.t {} for each {level} execute function hooks.emit('q')",
            if level == "row" { "" } else { "referencing new table as new_rows" },
        ));
        site.run("insert into public.t select generate_series(1, 3)");
        let mut bodies: Vec<String> = site
            .arrivals("q", 2)
            .iter()
            .map(|request| request.text().to_owned())
            .collect();
        bodies.sort();
        assert_eq!(
            bodies,
            [r#"{"n": 1, "queue": "q"}"#, r#"{"n": 3, "queue": "q"}"#],
            "{level}"
        );
        site.settle();
        assert_eq!(site.arrived("q"), 2, "{level}");
    }
}

#[test]
fn function_that_is_none_is_refused_and_one_that_is_gone_stops_the_send() {
    let mut site = site();
    let url = site.receiver.url("/other");
    for transform in [
        "large",
        "public.nothing",
        "pg_catalog.now",
        "pg_catalog.jsonb_each",
    ] {
        let refused = site.refusal(&format!(
            "select hooks.create_queue('other', '{url}', transform => '{transform}')"
        ));
        assert_eq!(refused.code, "22023", "{transform}");
        assert!(!refused.hint.is_empty());
    }
    site.run("drop function public.large");
    let refused = site.refusal("select hooks.send('q', '{}')");
    assert_eq!(refused.code, "42883");
    assert_eq!(
        refused.message,
        "transform public.large(jsonb, jsonb) does not exist"
    );
}

#[test]
fn events_and_plain_rows_are_not_transformed() {
    let mut site = site();
    site.run(
        "select hooks.subscribe('a', 'q');
         select hooks.publish('a', '1');
         insert into hooks.message (queue_id, body) select id, '2' from hooks.queue",
    );
    let mut bodies: Vec<String> = site
        .arrivals("q", 2)
        .iter()
        .map(|r| r.text().to_owned())
        .collect();
    bodies.sort();
    assert_eq!(bodies, ["1", "2"]);
}

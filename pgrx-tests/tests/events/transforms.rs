//! Transforms: functions that subscriptions name, run as whoever publishes.

use pg_hooks_tests::site::{Refusal, Site, refusal, run, value};

fn denied(refused: &Refusal) -> bool {
    refused.code == "42501"
}

#[test]
fn transform_makes_the_body_and_null_drops_the_message() {
    let mut site = Site::new();
    site.queue("q", "");
    site.queue("raw", "");
    site.run(
        "create function public.large(p jsonb, c jsonb) returns jsonb language sql as $$
           select case when (p->>'n')::int > 10 then p || jsonb_build_object('context', c) end $$;
         select hooks.subscribe('a', 'q', transform => 'public.large');
         select hooks.subscribe('a', 'raw')",
    );
    assert_eq!(
        site.value::<i32>(r#"select messages from hooks.publish('a', '{"n": 1}')"#),
        1
    );
    assert_eq!(
        site.value::<i32>(
            r#"select messages from hooks.publish('a', '{"n": 11}', metadata => '{"k": "v"}')"#
        ),
        2
    );
    let body: serde_json::Value = serde_json::from_str(site.arrival("q").text()).unwrap();
    let context =
        serde_json::json!({"type": "a", "metadata": {"k": "v"}, "subscription_id": 1, "queue": "q"});
    assert_eq!(body, serde_json::json!({"n": 11, "context": context}));
    assert_eq!(site.arrivals("raw", 2).len(), 2);
    assert_eq!(site.value::<i64>("select count(*) from hooks.event_status(2)"), 2);
}

#[test]
fn transformed_body_is_wrapped_like_a_payload_and_json_null_is_sent() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "create function public.nothing(p jsonb, c jsonb) returns jsonb language sql as $$ select 'null'::jsonb $$;
         select hooks.subscribe('a', 'q', transform => 'public.nothing', envelope => 'standard');
         select hooks.publish('a', '1')",
    );
    let arrived = site.arrival("q");
    assert!(arrived.text().ends_with("\"data\":null}"), "{}", arrived.text());
}

#[test]
fn transform_runs_as_the_caller_in_his_search_path() {
    let mut site = Site::new();
    site.queue("q", "");
    let mut sender = site.connect_as_member("hooks_sender");
    site.run(
        "create schema app;
         create table app.secret (word text);
         insert into app.secret values ('open sesame');
         grant usage on schema app to public;
         create function public.who(p jsonb, c jsonb) returns jsonb language plpgsql as $$
         begin
           return to_jsonb(current_user::text || ' ' || (select word from secret));
         end $$;
         select hooks.subscribe('a', 'q', transform => 'public.who')",
    );
    run(&mut sender, "set search_path = app");
    let refused = refusal(&mut sender, "select hooks.publish('a', '1')");
    assert_eq!(refused.message, "permission denied for table secret");
    assert!(denied(&refused));
    site.run("grant select on app.secret to public");
    run(&mut sender, "select hooks.publish('a', '1')");
    let sender: String = value(&mut sender, "select current_user::text");
    assert_eq!(site.arrival("q").text(), format!("\"{sender} open sesame\""));
}

#[test]
fn caller_must_be_allowed_to_execute_it() {
    let mut site = Site::new();
    site.queue("q", "");
    let mut sender = site.connect_as_member("hooks_sender");
    site.run(
        "create function public.f(p jsonb, c jsonb) returns jsonb language sql as 'select p';
         revoke all on function public.f from public;
         select hooks.subscribe('a', 'q', transform => 'public.f')",
    );
    let refused = refusal(&mut sender, "select hooks.publish('a', '1')");
    assert_eq!(refused.message, "permission denied for function f");
    assert!(denied(&refused));
}

/// Or whoever is granted hooks_admin has superusers run what he likes.
#[test]
fn function_of_a_stranger_is_not_run() {
    let mut site = Site::new();
    site.queue("q", "");
    let mut admin = site.connect_as_member("hooks_admin");
    let mut sender = site.connect_as_member("hooks_sender");
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
         select hooks.subscribe('a', 'q', transform => 'own.trap')",
    );
    for client in [&mut site.client, &mut sender] {
        let refused = refusal(client, "select hooks.publish('a', '1')");
        assert!(denied(&refused), "{refused:?}");
        assert!(
            refused.message.contains("does not trust its owner"),
            "{refused:?}"
        );
        assert!(!refused.hint.is_empty());
    }
    let refused = refusal(&mut admin, "select hooks.publish('a', '1')");
    assert_eq!(refused.message, "trapped", "it is his own");
    let sender_name: String = value(&mut sender, "select current_user::text");
    site.run(&format!("grant {owner} to {sender_name}"));
    let refused = refusal(&mut sender, "select hooks.publish('a', '1')");
    assert_eq!(refused.message, "trapped", "a member trusts");
    let refused = site.refusal("select hooks.publish('a', '1')");
    assert!(denied(&refused), "a superuser is no member: {refused:?}");
}

#[test]
fn unfit_function_is_refused_and_a_dropped_one_is_named() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run(
        "create function public.text_out(p jsonb, c jsonb) returns text language sql as 'select null::text';
         create function public.fine(p jsonb, c jsonb) returns jsonb language sql as 'select p'",
    );
    for name in [
        "fine",
        "public.text_out",
        "public.missing",
        "public.fine(jsonb, jsonb)",
        "a.b.c",
        "\"",
        "",
    ] {
        let refused = site.refusal(&format!(
            "select hooks.subscribe('a', 'q', transform => '{name}')"
        ));
        assert_eq!(refused.code, "22023", "{name}");
        assert_eq!(
            refused.message,
            format!("\"{name}\" is not a function (jsonb, jsonb) that returns jsonb")
        );
    }
    site.run("select hooks.subscribe('a', 'q', transform => 'public.fine'); drop function public.fine");
    let refused = site.refusal("select hooks.publish('a', '1')");
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        ("42883", "transform public.fine(jsonb, jsonb) does not exist")
    );
    site.run("select hooks.alter_subscription(id, active => false) from hooks.subscription; select hooks.publish('a', '1')");
}

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
    assert!(denied(&refused), "others can be members too: {refused:?}");
    site.run(&format!(
        "revoke {owner} from {sender_name}; grant {sender_name} to {owner}"
    ));
    let refused = refusal(&mut sender, "select hooks.publish('a', '1')");
    assert_eq!(
        refused.message, "trapped",
        "its owner may act as the sender anyway"
    );
}

/// All members of a role can give functions to it.
#[test]
fn function_given_to_a_shared_role_is_not_run() {
    let mut site = Site::new();
    site.queue("q", "");
    let mut mallory = site.connect_as_member("hooks_admin");
    let mut alice = site.connect_as_member("hooks_sender");
    let alice_name: String = value(&mut alice, "select current_user::text");
    let mallory_name: String = value(&mut mallory, "select current_user::text");
    let shared = format!("shared_{}", site.database);
    site.run(&format!(
        "create role {shared}; grant {shared} to {alice_name}, {mallory_name};
         create schema own authorization {shared}; grant usage on schema own to public;
         alter database \"{}\" owner to {shared}",
        site.database
    ));
    run(
        &mut mallory,
        &format!(
            "create function own.trap(p jsonb, c jsonb) returns jsonb language plpgsql as $$
             begin raise exception 'trapped'; end $$;
             alter function own.trap owner to {shared};
             select hooks.subscribe('a', 'q', transform => 'own.trap')"
        ),
    );
    let refused = refusal(&mut alice, "select hooks.publish('a', '1')");
    assert!(denied(&refused), "{refused:?}");
}

/// The first transform puts a function of a stranger where the second one was.
#[test]
fn owner_is_asked_for_when_the_function_runs() {
    let mut site = Site::new();
    site.queue("q", "");
    let mut sender = site.connect_as_member("hooks_sender");
    let name: String = value(&mut sender, "select current_user::text");
    site.run(&format!(
        "create role stranger_{name};
         create function public.second(jsonb, jsonb) returns jsonb language sql as 'select $1';
         create function public.first(jsonb, jsonb) returns jsonb language plpgsql security definer as $$
         begin
           alter function public.second owner to stranger_{name};
           return $1;
         end $$;
         select hooks.subscribe('a', 'q', transform => 'public.first');
         select hooks.subscribe('a', 'q', transform => 'public.second');
         grant create on schema public to stranger_{name}"
    ));
    let refused = refusal(&mut sender, "select hooks.publish('a', '1')");
    assert!(denied(&refused), "{refused:?}");
    assert!(refused.message.contains("public.second"), "{refused:?}");
}

#[test]
fn role_of_any_name_publishes_to_a_transform() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    site.run(&format!(
        "create function public.same(jsonb, jsonb) returns jsonb language sql as 'select $1';
         select hooks.subscribe('a', 'q', transform => 'public.same');
         create role \"Mixed. {0}\" in role hooks_sender;
         alter function public.same owner to \"Mixed. {0}\";
         set role \"Mixed. {0}\"; select hooks.publish('a', '1'); reset role",
        site.database
    ));
    assert_eq!(site.value::<String>("select body from hooks.message"), "1");
}

#[test]
fn strict_transform_and_sql_function_see_what_the_publisher_did() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    site.run(
        "create table public.seen (n int);
         create function public.f(jsonb, jsonb) returns jsonb language sql stable strict as
           'select to_jsonb(count(*)) from public.seen';
         select hooks.subscribe('a', 'q', transform => 'public.f');
         begin; insert into public.seen values (1); select hooks.publish('a', '1'); commit",
    );
    assert_eq!(site.value::<String>("select body from hooks.message"), "1");
}

/// A transform that waits until the test lets it go, and others.
const SLOW: &str = "
    create function public.slow(p jsonb, c jsonb) returns jsonb language plpgsql as $$
      begin perform pg_advisory_xact_lock(7); return null; end $$;
    create function public.other(p jsonb, c jsonb) returns jsonb language sql as 'select ''\"other\"''::jsonb';";

/// Publishes, and runs a script in another session while `slow` waits.
fn publish_during(site: &mut Site, script: &str) {
    let (mut keeper, mut publisher) = (site.connect(), site.connect());
    run(&mut keeper, "select pg_advisory_lock(7)");
    std::thread::scope(|scope| {
        // Gone with the closure, also when that fails, and its lock with it.
        let mut keeper = keeper;
        let publishing = scope.spawn(|| run(&mut publisher, "select hooks.publish('a', '1')"));
        site.wait_until(
            "select exists (select from pg_locks where locktype = 'advisory' and objid = 7 and not granted
               and database = (select oid from pg_database where datname = current_database()))",
        );
        site.run(script);
        run(&mut keeper, "select pg_advisory_unlock(7)");
        publishing.join().expect("it does not panic");
    });
}

#[test]
fn subscription_that_gets_a_transform_while_another_one_runs_has_its_message() {
    for script in [
        "select hooks.alter_subscription(2, transform => 'public.other')",
        "select hooks.unsubscribe(2); select hooks.subscribe('a', 'q', transform => 'public.other')",
    ] {
        let mut site = Site::new();
        site.queue("q", ", active => false");
        site.run(SLOW);
        site.run("select hooks.subscribe('a', 'q', transform => 'public.slow'), hooks.subscribe('a', 'q')");
        publish_during(&mut site, script);
        let bodies = site.column::<String>("select body from hooks.message");
        assert_eq!(bodies, ["\"other\""], "{script}");
    }
}

#[test]
fn transform_that_wanted_no_message_is_heeded_though_it_is_taken_away_meanwhile() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    site.run(SLOW);
    site.run("select hooks.subscribe('a', 'q', transform => 'public.slow')");
    publish_during(
        &mut site,
        "update hooks.subscription set transform = 'public.other' where id = 1",
    );
    assert_eq!(site.value::<i64>("select count(*) from hooks.message"), 0);
}

#[test]
fn transform_that_makes_further_ones_without_end_fails_and_stores_nothing() {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    site.run(
        "create function public.breeding(p jsonb, c jsonb) returns jsonb language plpgsql as $$
         begin
           perform hooks.subscribe('a', 'q', transform => 'public.breeding');
           return p;
         end $$;
         select hooks.subscribe('a', 'q', transform => 'public.breeding')",
    );
    let refused = site.refusal("select hooks.publish('a', '1')");
    assert_eq!(refused.code, "40001", "{refused:?}");
    assert!(refused.hint.ends_with('.'), "{refused:?}");
    assert_eq!(site.value::<i64>("select count(*) from hooks.event"), 0);
}

/// So a restore does not fail for what nothing needs.
#[test]
fn missing_function_of_an_inactive_subscription_is_a_warning() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.subscribe('a', 'q', transform => 'public.later', active => false)");
    let activate = "select hooks.alter_subscription(id, active => true) from hooks.subscription";
    assert_eq!(site.refusal(activate).code, "22023");
    site.run("create function public.later(jsonb, jsonb) returns jsonb language sql as 'select $1'");
    site.run(activate);
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

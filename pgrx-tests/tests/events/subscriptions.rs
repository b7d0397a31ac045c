//! Subscriptions as functions and as a plain table.

use pg_hooks_tests::site::Site;

#[test]
fn subscriptions_are_made_changed_listed_and_removed() {
    let mut site = Site::new();
    site.queue("one", "");
    site.queue("two", "");
    let id: i64 =
        site.value("select hooks.subscribe('shop.order.*', 'one', '$.n > 1', description => 'large')");
    site.run(
        "select hooks.subscribe('shop.*', 'two', active => false); select hooks.subscribe('*.order', 'two')",
    );
    let mut listed = |arguments: &str| -> Vec<i64> {
        site.column(&format!("select id from hooks.list_subscriptions({arguments})"))
    };
    assert_eq!(listed(""), [1, 2, 3]);
    assert_eq!(listed("'shop.'"), [1, 2]);
    assert_eq!(listed("'shop.', true"), [1]);
    assert_eq!(listed("active => false"), [2]);
    assert_eq!(listed("queue => 'two'"), [2, 3]);
    assert_eq!(listed("row_limit => 1"), [1]);
    assert_eq!(listed("row_limit => 1, after_id => 1"), [2]);
    site.run(&format!(
        "select hooks.alter_subscription({id}, 'shop.**', 'two', envelope => 'standard', reset => '{{filter}}')"
    ));
    let told: String = site.value(&format!(
        "select concat_ws(' ', pattern, to_queue, filter, envelope, is_active, description)
         from hooks.list_subscriptions() where id = {id}"
    ));
    assert_eq!(told, "shop.** two standard t large");
    assert_eq!(
        site.value::<i32>("select messages from hooks.publish('shop', '{}')"),
        1
    );
    assert!(site.value::<bool>(&format!("select hooks.unsubscribe({id})")));
    assert!(!site.value::<bool>(&format!("select hooks.unsubscribe({id})")));
    assert_eq!(
        site.value::<i32>("select messages from hooks.publish('shop', '{}')"),
        0
    );
}

#[test]
fn plain_statements_work_like_the_functions() {
    let mut site = Site::new();
    let queue = site.queue("q", "");
    site.run(&format!(
        "insert into hooks.subscription (pattern, queue_id, match_key) values ('a.*', {queue}, 'ignored')"
    ));
    let publish = |kind: &str| format!("select messages from hooks.publish('{kind}', '{{}}')");
    assert_eq!(site.value::<i32>(&publish("a.b")), 1);
    site.run("update hooks.subscription set pattern = 'b.*'");
    assert_eq!(
        (
            site.value::<i32>(&publish("a.b")),
            site.value::<i32>(&publish("b.b"))
        ),
        (0, 1)
    );
    site.run("delete from hooks.subscription");
    assert_eq!(site.value::<i32>(&publish("b.b")), 0);
}

#[test]
fn bad_subscriptions_are_refused() {
    let mut site = Site::new();
    let queue = site.queue("q", "");
    for (statement, code, message) in [
        (
            "select hooks.subscribe('a', 'none')",
            "42704",
            "queue \"none\" does not exist",
        ),
        (
            "insert into hooks.subscription (pattern, queue_id) values ('a', 99)",
            "42704",
            "queue with id 99 does not exist",
        ),
        (
            "select hooks.subscribe('a', 'q', headers => '{\"webhook-id\": \"x\"}')",
            "22023",
            "header \"webhook-id\" is reserved",
        ),
        (
            "select hooks.subscribe(null, 'q')",
            "22023",
            "id, pattern, queue_id and active must not be null",
        ),
        (
            "select hooks.alter_subscription(9, 'a')",
            "42704",
            "subscription 9 does not exist",
        ),
        (
            "select hooks.alter_subscription(9, reset => '{queue}')",
            "22023",
            "\"queue\" cannot be reset",
        ),
        (
            "select hooks.list_subscriptions(row_limit => 0)",
            "22023",
            "row_limit must be between 1 and 10000",
        ),
    ] {
        let refused = site.refusal(statement);
        assert_eq!((refused.code.as_str(), refused.message.as_str()), (code, message));
        assert!(!refused.hint.is_empty(), "{statement}");
    }
    let refused = site.refusal(&format!(
        "create table own (id int);
         create trigger t before insert on own for each row execute function hooks.check_subscription();
         insert into own values ({queue})"
    ));
    assert_eq!(refused.code, "0A000");
}

#[test]
fn queue_with_subscriptions_is_not_dropped() {
    let mut site = Site::new();
    site.queue("q", "");
    site.run("select hooks.subscribe('a', 'q')");
    let refused = site.refusal("select hooks.drop_queue('q', cancel_messages => true)");
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        ("2BP01", "queue \"q\" still has subscriptions")
    );
    assert_eq!(site.refusal("delete from hooks.queue").code, "23503");
    site.run("select hooks.unsubscribe(1); select hooks.drop_queue('q')");
}

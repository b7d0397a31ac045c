//! The messages that triggers stored, read as JSON.

use pg_hooks_tests::site::Site;
use serde_json::{Value, json};

/// A site with the queue `q`, which sends nothing, so that messages stay to be looked at.
#[track_caller]
pub fn site(script: &str) -> Site {
    let mut site = Site::new();
    site.queue("q", ", active => false");
    site.run(script);
    site
}

/// Takes all messages away, and gives their bodies without the time and the transaction.
#[track_caller]
pub fn taken(site: &mut Site) -> Vec<Value> {
    let bodies = site.column::<String>("select body from hooks.message order by id");
    site.run("delete from hooks.message");
    let parsed = bodies.iter().map(|body| {
        let mut body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{body}: {error}"));
        let fields = body.as_object_mut().expect("a body is an object");
        fields.shift_remove("at").expect("a body has a time");
        fields.shift_remove("txid").expect("a body has a transaction");
        body
    });
    parsed.collect()
}

/// What a message says of a row of `public.t`.
pub fn of_t(operation: &str, old: Value, new: Value, changed: Value) -> Value {
    json!({ "op": operation, "schema": "public", "table": "t", "old": old, "new": new, "changed": changed })
}

pub fn inserted(new: Value) -> Value {
    of_t("insert", Value::Null, new, Value::Null)
}

pub fn updated(old: Value, new: Value, changed: Value) -> Value {
    of_t("update", old, new, changed)
}

pub fn deleted(old: Value) -> Value {
    of_t("delete", old, Value::Null, Value::Null)
}

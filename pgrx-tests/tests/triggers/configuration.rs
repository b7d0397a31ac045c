//! Triggers that are made wrongly fail the statement, and say what is wrong with which of them.

use pg_hooks_tests::site::Refusal;

use crate::messages::site;

#[test]
fn each_mistake_is_named_with_its_trigger() {
    let mut site = site("create table t (id int);");
    for (arguments, code, message) in [
        (
            "",
            "22023",
            "hooks.emit() is told neither a queue nor an event type",
        ),
        (
            "'queue=q', 'event=a.b'",
            "22023",
            "hooks.emit() is told a queue and an event type",
        ),
        ("'nowhere'", "42704", "queue \"nowhere\" does not exist"),
        ("'q', 'colums=id'", "22023", "option \"colums\" is not known"),
        (
            "'q', 'columns=id', 'columns=id'",
            "22023",
            "option \"columns\" is given twice",
        ),
        (
            "'q', 'columns=id', 'exclude=id'",
            "22023",
            "options columns and exclude exclude each other",
        ),
        (
            "'q', 'columns=id,'",
            "22023",
            "option \"columns\" is not a list of column names",
        ),
        ("'q', 'columns=ID'", "42703", "column \"ID\" does not exist"),
        (
            "'q', 'exclude=nothing'",
            "42703",
            "column \"nothing\" does not exist",
        ),
        (
            "'q', 'ordering_key=ctid'",
            "42703",
            "column \"ctid\" does not exist",
        ),
        ("'q', 'headers=[]'", "22023", "headers are not a JSON object"),
        ("'a.{nothing}'", "22023", "placeholder \"{nothing}\" is not known"),
    ] {
        site.run(&format!(
            "create trigger mine after insert on t for each row execute function hooks.emit({arguments})"
        ));
        let error = site.client.batch_execute("insert into t values (1)").unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(
            (error.code().code(), error.message()),
            (code, message),
            "{arguments}"
        );
        assert!(
            error.hint().is_some_and(|hint| hint.ends_with('.')),
            "{arguments}"
        );
        let detail = "Trigger \"mine\" of table public.t calls hooks.emit().";
        assert_eq!(error.detail(), Some(detail), "{arguments}");
        site.run("drop trigger mine on t");
    }
    assert_eq!(site.value::<i64>("select count(*) from t"), 0);
}

#[test]
fn other_calls_than_after_triggers_are_refused() {
    let mut site = site("create table t (id int); create view v as select * from t;");
    let expected = Refusal {
        code: "0A000".to_owned(),
        message: "hooks.emit() can only be an AFTER trigger".to_owned(),
        hint: "Create the trigger with AFTER, or let hooks.watch() do it.".to_owned(),
    };
    assert_eq!(site.refusal("select hooks.emit()"), expected);
    for (event, table) in [
        ("before insert on t for each row", "t"),
        ("before insert on t for each statement", "t"),
        ("instead of insert on v for each row", "v"),
    ] {
        site.run(&format!(
            "create trigger e {event} execute function hooks.emit('q')"
        ));
        assert_eq!(
            site.refusal(&format!("insert into {table} values (1)")),
            expected,
            "{event}"
        );
        site.run(&format!("drop trigger e on {table}"));
    }
}

#[test]
fn messages_are_not_sent_of_messages() {
    let mut site = site("");
    site.run("create trigger e after insert on hooks.message for each row execute function hooks.emit('q')");
    let refused = site.refusal("select hooks.send('q', 'x')");
    assert_eq!(refused.code, "0A000");
    assert_eq!(refused.message, "messages cannot be sent of hooks.message");
}

#[test]
fn triggers_of_our_other_tables_send() {
    let mut site = site("");
    site.run(
        "create trigger e after insert on hooks.queue for each row execute function hooks.emit('q', 'columns=name');
         select hooks.create_queue('another', 'https://example.com/')",
    );
    assert!(site.value::<bool>("select body like '%\"name\":\"another\"%' from hooks.message"));
}

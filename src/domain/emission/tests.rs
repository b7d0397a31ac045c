use super::{
    Columns, Emission, InvalidEmission, Name, Operation, Target, expand, key, names, write_json_string,
};

fn parse(arguments: &[&str]) -> Result<Emission, InvalidEmission> {
    Emission::parse(arguments.iter().map(|argument| argument.as_bytes()))
}

fn name(text: &str) -> Name {
    text.as_bytes().to_vec()
}

#[test]
fn plain_target_is_a_queue_without_a_dot_and_an_event_with_one() {
    let target = |argument: &str| parse(&[argument]).map(|emission| emission.target);
    assert_eq!(target("billing"), Ok(Target::Queue(name("billing"))));
    assert_eq!(target("order.{op}"), Ok(Target::Event(name("order.{op}"))));
    assert_eq!(target("queue=my.queue"), Ok(Target::Queue(name("my.queue"))));
    assert_eq!(target("event=signup"), Ok(Target::Event(name("signup"))));
    assert_eq!(target("queue=a=b"), Ok(Target::Queue(name("a=b"))));
}

#[test]
fn options_are_read() {
    let emission = parse(&[
        "billing",
        "columns=id, Total",
        "ordering_key=id,\"a,b\"",
        "headers={}",
    ]);
    let expected = Emission {
        target: Target::Queue(name("billing")),
        columns: Columns::Only(vec![name("id"), name("Total")]),
        ordering_key: vec![name("id"), name("a,b")],
        headers: Some(name("{}")),
    };
    assert_eq!(emission, Ok(expected));
    let excluding = parse(&["exclude=secret", "queue=q"]).unwrap();
    assert_eq!(excluding.columns, Columns::AllBut(vec![name("secret")]));
}

#[test]
fn arguments_that_say_nothing_or_several_things_are_refused() {
    use InvalidEmission::*;
    let cases: [(&[&str], InvalidEmission); 14] = [
        (&[], NoTarget),
        (&[""], NoTarget),
        (&["queue="], NoTarget),
        (&["columns=id"], NoTarget),
        (&["billing", "event=a.b"], SeveralTargets),
        (&["billing", "queue=other"], RepeatedOption(name("queue"))),
        (&["billing", "other"], UnknownOption(name("other"))),
        (&["billing", "column=id"], UnknownOption(name("column"))),
        (&["a=b"], UnknownOption(name("a"))),
        (
            &["billing", "columns=a", "columns=b"],
            RepeatedOption(name("columns")),
        ),
        (&["billing", "columns=a", "exclude=b"], ColumnsAndExclude),
        (&["billing", "columns="], InvalidList(name("columns"))),
        (
            &["billing", "ordering_key=a,,b"],
            InvalidList(name("ordering_key")),
        ),
        (&["a.{operation}"], UnknownPlaceholder(name("{operation}"))),
    ];
    for (arguments, expected) in cases {
        assert_eq!(parse(arguments), Err(expected), "{arguments:?}");
    }
}

#[test]
fn names_are_taken_as_they_are() {
    let parsed = |list: &str| names::parse(list.as_bytes());
    let of = |names: &[&str]| Some(names.iter().map(|text| name(text)).collect::<Vec<_>>());
    assert_eq!(parsed(" id ,createdAt"), of(&["id", "createdAt"]));
    assert_eq!(parsed("\"a \"\"b\"\", c\" , d"), of(&["a \"b\", c", "d"]));
    assert_eq!(parsed("two words"), of(&["two words"]));
    for torn in ["", ",", "a,", "\"a", "\"a\"b", "a\"b\"", "\"\""] {
        assert_eq!(parsed(torn), None, "{torn}");
    }
}

#[test]
fn placeholders_are_filled_in() {
    let expanded = |event: &str| expand(event.as_bytes(), Operation::Truncate, b"public", b"{op}");
    assert_eq!(
        expanded("{schema}.{table}.{op}"),
        Ok(name("public.{op}.truncate"))
    );
    assert_eq!(expanded("order.changed"), Ok(name("order.changed")));
    for event in ["a.{", "a.}", "{op", "{{op}}", "{ op }"] {
        assert!(expanded(event).is_err(), "{event}");
    }
}

#[test]
fn json_strings_are_escaped() {
    let mut json = Vec::new();
    write_json_string("a\"b\\c\n\u{e9}".as_bytes(), &mut json);
    assert_eq!(String::from_utf8(json).unwrap(), "\"a\\\"b\\\\c\\u000a\u{e9}\"");
}

#[test]
fn ordering_key_is_the_values_joined() {
    let joined = |values: &[Option<&str>]| {
        let values = values.iter().map(|value| value.map(name));
        key(values, 20).map(|key| String::from_utf8(key).unwrap())
    };
    assert_eq!(joined(&[]), None);
    assert_eq!(joined(&[None]), None);
    assert_eq!(joined(&[Some("")]), None);
    assert_eq!(joined(&[Some("7")]).as_deref(), Some("7"));
    assert_eq!(joined(&[Some("a"), None, Some("7")]).as_deref(), Some("a,,7"));
    assert_eq!(joined(&[None, None]), None);
    let long = joined(&[Some("a very long ordering key")]);
    assert_eq!(long.as_deref(), Some("fnv1a:3712926a83f71169"));
}

#[test]
fn each_refusal_says_what_is_wrong_and_what_to_do() {
    use InvalidEmission::*;
    let shown = |name: &[u8]| String::from_utf8_lossy(name).to_uppercase();
    for (refused, said, hint) in [
        (
            NoTarget,
            "hooks.emit() is told neither a queue nor an event type",
            "Give one target",
        ),
        (
            SeveralTargets,
            "hooks.emit() is told a queue and an event type",
            "Give one target",
        ),
        (
            UnknownOption(name("colour")),
            "option \"COLOUR\" is not known",
            "Options are queue, event",
        ),
        (
            RepeatedOption(name("queue")),
            "option \"QUEUE\" is given twice",
            "Give each option once",
        ),
        (
            ColumnsAndExclude,
            "options columns and exclude exclude each other",
            "Name the columns",
        ),
        (
            InvalidList(name("columns")),
            "option \"COLUMNS\" is not a list of column names",
            "Separate names",
        ),
        (
            UnknownPlaceholder(name("user")),
            "placeholder \"USER\" is not known",
            "Placeholders are {op}",
        ),
    ] {
        assert_eq!(refused.message(shown), said);
        assert!(
            refused.hint().starts_with(hint) && refused.hint().ends_with('.'),
            "{}",
            refused.hint()
        );
    }
}

#[test]
fn operations_have_the_names_that_targets_are_expanded_with() {
    for (operation, word) in [
        (Operation::Insert, "insert"),
        (Operation::Update, "update"),
        (Operation::Delete, "delete"),
    ] {
        assert_eq!(operation.name(), word);
    }
}

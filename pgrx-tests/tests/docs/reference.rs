//! Functions, relations and settings that the documents name, compared with the catalog.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use pg_hooks_tests::Cluster;
use postgres::Client;

use crate::blocks::{documents, read};

fn client() -> Client {
    static DATABASE: OnceLock<String> = OnceLock::new();
    let cluster = Cluster::shared();
    cluster.connect(DATABASE.get_or_init(|| cluster.create_hooks_database()))
}

/// Every `hooks.name` in a text, and whether it is followed by an argument list.
fn names(text: &str) -> BTreeSet<(String, bool)> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("hooks.") {
        let rest = &text[at + "hooks.".len()..];
        let end = rest
            .find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
            .unwrap_or(rest.len());
        let begins_a_word = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if begins_a_word && end > 0 {
            names.insert((rest[..end].to_owned(), rest[end..].starts_with('(')));
        }
    }
    names
}

#[test]
fn names_are_found() {
    let found = names("`hooks.send()`, hooks.max_in_flight; pg_hooks.so, hooks.Send");
    let expected = [("max_in_flight", false), ("send", true)];
    assert!(
        found
            .iter()
            .map(|(name, called)| (name.as_str(), *called))
            .eq(expected),
        "{found:?}"
    );
}

/// Settings of builds for tests alone.
const OF_TEST_BUILDS: [&str; 1] = ["faults"];

#[test]
fn everything_that_documents_name_exists() {
    let mut client = client();
    let mut seen = 0;
    for document in documents() {
        for (name, called) in names(&read(&document)) {
            let query = "select case when $2 then 'function'
                           when to_regclass('hooks.' || $1) is not null then 'relation'
                           when exists (select from pg_settings where name = 'hooks.' || $1) then 'setting'
                           else 'function' end as kind,
                         exists (select from pg_proc
                                 where proname = $1 and pronamespace = 'hooks'::regnamespace) as is_function";
            let row = client.query_one(query, &[&name, &called]).unwrap();
            let known = row.get::<_, &str>(0) != "function"
                || row.get(1)
                || (!called && OF_TEST_BUILDS.contains(&name.as_str()));
            assert!(
                known,
                "{document}: hooks.{name}{} does not exist",
                if called { "()" } else { "" }
            );
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} names found");
}

/// A setting as README.md prints it: numbers with PostgreSQL's units.
struct Setting {
    name: String,
    default: String,
    range: String,
}

/// The rows of the table in README.md.
fn printed_settings() -> Vec<Setting> {
    let readme = read("README.md");
    let table = readme.split_once("\n## Settings\n").expect("no settings").1;
    let rows = table.lines().take_while(|line| !line.starts_with("## "));
    let mut settings: Vec<Setting> = rows.filter_map(printed_setting).collect();
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    settings
}

fn printed_setting(line: &str) -> Option<Setting> {
    let mut cells = line.split('|').map(|cell| cell.trim().trim_matches('`')).skip(1);
    let name = cells.next().filter(|name| name.starts_with("hooks."))?;
    Some(Setting {
        name: name.to_owned(),
        default: cells.next()?.to_owned(),
        range: cells.next()?.to_owned(),
    })
}

/// What the server knows. The range of what is no number is described in words, and empty here.
fn real_settings(client: &mut Client) -> Vec<Setting> {
    let query = "select name, coalesce(nullif(boot_val, ''), 'empty'), unit, min_val, max_val
                 from pg_settings where name like 'hooks.%' order by name";
    let rows = client.query(query, &[]).unwrap();
    rows.iter()
        .map(|row| {
            let number = |column: usize| Some(with_unit(row.get::<_, Option<&str>>(column)?, row.get(2)));
            let range = number(3).zip(number(4));
            Setting {
                name: row.get(0),
                default: range
                    .as_ref()
                    .and_then(|_| number(1))
                    .unwrap_or_else(|| row.get(1)),
                range: range.map_or_else(String::new, |(min, max)| format!("{min} to {max}")),
            }
        })
        .collect()
}

/// A number in the largest unit that it is a multiple of, as SHOW prints it.
fn with_unit(number: &str, unit: Option<&str>) -> String {
    let units: &[(u64, &str)] = match unit {
        Some("B") => &[(1 << 20, "MB"), (1 << 10, "kB"), (1, "B")],
        Some("s") => &[(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")],
        Some("ms") => &[(86_400_000, "d"), (60_000, "min"), (1_000, "s"), (1, "ms")],
        _ => &[],
    };
    let Ok(value) = number.parse::<u64>() else {
        return number.to_owned();
    };
    let fitting = units
        .iter()
        .find(|(size, _)| value > 0 && value.is_multiple_of(*size));
    fitting.map_or_else(
        || number.to_owned(),
        |(size, unit)| format!("{}{unit}", value / size),
    )
}

#[test]
fn table_of_settings_is_what_the_server_says() {
    let (printed, real) = (printed_settings(), real_settings(&mut client()));
    let names = |settings: &[Setting]| {
        settings
            .iter()
            .map(|setting| setting.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&printed), names(&real));
    for (printed, real) in printed.iter().zip(&real) {
        assert_eq!(printed.default, real.default, "default of {}", real.name);
        assert!(
            real.range.is_empty() || printed.range == real.range,
            "range of {}: {}",
            real.name,
            real.range
        );
    }
}

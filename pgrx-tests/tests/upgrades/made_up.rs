//! Scripts of a version before this one and of one after it, made up from this one.

use pg_hooks_tests::install;
use pg_hooks_tests::releases::CURRENT;

pub const OLDER: &str = "0.0.1";
pub const NEWER: &str = "99.0.0";

/// What the older version lacks: a column, a function with its comment and rights, a view.
const LACKS: &str = "
drop function hooks.is_healthy();
drop view hooks.secrets;
alter table hooks.queue_state drop column last_failure_at;
";

/// The script that creates the older version, and those that lead from one version to the next, by their files.
pub fn scripts() -> Vec<(String, String)> {
    let tree = install::with_extension().unwrap();
    let current = tree.install_script().unwrap();
    let definition = |from: &str, to: &str| -> String {
        let begin = current.find(from).unwrap_or_else(|| panic!("no {from}"));
        let end = begin + current[begin..].find(to).unwrap_or_else(|| panic!("no {to}"));
        current[begin..end].to_owned()
    };
    let update = format!(
        "alter table hooks.queue_state add column last_failure_at timestamptz;
         comment on column hooks.queue_state.last_failure_at is 'When an attempt last failed; up to an hour stale.';
         {}
         grant execute on function hooks.is_healthy() to hooks_admin, hooks_reader;
         revoke all on function hooks.is_healthy() from public;
         {}
         grant select on hooks.secrets to hooks_admin;
         select hooks.announce();\n",
        definition("create function hooks.is_healthy()", "/*"),
        definition("create view hooks.secrets", "/*"),
    );
    let older = current.replace(
        "select hooks.announce();",
        &format!("{LACKS}select hooks.announce();"),
    );
    assert_ne!(older, current);
    let announces = || "select hooks.announce();".to_owned();
    vec![
        (format!("pg_hooks--{OLDER}.sql"), older),
        (format!("pg_hooks--{OLDER}--{CURRENT}.sql"), update),
        (format!("pg_hooks--{CURRENT}--{NEWER}.sql"), announces()),
        (format!("pg_hooks--{NEWER}--{CURRENT}.sql"), announces()),
    ]
}

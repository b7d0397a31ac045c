//! Settings of databases and roles that would break a worker that followed them.
//!
//! With `PG_HOOKS_HOSTILE=1` in the environment, every cluster has them: any test is then one of the worker among
//! them. What would break the tests' own statements, their sessions take back for themselves.

use postgres::Client;

/// As whom workers run, and tests that are nobody else.
pub const SUPERUSER: &str = "postgres";

/// For all roles, as a role's own, as those of a database, and as those of a role in a database.
const FOR_ALL: [(&str, &str); 7] = [
    ("timezone", "'Pacific/Chatham'"),
    ("datestyle", "'SQL, DMY'"),
    ("intervalstyle", "'sql_standard'"),
    ("standard_conforming_strings", "off"),
    ("escape_string_warning", "off"),
    ("backslash_quote", "off"),
    ("quote_all_identifiers", "on"),
];
const FOR_THE_ROLE: [(&str, &str); 6] = [
    ("session_replication_role", "'replica'"),
    ("bytea_output", "'escape'"),
    ("row_security", "off"),
    ("extra_float_digits", "-5"),
    ("xmlbinary", "'hex'"),
    ("client_min_messages", "'error'"),
];
const FOR_THE_DATABASE: [(&str, &str); 9] = [
    ("search_path", "nowhere, \"$user\", public"),
    ("default_transaction_read_only", "on"),
    ("default_transaction_isolation", "'serializable'"),
    ("default_transaction_deferrable", "on"),
    ("transform_null_equals", "on"),
    ("array_nulls", "off"),
    ("plan_cache_mode", "'force_custom_plan'"),
    ("synchronous_commit", "off"),
    ("enable_indexscan", "off"),
];
const FOR_THE_ROLE_THERE: [(&str, &str); 3] = [
    ("statement_timeout", "'1ms'"),
    ("lock_timeout", "'1ms'"),
    ("idle_in_transaction_session_timeout", "'1ms'"),
];

/// What sessions of tests take back: what forbids their statements, and by what their own literals and what they
/// print would read otherwise.
const OPTIONS: &str = "-c default_transaction_read_only=off -c default_transaction_deferrable=off \
    -c default_transaction_isolation=read\\ committed -c statement_timeout=0 -c lock_timeout=0 \
    -c idle_in_transaction_session_timeout=0 -c synchronous_commit=on \
    -c standard_conforming_strings=on -c backslash_quote=safe_encoding -c array_nulls=on \
    -c quote_all_identifiers=off -c intervalstyle=postgres -c client_min_messages=notice -c enable_indexscan=on";

/// What only those of the superuser may take back, for whom alone it is set: without, no trigger of a test fires.
const OPTIONS_OF_SUPERUSER: &str = "-c session_replication_role=origin";

/// Whether clusters are to have these settings.
pub fn is_wanted() -> bool {
    std::env::var_os("PG_HOOKS_HOSTILE").is_some_and(|value| !value.is_empty())
}

/// Options for a session of a test as this user.
pub fn options(user: &str) -> Option<String> {
    let further = if user == SUPERUSER {
        OPTIONS_OF_SUPERUSER
    } else {
        ""
    };
    is_wanted().then(|| format!("{OPTIONS} {further}"))
}

/// Sets them for everybody, and for the superuser, as whom workers run.
pub fn set_for_roles(client: &mut Client) {
    for (name, value) in FOR_ALL {
        set(client, "role all", name, value);
    }
    for (name, value) in FOR_THE_ROLE {
        set(client, "role postgres", name, value);
    }
}

/// Sets them for a database.
pub fn set_for_database(client: &mut Client, database: &str) {
    for (name, value) in FOR_THE_DATABASE {
        set(client, &format!("database \"{database}\""), name, value);
    }
    for (name, value) in FOR_THE_ROLE_THERE {
        set(
            client,
            &format!("role postgres in database \"{database}\""),
            name,
            value,
        );
    }
}

fn set(client: &mut Client, of: &str, name: &str, value: &str) {
    let statement = format!("alter {of} set {name} = {value}");
    client
        .batch_execute(&statement)
        .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
}

//! pg_hooks: transactional webhooks, delivered from inside PostgreSQL.
//!
//! `docs/architecture.md` describes how the rooms of this crate work together.

#![deny(ffi_unwind_calls)]

use pgrx::prelude::*;

mod api;
pub mod deliver;
pub mod domain;
mod error;
mod fault;
mod guc;
mod hold;
mod launcher;
mod leader;
mod log;
mod render;
mod session;
mod store;
mod vault;
mod wait;
mod wake;
mod worker;

pgrx::pg_module_magic!(name, version);

extension_sql_file!("../sql/schema.sql", name = "schema", bootstrap);
extension_sql_file!("../sql/identity.sql", name = "identity", requires = ["schema"]);
extension_sql_file!("../sql/secrets.sql", name = "secrets", requires = ["identity"]);
extension_sql_file!(
    "../sql/functions/access.sql",
    name = "access",
    requires = ["secrets"]
);
extension_sql_file!(
    "../sql/functions/checks.sql",
    name = "checks",
    requires = ["access"]
);
extension_sql_file!(
    "../sql/functions/history.sql",
    name = "history",
    requires = ["schema"]
);
extension_sql_file!(
    "../sql/functions/queues.sql",
    name = "queues",
    requires = ["checks"]
);
extension_sql_file!(
    "../sql/functions/secrets.sql",
    name = "secret_functions",
    requires = ["queues"]
);
extension_sql_file!(
    "../sql/functions/grants.sql",
    name = "grants",
    requires = ["queues"]
);
extension_sql_file!(
    "../sql/functions/limits.sql",
    name = "limits",
    requires = ["grants"]
);
extension_sql_file!(
    "../sql/functions/idempotency.sql",
    name = "idempotency",
    requires = ["limits"]
);
extension_sql_file!(
    "../sql/functions/messages.sql",
    name = "messages",
    requires = ["idempotency"]
);
extension_sql_file!(
    "../sql/functions/dead_letters.sql",
    name = "dead_letters",
    requires = ["messages"]
);
extension_sql_file!(
    "../sql/functions/subscriptions.sql",
    name = "subscriptions",
    requires = ["messages"]
);
extension_sql_file!(
    "../sql/functions/events.sql",
    name = "events",
    requires = ["subscriptions"]
);
extension_sql_file!(
    "../sql/functions/filters.sql",
    name = "filters",
    requires = ["events"]
);
extension_sql_file!(
    "../sql/functions/lists.sql",
    name = "lists",
    requires = ["events"]
);
extension_sql_file!(
    "../sql/functions/triggers.sql",
    name = "triggers",
    requires = ["events"]
);
extension_sql_file!(
    "../sql/functions/worker.sql",
    name = "worker",
    requires = ["triggers"]
);
extension_sql_file!(
    "../sql/functions/cron_checks.sql",
    name = "cron_checks",
    requires = ["messages"]
);
extension_sql_file!(
    "../sql/functions/cron.sql",
    name = "cron",
    requires = ["cron_checks"]
);
extension_sql_file!("../sql/auth.sql", name = "auth", requires = ["secret_functions"]);
extension_sql_file!(
    "../sql/functions/auth.sql",
    name = "auth_functions",
    requires = ["auth"]
);
extension_sql_file!(
    "../sql/functions/credentials.sql",
    name = "credentials",
    requires = ["auth_functions", "grants"]
);
extension_sql_file!(
    "../sql/functions/replay.sql",
    name = "replay",
    requires = ["dead_letters"]
);
extension_sql_file!(
    "../sql/functions/operational.sql",
    name = "operational",
    requires = ["filters", "cron"]
);
extension_sql_file!(
    "../sql/functions/trying.sql",
    name = "trying",
    requires = ["messages"]
);
extension_sql_file!(
    "../sql/functions/adoption.sql",
    name = "adoption",
    requires = ["worker", "cron"]
);
extension_sql_file!(
    "../sql/views.sql",
    name = "views",
    requires = [
        "adoption",
        "worker",
        "cron",
        "dead_letters",
        "history",
        "lists",
        "trying",
        "replay",
        "operational"
    ]
);
extension_sql_file!(
    "../sql/functions/statistics.sql",
    name = "statistics",
    requires = ["views"]
);
extension_sql_file!(
    "../sql/functions/health.sql",
    name = "health",
    requires = ["statistics", "credentials"]
);
extension_sql_file!(
    "../sql/functions/report.sql",
    name = "report",
    requires = ["health"]
);
extension_sql_file!(
    "../sql/privileges.sql",
    name = "privileges",
    requires = ["views", "secret_functions", "report"],
    finalize
);

/// Runs when the library is loaded: at server start, or at first use without preload.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    guc::register();
    wake::register();
    launcher::register();
    #[cfg(feature = "faults")]
    session::ask_for_each_statement();
}

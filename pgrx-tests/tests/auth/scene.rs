//! A server that trusts an authority of ours, and attempts at receivers.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use pg_hooks_tests::site::{SOON, Site, value};
use pg_hooks_tests::{Cluster, wait_until};

use crate::pki::Authority;

/// The cluster whose `hooks.ca_file` holds this authority.
pub struct Trusting {
    pub cluster: Cluster,
    authority: Mutex<Authority>,
}

impl Trusting {
    pub fn shared() -> &'static Trusting {
        static SHARED: OnceLock<Trusting> = OnceLock::new();
        SHARED.get_or_init(|| {
            let authority = Authority::new();
            let ca_file: PathBuf = authority.file();
            Trusting {
                cluster: Cluster::builder()
                    .setting("hooks.ca_file", &ca_file.to_string_lossy())
                    .start(),
                authority: Mutex::new(authority),
            }
        })
    }

    pub fn site(&'static self) -> Site {
        Site::on(&self.cluster)
    }

    /// What the trusted authority issues.
    pub fn issue<T>(&self, issue: impl FnOnce(&Authority) -> T) -> T {
        issue(&self.authority.lock().expect("an authority"))
    }
}

/// The only attempt of a message, as it is recorded.
#[derive(Debug)]
pub struct Attempt {
    pub status: Option<i16>,
    pub class: Option<String>,
    pub error: Option<String>,
    pub response: String,
}

impl Attempt {
    /// Status and class, which is what most tests ask for.
    pub fn result(&self) -> (Option<i16>, Option<&str>) {
        (self.status, self.class.as_deref())
    }

    pub fn said(&self) -> &str {
        self.error.as_deref().unwrap_or_default()
    }
}

/// Makes a queue that GETs `url` once. `policy` is further arguments, each after a comma.
#[track_caller]
pub fn get_queue(site: &mut Site, name: &str, url: &str, policy: &str) -> i64 {
    site.value(&format!(
        "select hooks.create_queue('{name}', '{url}', method => 'GET', max_attempts => 1{policy})"
    ))
}

/// Sends a message without a body; gives the first attempt.
#[track_caller]
pub fn attempt(site: &mut Site, queue: &str) -> Attempt {
    let id: i64 = site.value(&format!("select hooks.send('{queue}', null::text)"));
    first_attempt(site, id)
}

#[track_caller]
pub fn first_attempt(site: &mut Site, id: i64) -> Attempt {
    let query = "select status, error_class, error, response from hooks.attempt
                 where message_id = $1 and attempt = 1";
    wait_until(format_args!("an attempt of message {id}"), SOON, || {
        let row = site.client.query_opt(query, &[&id]).unwrap()?;
        let response: Option<Vec<u8>> = row.get(3);
        Some(Attempt {
            status: row.get(0),
            class: row.get(1),
            error: row.get(2),
            response: String::from_utf8_lossy(&response.unwrap_or_default()).into_owned(),
        })
    })
}

/// Everything that a dump, a look at the tables, or the log would show of this database.
#[track_caller]
pub fn shown(site: &mut Site) -> String {
    let tables = site.column::<String>(
        "select c.oid::regclass::text from pg_class as c
         where c.relnamespace = 'hooks'::regnamespace and c.relkind in ('r', 'p', 'v')
           and c.relname <> 'secret' order by 1",
    );
    let mut shown = String::new();
    for table in tables {
        let rows: String = value(
            &mut site.client,
            &format!("select coalesce(string_agg(t::text, ' '), '') from {table} as t"),
        );
        shown.push_str(&format!("{table}: {rows}\n"));
    }
    shown
}

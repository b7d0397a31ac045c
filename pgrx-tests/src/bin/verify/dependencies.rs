//! What the dependencies are, and whether anything is known against them.

use std::path::Path;
use std::process::Command;

use pg_hooks_tests::{Result, checkout, command, setup};

/// How long fetching the database of advisories may take, in seconds.
const FETCH_SECONDS: &str = "120";

/// Licences, sources and bans: needs no network.
pub fn check() -> Result<()> {
    let checks = ["--offline", "--locked", "check", "bans", "licenses", "sources"];
    command::run(deny(&setup::cargo_deny()?).args(checks))
}

/// Known vulnerabilities, by the database of RustSec. Where that cannot be fetched, says so: that is not a failure,
/// as the sources are what they were.
pub fn check_advisories() -> Result<Option<&'static str>> {
    let program = setup::cargo_deny()?;
    let mut fetch = Command::new("timeout");
    fetch.arg(FETCH_SECONDS).arg(&program).args(["fetch", "db"]);
    if command::output(fetch.current_dir(checkout::root())).is_err() {
        return Ok(Some(
            "advisories: NOT CHECKED, as the database of RustSec could not be fetched; \
             run `cargo verify advisories` where it can be",
        ));
    }
    let checks = ["--locked", "check", "--disable-fetch", "advisories"];
    command::run(deny(&program).args(checks)).map(|()| None)
}

fn deny(program: &Path) -> Command {
    let mut deny = Command::new(program);
    deny.current_dir(checkout::root());
    deny
}

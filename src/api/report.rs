//! The page about everything.

use pgrx::prelude::*;

use crate::error::{Error, OrRaise};
use crate::render::{Report, page};

#[pg_extern(sql = false)]
fn render_report(data: &[u8]) -> String {
    let data = String::from_utf8_lossy(data);
    let report: Result<Report, Error> = serde_json::from_str(&data).map_err(|problem| {
        Error::invalid(
            format!("not the data of a report: {problem}"),
            "Call hooks.report().",
        )
    });
    page(&report.or_raise())
}

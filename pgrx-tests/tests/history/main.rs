//! What is kept of finished messages, for how long, and how people page through it.

mod bodies;
mod days;
mod detail;
mod dumps;
mod kept_attempts;
mod lists;
mod locks;
mod moments;
mod plans;
mod publications;
mod retention;

use pg_hooks_tests::site::Site;

/// Makes the partition of a day, as the worker does; returns whether it did. The worker takes the locks only if
/// they are free, and here they are waited for.
#[track_caller]
fn add_day(site: &mut Site, relation: &str, day: &str) -> bool {
    site.run(&format!(
        "begin;
         lock table only hooks.{relation} in share update exclusive mode;
         lock table hooks.{relation}_default in access exclusive mode"
    ));
    let made = site.value(&format!("select hooks.add_history_day('{relation}', {day})"));
    site.run("commit");
    made
}

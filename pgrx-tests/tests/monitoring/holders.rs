//! Who keeps dead rows from being removed.

use pg_hooks_tests::site::{Site, run, value};

#[test]
fn transaction_that_has_written_and_is_idle_keeps_dead_rows_and_one_that_has_read_does_not() {
    let mut site = Site::new();
    site.run("create table t (id int)");
    let mut reader = site.connect();
    // Asked before: the portal of a query keeps its snapshot until the next one.
    let reader_pid: i32 = value(&mut reader, "select pg_backend_pid()");
    run(&mut reader, "begin; select count(*) from t");
    let mut writer = site.connect();
    let pid: i32 = value(&mut writer, "select pg_backend_pid()");
    run(&mut writer, "begin; insert into t values (1)");
    let held_by = |pid| {
        format!(
            "select coalesce((select holder like 'process {pid} (%' from hooks.snapshot_holder('0')), false)"
        )
    };
    site.wait_until(&held_by(pid));
    assert!(!site.value::<bool>(&held_by(reader_pid)));
    run(&mut writer, "rollback");
    site.wait_until("select not exists (select from hooks.snapshot_holder('0'))");
}

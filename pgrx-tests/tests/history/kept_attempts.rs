//! keep_attempts says which attempts are recorded.

use pg_hooks_tests::Behaviour;
use pg_hooks_tests::site::Site;

fn attempts_kept(keep: &str) -> Vec<i32> {
    let mut site = Site::new();
    site.receiver.on("/q", Behaviour::failing(1, 500));
    site.queue(
        "q",
        &format!(", keep_attempts => '{keep}', retry_schedule => '{{0 s}}'"),
    );
    site.run("select hooks.send('q', 'x')");
    site.arrivals("q", 2);
    site.settle();
    let (state, attempts): (String, i32) = {
        let row = pg_hooks_tests::site::row(&mut site.client, "select state, attempts from hooks.status(1)");
        (row.get(0), row.get(1))
    };
    assert_eq!((state.as_str(), attempts), ("delivered", 2), "{keep}");
    site.column("select attempt from hooks.attempt order by attempt")
}

#[test]
fn all_failures_or_no_attempts_are_recorded() {
    assert_eq!(attempts_kept("all"), [1, 2]);
    assert_eq!(attempts_kept("failures"), [1]);
    assert_eq!(attempts_kept("none"), [0_i32; 0]);
}

#[test]
fn unknown_choice_is_refused() {
    let mut site = Site::new();
    site.queue("q", "");
    for keep in ["'some'", "''", "'ALL'"] {
        let refused = site.refusal(&format!("select hooks.alter_queue('q', keep_attempts => {keep})"));
        assert_eq!(refused.code, "22023", "{keep}");
        assert!(refused.hint.contains("failures"), "{}", refused.hint);
    }
    let refused = site.refusal("update hooks.queue set keep_attempts = null");
    assert_eq!(refused.code, "22023");
}

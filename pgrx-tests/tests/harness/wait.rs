use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use pg_hooks_tests::wait::never_within;
use pg_hooks_tests::wait_until;

#[test]
fn wait_gives_what_was_found() {
    let mut looks = 0;
    let found = wait_until("the third look", Duration::from_secs(5), || {
        looks += 1;
        (looks == 3).then_some("found")
    });
    assert_eq!(found, "found");
    assert_eq!(looks, 3);
}

#[test]
fn wait_panics_at_its_deadline_and_says_what_it_saw() {
    let begun = Instant::now();
    let panic = catch_unwind(|| {
        wait_until("a wonder", Duration::from_millis(30), || {
            Err::<(), _>("no wonder")
        });
    });
    let message = panic.expect_err("it must panic");
    assert_eq!(
        message.downcast_ref::<String>().unwrap(),
        "waited 30ms for a wonder; last seen: no wonder"
    );
    assert!(begun.elapsed() >= Duration::from_millis(30));
}

#[test]
fn never_within_panics_as_soon_as_it_happens() {
    never_within("it happened", Duration::from_millis(10), || false);
    let panic = catch_unwind(|| never_within("it happened", Duration::from_secs(60), || true));
    assert!(
        panic
            .expect_err("it must panic")
            .downcast_ref::<String>()
            .unwrap()
            .starts_with("it happened, after")
    );
}

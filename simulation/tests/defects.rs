//! Each rule is seen to notice a defect: `cargo simulate defects` does so for all, and here is seen that none is left
//! out, and a few are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pg_hooks_simulation::defects::{Case, DELIVERIES, Defect, SCHEDULES, notice};
use pg_hooks_simulation::deliveries::Deliveries;
use pg_hooks_simulation::keep_quiet;
use pg_hooks_simulation::schedules::Schedules;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| sources(folder));
    files.into_iter().chain(below).collect()
}

/// What the rules of the simulations say: the first text in each use of the macro.
fn rules() -> BTreeSet<String> {
    let sources = ["deliveries", "schedules"].map(|part| {
        let part = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(part);
        sources(&part)
    });
    let texts = sources
        .iter()
        .flatten()
        .map(|file| std::fs::read_to_string(file).expect("a source"));
    let of_text = |text: String| -> Vec<String> {
        let uses = text.split("rule!(").skip(1);
        uses.map(|rest| rest.split('"').nth(1).expect("a text").to_owned())
            .collect()
    };
    texts.flat_map(of_text).collect()
}

#[test]
fn every_rule_has_a_defect_that_it_is_to_notice() {
    let cases = DELIVERIES.iter().chain(SCHEDULES);
    let noticing: BTreeSet<String> = cases
        .flat_map(|case| case.noticed_by.iter().map(|rule| (*rule).to_owned()))
        .collect();
    assert_eq!(noticing, rules());
}

fn case(cases: &'static [Case], defect: Defect) -> &'static Case {
    cases.iter().find(|case| case.defect == defect).expect("a case")
}

#[test]
fn planted_defects_are_noticed_and_gone_afterwards() {
    keep_quiet();
    for defect in [
        Defect::SentTwice,
        Defect::KeysForgotten,
        Defect::WakesLate,
        Defect::ResultsLost,
    ] {
        let noticed = notice::<Deliveries>(case(DELIVERIES, defect), 300);
        assert!(noticed.values().all(Option::is_some), "{defect:?}: {noticed:?}");
    }
    let noticed = notice::<Schedules>(case(SCHEDULES, Defect::PlanNotMoved), 300);
    assert!(noticed.values().all(Option::is_some), "{noticed:?}");
    // A rule that has nothing to do with the defect does not notice it, nor does any once it is gone.
    const UNRELATED: Case = Case {
        defect: Defect::NextRunMissed,
        noticed_by: &["every message ends"],
        unheard: &[],
    };
    let noticed = notice::<Deliveries>(&UNRELATED, 20);
    assert_eq!(noticed["every message ends"], None);
}

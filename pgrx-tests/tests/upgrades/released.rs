//! Versions that were released.

use pg_hooks_tests::releases::{CURRENT, released, script, script_file, statements, sum, update_file};
use pg_hooks_tests::{Cluster, install, scratch};

use crate::made_up;
use crate::updating::update_from;

#[test]
fn released_scripts_are_as_they_were_released() {
    let versions = released().unwrap();
    for (version, released_sum) in &versions {
        assert_eq!(
            &sum(&script(version).unwrap()),
            released_sum,
            "{version} was edited"
        );
    }
    let folder = script_file(CURRENT).parent().unwrap().to_owned();
    let scripts = std::fs::read_dir(folder).unwrap().flatten();
    let scripts = scripts.filter(|file| {
        file.path()
            .extension()
            .is_some_and(|extension| extension == "sql")
    });
    assert_eq!(scripts.count(), versions.len(), "a script has no sum");
}

#[test]
fn version_that_was_released_has_the_script_that_was_released() {
    if released().unwrap().iter().any(|(version, _)| version == CURRENT) {
        let current = install::with_extension().unwrap().install_script().unwrap();
        assert!(
            statements(&current) == statements(&script(CURRENT).unwrap()),
            "{CURRENT} is released: raise the version, and add an update script"
        );
    }
}

/// The first version has no way from anywhere; each later one has one from its predecessor, and so from all.
#[test]
fn update_of_each_version_before_this_one_is_a_new_installation_and_loses_nothing() {
    let versions = released().unwrap();
    let earlier: Vec<&str> = versions
        .iter()
        .map(|(version, _)| version.as_str())
        .filter(|version| *version != CURRENT)
        .collect();
    for pair in earlier
        .windows(2)
        .map(|pair| (pair[0], pair[1]))
        .chain(earlier.last().map(|last| (*last, CURRENT)))
    {
        let update = std::fs::read_to_string(update_file(pair.0, pair.1)).unwrap();
        assert!(
            update.trim_end().ends_with("select hooks.announce();"),
            "{pair:?}: nobody tells the worker"
        );
    }
    let released = earlier
        .iter()
        .map(|version| (format!("pg_hooks--{version}.sql"), script(version).unwrap()));
    // One is made up, so that there is always one to begin with.
    let scripts: Vec<_> = made_up::scripts().into_iter().chain(released).collect();
    let tree = install::with_extension().unwrap();
    let tree = tree.with_scripts(scratch::folder().join("tree"), &scripts);
    let cluster = Cluster::builder().start_of(tree.unwrap());
    for version in [made_up::OLDER].into_iter().chain(earlier) {
        update_from(&cluster, version);
    }
}

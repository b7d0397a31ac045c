//! The install script, read by a program that knows what goes wrong in such scripts.

use std::process::Command;

use pg_hooks_tests::setup;
use pg_hooks_tests::site::Site;

/// Functions without a `search_path` of their own, and why that is right.
const RUN_IN_THE_PATH_OF_THEIR_CALLER: [(&str, &str); 5] = [
    ("hooks.send", "inlined: a single call, with every name qualified"),
    ("hooks.send_batch", "as hooks.send()"),
    (
        "hooks.publish",
        "transforms run as their caller, as those expect; every name is qualified",
    ),
    ("hooks.run_transforms", "as hooks.publish()"),
    (
        "hooks.watch",
        "hands its path on, in which the condition is read; every name is qualified",
    ),
];

/// As the linter knows it: our language sets path and user as these clauses do.
fn in_words_of_the_linter(script: &str) -> String {
    let lines = script.lines().map(|line| {
        if line == "language hooks_plpgsql" {
            "language plpgsql security definer set search_path = pg_catalog, pg_temp"
        } else {
            line
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn install_script_is_as_the_linter_wants_it() {
    let mut site = Site::new();
    let version: String = site.value("select extversion from pg_extension where extname = 'pg_hooks'");
    let script: String = site.value(&format!(
        "select pg_read_file(setting || '/extension/pg_hooks--{version}.sql')
         from pg_config where name = 'SHAREDIR'"
    ));
    let file = std::env::temp_dir().join(format!("{}.sql", site.database));
    std::fs::write(&file, in_words_of_the_linter(&script)).unwrap();
    let output = Command::new(setup::pgspot().unwrap())
        .arg(&file)
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("Errors: "), "it came to its end: {text}");
    let findings: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("Errors: "))
        .collect();
    let reason = |finding: &str| {
        RUN_IN_THE_PATH_OF_THEIR_CALLER.iter().find(|(name, _)| {
            finding.starts_with(&format!("PS005: Function without explicit search_path: {name}("))
        })
    };
    let unexplained: Vec<&&str> = findings.iter().filter(|f| reason(f).is_none()).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    for (name, why) in RUN_IN_THE_PATH_OF_THEIR_CALLER {
        let used = findings
            .iter()
            .any(|f| reason(f).is_some_and(|(n, _)| *n == name));
        assert!(used, "nothing is found in {name}: no need to say \"{why}\"");
    }
}

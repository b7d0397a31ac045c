//! Targets for fuzzing: each takes any bytes, gives them to a parser, and asserts what must hold of whatever
//! is accepted.
//!
//! `cargo test --package pg_hooks_fuzz` gives them the files below `corpora/`, as they are and changed, and `cargo verify fuzz` what
//! libFuzzer makes of these. A file that was once a crash stays in `corpora/`.

mod targets;

/// A target by its name, which is that of its folder in `corpora/` as well.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 8] = [
    ("address", targets::address::run),
    ("answer", targets::answer::run),
    ("cron", targets::cron::run),
    ("envelope", targets::envelope::run),
    ("headers", targets::headers::run),
    ("pattern", targets::pattern::run),
    ("retry_after", targets::retry_after::run),
    ("url", targets::url::run),
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<fn(&[u8])> {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.map(|(_, run)| *run)
}

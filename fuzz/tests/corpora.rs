//! Every file below `corpora/`, given to its target.

use std::path::{Path, PathBuf};

use pg_hooks_fuzz::TARGETS;

fn files(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.flatten().map(|entry| entry.path()).collect()
}

#[test]
fn every_target_holds_for_its_corpus() {
    for (target, run) in TARGETS {
        let files = files(target);
        assert!(files.len() > 2, "{target} has {} files", files.len());
        for file in files {
            println!("{}", file.display());
            run(&std::fs::read(&file).expect("a file"));
        }
    }
}

/// Beginnings of files, and files with a byte changed.
#[test]
fn every_target_holds_for_what_is_close_to_its_corpus() {
    for (target, run) in TARGETS {
        for file in files(target) {
            println!("{}", file.display());
            let bytes = std::fs::read(&file).expect("a file");
            for at in 0..bytes.len().min(300) {
                run(&bytes[..at]);
                for other in [
                    0, b' ', b'\n', b'"', b'%', b'.', b'/', b'0', b':', b'@', b'[', 0xff,
                ] {
                    let mut changed = bytes.clone();
                    changed[at] = other;
                    run(&changed);
                }
            }
        }
    }
}

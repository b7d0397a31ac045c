//! Some time of changed corpora for every target: what any compiler can do. libFuzzer, which learns from what code it
//! reaches, goes further (`cargo verify fuzz`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pg_hooks_fuzz::TARGETS;

/// Longest input.
const MOST_BYTES: usize = 4096;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpora").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let read = |file: &PathBuf| std::fs::read(file).expect("a file");
    files.iter().map(read).collect()
}

/// `FUZZ_SECONDS` for each target, or one.
fn time_for_each() -> Duration {
    let seconds = std::env::var("FUZZ_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(1))
}

/// Changes a file in some places: a byte, a piece taken out, put in twice, or brought from another file.
fn mutated(corpus: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..=random.usize(..6) {
        let at = random.usize(..=bytes.len());
        let end = (at + random.usize(..=8)).min(bytes.len());
        match random.u8(..7) {
            0 if at < bytes.len() => bytes[at] = random.u8(..),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
            2 => bytes.insert(at, random.u8(b' '..=b'~')),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].repeat(random.usize(1..40));
                bytes.splice(at..at, piece);
            }
            5 => {
                let other = &corpus[random.usize(..corpus.len())];
                let from = random.usize(..=other.len());
                let to = (from + random.usize(..=32)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
            _ => bytes.truncate(at),
        }
    }
    bytes.truncate(MOST_BYTES);
    bytes
}

#[test]
fn every_target_holds_for_changed_corpora() {
    for (target, run) in TARGETS {
        let corpus = corpus(target);
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        let until = Instant::now() + time_for_each();
        let mut runs = 0_u64;
        while Instant::now() < until {
            let input = mutated(&corpus, &mut random);
            if catch_unwind(AssertUnwindSafe(|| run(&input))).is_err() {
                let file = std::env::temp_dir().join(format!("pg_hooks-fuzz-{target}-{seed}"));
                let kept = std::fs::write(&file, &input).map(|()| file.display().to_string());
                panic!(
                    "{target} fails for b\"{}\", kept in {kept:?}",
                    input.escape_ascii()
                );
            }
            runs += 1;
        }
        println!("{target}: {runs} inputs from seed {seed}");
        assert!(runs > 0);
    }
}

//! The rules of the source layout that a compiler does not enforce.

use std::path::{Path, PathBuf};

use pg_hooks_tests::{Failure, Result, checkout};

use crate::source::server_code;

/// Some words may not stand in some files.
struct Rule {
    says: &'static str,
    /// Paths that it holds for: files, or folders with their slash.
    within: &'static [&'static str],
    except: &'static [&'static str],
    /// A word that ends with a letter matches whole words only.
    forbidden: &'static [&'static str],
}

const RULES: [Rule; 7] = [
    Rule {
        says: "domain, deliver and render know no Postgres",
        within: &["src/domain", "src/deliver", "src/render"],
        except: &[],
        forbidden: &["pgrx", "pg_sys"],
    },
    Rule {
        says: "domain and render read no clock, no randomness, no environment, and do no I/O",
        within: &["src/domain", "src/render"],
        except: &[],
        forbidden: &[
            "Instant",
            "SystemTime::now",
            "rand",
            "getrandom",
            "std::env",
            "std::fs",
            "std::io",
            "std::process",
            "std::thread",
            "thread::",
            "TcpStream",
            "UdpSocket",
            "ToSocketAddrs",
        ],
    },
    Rule {
        says: "SQL of the worker stands in store, that of functions in api",
        within: &["src"],
        except: &["src/store", "src/api", SESSION, SESSION_PARTS],
        forbidden: &["Spi", "SpiClient"],
    },
    Rule {
        says: "settings are defined and read in guc.rs",
        within: &["src"],
        except: &["src/guc.rs", CHECK_HOOKS],
        forbidden: &["GucRegistry", "GucSetting"],
    },
    Rule {
        says: "lines of the server's log are listed, with their ids, in log.rs",
        within: &["src"],
        except: &["src/log.rs", "src/api"],
        forbidden: &["log!(", "warning!(", "notice!(", "info!("],
    },
    Rule {
        says: "nothing that the server runs panics at will",
        within: &["src"],
        except: &[],
        forbidden: &[".unwrap()", ".expect(", "panic!", "todo!", "unimplemented!"],
    },
    Rule {
        says: "unsafe code stands where Postgres is called directly",
        within: &["src"],
        except: UNSAFE_ROOMS,
        forbidden: &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"],
    },
];

/// The worker's session: one wrapper around SPI for all of `store`.
const SESSION: &str = "src/session.rs";
const SESSION_PARTS: &str = "src/session";

/// The hooks by which Postgres asks whether a setting may have a value.
const CHECK_HOOKS: &str = "src/guc/check.rs";

const UNSAFE_ROOMS: &[&str] = &[
    "src/wake.rs",
    "src/wake",
    "src/launcher.rs",
    "src/worker.rs",
    "src/leader.rs",
    SESSION,
    SESSION_PARTS,
    CHECK_HOOKS,
    // The persistent set of events that the leader sleeps on.
    "src/wait.rs",
    // The stack of contexts that errors are reported with.
    "src/api/silence.rs",
    // The new row, as a trigger function in Rust gets it.
    "src/api/row.rs",
    // The rights of a function's owner.
    "src/api/caller.rs",
    "src/api/owner.rs",
    // A snapshot for statements that read.
    "src/api/prepared.rs",
    // A trigger on any table: its rows, as whoever changed them, and its messages, as the owner.
    "src/api/emit/call.rs",
    "src/api/emit/deposit.rs",
    "src/api/emit/publishing.rs",
    "src/api/emit/rows.rs",
    "src/api/emit/settings.rs",
    "src/api/emit/shape.rs",
    // A function of a user, called by its oid.
    "src/api/transform.rs",
];

/// Checks all sources of the extension; the failure lists every breach.
pub fn check() -> Result<()> {
    let mut breaches = Vec::new();
    for file in sources(&checkout::root().join("src"))? {
        let source = std::fs::read_to_string(&file)
            .map_err(|error| Failure::because(format_args!("could not read {}", file.display()), error))?;
        let path = file.strip_prefix(checkout::root()).unwrap_or(&file);
        breaches.extend(breaches_in(path, &source));
    }
    if breaches.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!("\n{}", breaches.join("\n"))))
    }
}

fn breaches_in(path: &Path, source: &str) -> Vec<String> {
    let code = server_code(source);
    let rules = RULES.iter().filter(|rule| rule.holds_for(path));
    let lines = || code.lines().enumerate();
    let breaches = rules.flat_map(|rule| {
        lines().filter_map(move |(number, line)| {
            let word = rule.forbidden.iter().find(|word| contains_word(line, word))?;
            Some(format!(
                "{}:{}: `{}`: {}",
                path.display(),
                number + 1,
                word.trim(),
                rule.says
            ))
        })
    });
    breaches.collect()
}

impl Rule {
    fn holds_for(&self, path: &Path) -> bool {
        let is_in = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
        is_in(self.within) && !is_in(self.except)
    }
}

fn contains_word(line: &str, word: &str) -> bool {
    let continues = |next: Option<char>| next.is_some_and(|next| next.is_alphanumeric() || next == '_');
    line.match_indices(word).any(|(at, _)| {
        let starts_inside =
            word.starts_with(char::is_alphabetic) && continues(line[..at].chars().next_back());
        let ends_inside =
            word.ends_with(char::is_alphabetic) && continues(line[at + word.len()..].chars().next());
        !starts_inside && !ends_inside
    })
}

/// Every Rust file that is no test.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| Failure::because(format_args!("could not read {}", folder.display()), error))?;
    let mut files = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::breaches_in;

    #[test]
    fn each_rule_finds_its_breach() {
        let planted = [
            ("src/deliver/tls.rs", "use pgrx::Spi;"),
            ("src/domain/retry.rs", "let now = Instant::now();"),
            ("src/worker.rs", "Spi::connect(f)"),
            ("src/worker.rs", "static X: GucSetting<i32> = y;"),
            ("src/api/queue.rs", "x.unwrap()"),
            ("src/error.rs", "unsafe { x() }"),
        ];
        for (path, source) in planted {
            let breaches = breaches_in(Path::new(path), source);
            assert!(!breaches.is_empty(), "{path}: {source}");
        }
    }

    #[test]
    fn what_is_allowed_is_no_breach() {
        let innocent = [
            ("src/store/message.rs", "Spi::connect(f)"),
            ("src/guc.rs", "GucRegistry::define()"),
            ("src/worker.rs", "// SAFETY: x\nunsafe { x() }"),
            ("src/domain/retry.rs", "x.unwrap_or(random); // never panic!"),
            ("src/error.rs", "#![deny(unsafe_op_in_unsafe_fn)]"),
        ];
        for (path, source) in innocent {
            assert_eq!(
                breaches_in(Path::new(path), source),
                Vec::<String>::new(),
                "{path}"
            );
        }
    }
}

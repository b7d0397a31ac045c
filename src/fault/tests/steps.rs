//! No step that may be refused is without a place: whoever adds one is told so here.

use std::path::Path;

use super::sources;

/// What PostgreSQL or the system may refuse to do, as code says it.
const STEPS: &[&str] = &[
    "Spi::connect",
    "Spi::explain",
    "Spi::get_",
    "Spi::run",
    "client.select(",
    "client.update(",
    "open_cursor",
    "SPI_exec",
    "SPI_prepare",
    "StartTransactionCommand",
    "CommitTransactionCommand",
    "BeginInternalSubTransaction",
    "XLogFlush",
    "LockAcquire(",
    "CreateWaitEventSet",
    "BackgroundWorkerInitializeConnection",
    "load_dynamic",
    "thread::spawn(",
    ".spawn(",
    "mpsc::",
    "File::",
    "OpenOptions::new",
    "fs::read",
    "canonicalize(",
    "read_to_end(",
    "TcpStream::",
    "UdpSocket::",
    "UnixStream::",
    "EventFd::",
    "getifaddrs(",
    "to_socket_addrs(",
    "load_native_certs(",
    "SystemRandom",
    "try_reserve",
];

/// Ways to ask whether a test wants a step to fail, and ways to have a step done that ask.
const QUESTIONS: &[&str] = &[
    "fail_if_struck(",
    "fault::",
    "prepared::",
    "kept(",
    "prepare(client",
    "store::",
];

/// Functions that ask nothing, and why.
const SPARED: &[(&str, &str, &str)] = &[
    (
        "deliver/thread.rs",
        "spawn",
        "who has a thread started asks, at a place of its own",
    ),
    (
        "session.rs",
        "connect_to_shared_catalogs",
        "the launcher alone, once; the postmaster starts it again",
    ),
];

/// A function with its signature, and where it begins.
struct Function {
    name: String,
    lines: (usize, usize),
}

/// The functions of a file, as rustfmt lays them out: each ends at the first brace below its first word.
fn functions(lines: &[&str]) -> Vec<Function> {
    let begins = |line: &&str| {
        let (before, name) = line.split_once("fn ")?;
        let are_qualifiers = before.split_whitespace().all(|word| {
            ["pub", "const", "unsafe", "extern", "\"C-unwind\""].contains(&word) || word.starts_with("pub(")
        });
        let indent = before.len() - before.trim_start().len();
        let name = name.split(['(', '<']).next()?;
        are_qualifiers.then(|| (indent, name.to_owned()))
    };
    let found = lines.iter().enumerate().filter_map(|(first, line)| {
        let (indent, name) = begins(line)?;
        let end = format!("{}}}", " ".repeat(indent));
        let length = lines[first..].iter().position(|line| *line == end)?;
        Some(Function {
            name,
            lines: (first, first + length),
        })
    });
    found.collect()
}

/// Steps of a file whose function asks nothing.
fn unasked(source: &str) -> Vec<(String, &'static str)> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or(source);
    let lines: Vec<&str> = code.lines().collect();
    let functions = functions(&lines);
    let mut unasked = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let is_code = !line.trim_start().starts_with("//") && !line.trim_start().starts_with("use ");
        let Some(step) = STEPS.iter().find(|step| is_code && line.contains(**step)) else {
            continue;
        };
        let around = functions
            .iter()
            .rfind(|function| (function.lines.0..=function.lines.1).contains(&at));
        let asks = around.is_some_and(|function| {
            let text = lines[function.lines.0..=function.lines.1].join("\n");
            QUESTIONS.iter().any(|question| text.contains(question))
        });
        if !asks {
            unasked.push((around.map_or_else(String::new, |f| f.name.clone()), *step));
        }
    }
    unasked
}

#[test]
fn every_step_that_may_be_refused_has_a_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for path in sources(&root) {
        let name = path.strip_prefix(&root).expect("a source").display().to_string();
        if name.starts_with("fault") || name.contains("tests") {
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("a source");
        let steps = unasked(&source).into_iter();
        found.extend(steps.map(|(function, step)| (name.clone(), function, step)));
    }
    for (file, function, why) in SPARED {
        let before = found.len();
        found.retain(|(name, step_of, _)| name != file || step_of != function);
        assert!(found.len() < before, "{file}: {function} needs no leave: {why}");
    }
    assert_eq!(found, Vec::new());
}

#[test]
fn step_of_a_function_that_asks_nothing_is_found() {
    let asks = "fn a() {\n    fail_if_struck(p);\n    Spi::connect(f);\n}\n";
    let nested = "impl X {\n    pub(super) fn b(\n        c: D,\n    ) {\n        File::open(c);\n    }\n}\n";
    assert_eq!(unasked(asks), Vec::new());
    assert_eq!(unasked(&format!("{asks}{nested}")), [("b".to_owned(), "File::")]);
}

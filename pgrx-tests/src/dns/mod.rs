//! A DNS server that says what a test tells it (RFC 1035, section 4).

use std::collections::HashMap;
use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::{Result, command, scratch};

/// What is answered for a name.
#[derive(Clone)]
pub enum Answer {
    /// These addresses; none of a kind is an answer without records.
    Addresses(Vec<IpAddr>),
    /// SERVFAIL.
    Failure,
}

/// The server. Names that nobody told it of do not exist.
pub struct Dns {
    port: u16,
    names: Arc<Mutex<HashMap<String, Answer>>>,
    dead: Arc<AtomicBool>,
}

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

impl Dns {
    pub fn start() -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let port = socket.local_addr().expect("an address").port();
        let names = Arc::<Mutex<HashMap<String, Answer>>>::default();
        let known = Arc::clone(&names);
        let dead = Arc::<AtomicBool>::default();
        let is_dead = Arc::clone(&dead);
        thread::spawn(move || {
            let mut packet = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                if is_dead.load(Ordering::Relaxed) {
                    continue;
                }
                let known = known.lock().expect("names");
                if let Some(answer) = answer(&packet[..length], &known) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Dns { port, names, dead }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on `name` has these addresses.
    pub fn say(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses
            .iter()
            .map(|address| address.parse().expect("an address"));
        self.set(name, Answer::Addresses(addresses.collect()));
    }

    /// Whether questions are left without an answer.
    pub fn set_dead(&self, dead: bool) {
        self.dead.store(dead, Ordering::Relaxed);
    }

    pub fn set(&self, name: &str, answer: Answer) {
        self.names.lock().expect("names").insert(name.to_owned(), answer);
    }
}

/// A library that, put before the one of C by `LD_PRELOAD`, has a server ask the DNS server on the port
/// `TEST_DNS_PORT` of this machine. That takes no privileges, only a C compiler, which building the extension
/// needs as well.
pub fn interposer() -> Result<PathBuf> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/dns/names.c");
    let library = scratch::folder().join("names.so");
    let mut compile = Command::new("cc");
    compile.args(["-shared", "-fPIC", "-Wall", "-o"]);
    command::run(compile.arg(&library).args([source, "-ldl", "-lresolv"]))?;
    Ok(library)
}

fn answer(query: &[u8], names: &HashMap<String, Answer>) -> Option<Vec<u8>> {
    let (name, end) = question(query)?;
    let kind = u16::from_be_bytes(query.get(end..end + 2)?.try_into().ok()?);
    let (code, records) = match names.get(&name.to_lowercase()) {
        Some(Answer::Addresses(addresses)) => (0, records(addresses, kind)),
        Some(Answer::Failure) => (2, Vec::new()),
        None => (3, Vec::new()),
    };
    let mut answer = query[..2].to_vec();
    // A response, recursion desired and available, one question.
    answer.extend([
        0x81,
        0x80 | code,
        0,
        1,
        0,
        u8::try_from(records.len()).ok()?,
        0,
        0,
        0,
        0,
    ]);
    answer.extend(&query[12..end + 4]);
    for record in records {
        // The name of the question, the type, class IN, no time to live.
        answer.extend([0xc0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 0]);
        answer.extend(u16::try_from(record.len()).ok()?.to_be_bytes());
        answer.extend(record);
    }
    Some(answer)
}

/// The name that is asked for, and where it ends.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).into_owned());
        at += length;
    }
}

fn records(addresses: &[IpAddr], kind: u16) -> Vec<Vec<u8>> {
    let fitting = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(address) if kind == TYPE_A => Some(address.octets().to_vec()),
        IpAddr::V6(address) if kind == TYPE_AAAA => Some(address.octets().to_vec()),
        _ => None,
    });
    fitting.collect()
}

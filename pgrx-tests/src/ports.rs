//! Ports that servers and receivers listen at.
//!
//! A port that the system gives and that is free for a moment could go to anybody meanwhile: these are below what it
//! gives.

use std::io::{ErrorKind, Result};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// Below what Linux gives to whoever connects or asks for any port ("ip_local_port_range"), by default.
const EACH: u32 = 10_000;
/// For who is told a port, and has it only a moment later.
static TOLD: Range = Range::at(EACH);
/// For who is given a socket that is bound.
static BOUND: Range = Range::at(2 * EACH);

/// So far apart are the first ports of two processes that follow each other.
const APART: u32 = 89;

/// `EACH` ports, gone through in turn.
struct Range {
    first: u32,
    next: AtomicU32,
}

impl Range {
    const fn at(first: u32) -> Range {
        let next = AtomicU32::new(0);
        Range { first, next }
    }

    /// What the first port gives at which nobody listens.
    fn first_free<T>(&self, mut bind: impl FnMut(u16) -> Result<T>) -> Result<T> {
        let begin = std::process::id().wrapping_mul(APART);
        for _ in 0..EACH {
            let step = begin.wrapping_add(self.next.fetch_add(1, Ordering::Relaxed));
            let port = u16::try_from(self.first + step % EACH).expect("a port");
            match bind(port) {
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                bound => return bound,
            }
        }
        Err(ErrorKind::AddrInUse.into())
    }
}

/// A port that nobody listens at and that no process of these tests is given soon.
///
/// # Panics
/// When there is none.
pub fn free() -> u16 {
    let free = TOLD.first_free(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(|_| port));
    free.expect("no port is free")
}

/// What `bind` makes of the first port that is free; whoever lets go of that finds it free later on.
///
/// # Errors
/// That of `bind`, unless somebody listens there.
pub fn bind<T>(bind: impl FnMut(u16) -> Result<T>) -> Result<T> {
    BOUND.first_free(bind)
}

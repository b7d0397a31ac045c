//! Room in queues that hold a bounded number of messages, or of bytes.
//!
//! To count at each send would cost more than the send. So a backend counts, takes a hundredth of the limit
//! if there is so much room, and counts again when that is used up; a queue that was full is taken to be so
//! for a moment. What sessions have taken at the same time may exceed the limit by a hundredth each.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::time::Instant;

use pgrx::Spi;
use pgrx::prelude::*;

use super::owner::Called;
use super::prepared::{self, Prepared, Reading};
use crate::error::Error;
use crate::{session, wake};

/// A queue that was full is not counted again for so many times what counting took.
const REST: u32 = 20;

/// Queues that a backend remembers.
const MOST_KNOWN: usize = 100_000;

/// What a queue may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Limit {
    messages: Option<i64>,
    bytes: Option<i64>,
    /// Whether the oldest make room for new ones.
    drops_oldest: bool,
}

/// So many messages and so many bytes of bodies.
#[derive(Clone, Copy)]
struct Amount {
    messages: i64,
    bytes: i64,
}

/// What this backend knows of a queue that has a limit.
struct Room {
    limit: Limit,
    /// What it may still store before it counts again.
    spare: Amount,
    /// What there was room for when it was last full, and until when that is believed.
    full: Option<(Amount, Instant)>,
}

/// Limits by queue, valid for one generation of the queue table.
#[derive(Default)]
struct Limits {
    generation: i64,
    by_queue: HashMap<i64, Option<Limit>>,
}

thread_local! {
    static LIMITS: RefCell<Limits> = RefCell::default();
    static ROOMS: RefCell<HashMap<i64, Room>> = RefCell::default();
    static LIMIT_BY_ID: Prepared = const { Prepared::new() };
    static NAME_BY_ID: Reading = const { prepared::reading() };
}

/// Takes room for a message with a body of so many bytes.
///
/// # Errors
/// The queue is full.
pub fn take(queue_id: i64, bytes: usize, called: Called) -> Result<(), Error> {
    let Some(limit) = limit_of(queue_id, called) else {
        return Ok(());
    };
    let wanted = Amount {
        messages: 1,
        bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
    };
    match spend(queue_id, limit, wanted) {
        Some(true) => return Ok(()),
        Some(false) => return Err(full(queue_id, called)),
        None => {}
    }
    let begun = Instant::now();
    let left = || {
        called
            .as_owner(|| count(queue_id, limit))
            .map(|counted| limit.left_after(counted))
            .map_err(|_| full(queue_id, called))
    };
    let mut room = left()?;
    while limit.drops_oldest && limit.could_hold(wanted) && !room.holds(wanted) {
        let missing = limit.step(wanted).less(room);
        let dropped = called
            .as_owner(|| drop_oldest(queue_id, missing))
            .map_err(|_| full(queue_id, called))?;
        if dropped == 0 {
            break;
        }
        room = left()?;
    }
    let fits = room.holds(wanted);
    let took = begun.elapsed();
    let spare = if fits {
        limit.step(wanted).at_most(room).less(wanted)
    } else {
        Amount {
            messages: 0,
            bytes: 0,
        }
    };
    ROOMS.with_borrow_mut(|rooms| {
        if rooms.len() >= MOST_KNOWN {
            rooms.clear();
        }
        let full = (!fits && !limit.drops_oldest).then(|| (room, begun + took * REST));
        rooms.insert(queue_id, Room { limit, spare, full });
    });
    if fits { Ok(()) } else { Err(full(queue_id, called)) }
}

/// Takes of what this backend has, if it can say without counting.
fn spend(queue_id: i64, limit: Limit, wanted: Amount) -> Option<bool> {
    ROOMS.with_borrow_mut(|rooms| {
        let room = rooms.get_mut(&queue_id).filter(|room| room.limit == limit)?;
        if room.spare.holds(wanted) {
            room.spare = room.spare.less(wanted);
            return Some(true);
        }
        let full = |(room, until): (Amount, Instant)| !room.holds(wanted) && Instant::now() < until;
        room.full.is_some_and(full).then_some(false)
    })
}

impl Limit {
    /// A hundredth, and no less than what is wanted.
    fn step(self, wanted: Amount) -> Amount {
        let step = |limit: Option<i64>, wanted| limit.map_or(i64::MAX, |limit| (limit / 100).max(wanted));
        Amount {
            messages: step(self.messages, wanted.messages),
            bytes: step(self.bytes, wanted.bytes),
        }
    }

    /// Whether this fits if there is nothing else.
    fn could_hold(self, wanted: Amount) -> bool {
        self.left_after(Amount {
            messages: 0,
            bytes: 0,
        })
        .holds(wanted)
    }

    fn left_after(self, counted: Amount) -> Amount {
        let left = |limit: Option<i64>, counted| limit.map_or(i64::MAX, |limit| limit - counted);
        Amount {
            messages: left(self.messages, counted.messages),
            bytes: left(self.bytes, counted.bytes),
        }
    }
}

impl Amount {
    fn holds(self, wanted: Amount) -> bool {
        self.messages >= wanted.messages && self.bytes >= wanted.bytes
    }

    /// What is without limit stays so.
    fn less(self, other: Amount) -> Amount {
        let less = |whole: i64, part: i64| {
            if whole == i64::MAX {
                whole
            } else {
                whole.saturating_sub(part)
            }
        };
        Amount {
            messages: less(self.messages, other.messages),
            bytes: less(self.bytes, other.bytes),
        }
    }

    fn at_most(self, other: Amount) -> Amount {
        Amount {
            messages: self.messages.min(other.messages),
            bytes: self.bytes.min(other.bytes),
        }
    }
}

fn limit_of(queue_id: i64, called: Called) -> Option<Limit> {
    let generation = wake::queue_generation();
    let known = LIMITS.with_borrow(|limits| {
        let valid = Some(limits.generation) == generation;
        limits.by_queue.get(&queue_id).filter(|_| valid).copied()
    });
    if let Some(limit) = known {
        return limit;
    }
    let limit = called.as_owner(|| look_up(queue_id)).ok().flatten();
    if let Some(generation) = generation {
        LIMITS.with_borrow_mut(|limits| {
            if limits.generation != generation || limits.by_queue.len() >= MOST_KNOWN {
                limits.generation = generation;
                limits.by_queue.clear();
            }
            limits.by_queue.insert(queue_id, limit);
        });
    }
    limit
}

const LIMIT: &str = "select q.max_messages, q.max_bytes, q.overflow operator(pg_catalog.=) 'drop_oldest'
    from hooks.queue as q
    where q.id operator(pg_catalog.=) $1
      and (q.max_messages is not null or q.max_bytes is not null)";

fn look_up(queue_id: i64) -> spi::Result<Option<Limit>> {
    prepared::run((&LIMIT_BY_ID, LIMIT), &[queue_id.into()], |rows| {
        if rows.is_empty() {
            return Ok(None);
        }
        let (messages, bytes, drops_oldest) = rows.first().get_three::<i64, i64, bool>()?;
        Ok(Some(Limit {
            messages,
            bytes,
            drops_oldest: drops_oldest == Some(true),
        }))
    })
}

/// What is there, as far as it matters: all of it where the excess is dropped, which is there after the limit
/// was lowered. Without a limit of bytes the index tells.
fn count(queue_id: i64, limit: Limit) -> spi::Result<Amount> {
    let query = match limit.bytes {
        None => {
            "select pg_catalog.count(*), 0::pg_catalog.int8
             from (select from hooks.message as m where m.queue_id operator(pg_catalog.=) $1 limit $2) as m"
        }
        Some(_) => {
            "select pg_catalog.count(*), coalesce(pg_catalog.sum(m.bytes), 0)::pg_catalog.int8
             from (select coalesce(pg_catalog.octet_length(m.body), pg_catalog.octet_length(m.body_bytes), 0) as bytes
                   from hooks.message as m where m.queue_id operator(pg_catalog.=) $1 limit $2) as m"
        }
    };
    let most = limit.messages.filter(|_| !limit.drops_oldest);
    session::fail_if_struck(|| "session: statement".to_owned());
    Spi::connect_mut(|client| {
        let rows = client.update(query, None, &[queue_id.into(), most.into()])?;
        let (messages, bytes) = rows.first().get_two::<i64, i64>()?;
        Ok(Amount {
            messages: messages.unwrap_or(i64::MAX),
            bytes: bytes.unwrap_or(i64::MAX),
        })
    })
}

fn drop_oldest(queue_id: i64, missing: Amount) -> spi::Result<i64> {
    let missing_of = |amount: i64| if amount == i64::MAX { 0 } else { amount.max(0) };
    let arguments = [
        queue_id.into(),
        missing_of(missing.messages).into(),
        missing_of(missing.bytes).into(),
    ];
    let statement = "select hooks.drop_oldest($1, $2, $3)";
    session::fail_if_struck(|| "session: statement".to_owned());
    let dropped = Spi::connect_mut(|client| client.update(statement, None, &arguments)?.first().get_one())?;
    Ok(dropped.unwrap_or(0))
}

const NAME: &CStr = c"select q.name from hooks.queue as q where q.id operator(pg_catalog.=) $1";

fn full(queue_id: i64, called: Called) -> Error {
    let name = called.as_owner(|| {
        prepared::read((&NAME_BY_ID, NAME), &[queue_id.into()], |rows| {
            rows.get::<String>(0, 1)
        })
    });
    Error::QueueFull(name.ok().flatten().unwrap_or_default())
}

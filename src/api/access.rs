//! Who may do what with a queue.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::CStr;

use pgrx::AnyElement;
use pgrx::pg_sys::{self, Oid};
use pgrx::prelude::*;

use super::caller;
use super::owner::Called;
use super::prepared::{self, Reading};
use super::queue;
use super::row::{bytes_of_text, shown};
use crate::error::{Error, OrRaise};
use crate::wake;

/// What a role may do with one queue. Who may manage it may do the rest too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Privilege {
    /// Store messages for it.
    Send,
    /// See where its messages stand, without their bodies.
    Read,
    /// Change and drop it, cancel and redrive its messages, give rights on it.
    Manage,
}

impl Privilege {
    fn parse(name: &str) -> Option<Privilege> {
        match name {
            "send" => Some(Privilege::Send),
            "read" => Some(Privilege::Read),
            "manage" => Some(Privilege::Manage),
            _ => None,
        }
    }

    /// Whether a row of `hooks.queue_grant` gives it.
    fn is_in(self, granted: &str) -> bool {
        match granted {
            "own" => true,
            "send" => self == Privilege::Send,
            "read" => self == Privilege::Read,
            _ => false,
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Privilege::Send => "Its owner or hooks_admin can give the right with hooks.grant_send().",
            Privilege::Read => "Its owner or hooks_admin can give the right with hooks.grant_read().",
            Privilege::Manage => "Its owner and members of hooks_admin may.",
        }
    }
}

#[pg_extern(sql = false, name = "caller")]
fn caller_of(call: pg_sys::FunctionCallInfo) -> Oid {
    caller::caller(Called::by(call))
}

#[pg_extern(sql = false, name = "may")]
fn caller_may(queue_id: Option<i64>, privilege: &str, call: pg_sys::FunctionCallInfo) -> bool {
    let called = Called::by(call);
    let privilege = named(privilege).or_raise();
    queue_id.is_some_and(|queue_id| may(caller::caller(called), queue_id, privilege, called))
}

#[pg_extern(sql = false)]
fn role_may(role: Oid, queue_id: i64, privilege: &str, call: pg_sys::FunctionCallInfo) -> bool {
    let privilege = named(privilege).or_raise();
    may(role, queue_id, privilege, Called::by(call))
}

#[pg_extern(sql = false)]
fn allowed_queue(queue: Option<AnyElement>, privilege: &str, call: pg_sys::FunctionCallInfo) -> i64 {
    let called = Called::by(call);
    let privilege = named(privilege).or_raise();
    let queue_id = queue::by_name(queue, called).or_raise().id;
    require(queue_id, privilege, called, || quoted(queue.as_ref())).or_raise();
    queue_id
}

/// A text argument as messages show it.
pub fn quoted(name: Option<&AnyElement>) -> String {
    let name = name.and_then(|name| bytes_of_text(name).ok());
    format!("\"{}\"", shown(&name.unwrap_or_default()))
}

#[pg_extern(sql = false)]
fn owner_problem(
    owner: Option<Oid>,
    owner_name: Option<AnyElement>,
    queue_id: Option<i64>,
    call: pg_sys::FunctionCallInfo,
) -> Option<String> {
    // Rows that replication or a restore brought may have none.
    let owner = owner?;
    let name = owner_name.map(|name| bytes_of_text(&name).or_raise());
    let name = name.unwrap_or_default();
    if !caller::is_named(owner, &name) {
        return Some(format!("its owner \"{}\" is gone", shown(&name)));
    }
    let what = match queue_id {
        Some(_) => "send to its queue",
        None => "publish events",
    };
    let allowed = may_send(owner, queue_id, Called::by(call));
    (!allowed).then(|| format!("its owner \"{}\" may not {what}", shown(&name)))
}

/// Whether a role may send to this queue, or publish events if there is none.
pub fn may_send(role: Oid, queue_id: Option<i64>, called: Called) -> bool {
    match queue_id {
        Some(queue_id) => may(role, queue_id, Privilege::Send, called),
        None => may_with_all(role, Privilege::Send),
    }
}

fn named(privilege: &str) -> Result<Privilege, Error> {
    Privilege::parse(privilege).ok_or_else(|| {
        Error::invalid(
            format!("privilege \"{privilege}\" is not known"),
            "Use send, read or manage.",
        )
    })
}

/// # Errors
/// The caller may not do this with the queue, which `name` names.
pub fn require(
    queue_id: i64,
    privilege: Privilege,
    called: Called,
    name: impl FnOnce() -> String,
) -> Result<(), Error> {
    if may(caller::caller(called), queue_id, privilege, called) {
        return Ok(());
    }
    Err(Error::Denied {
        message: format!("permission denied for queue {}", name()),
        hint: privilege.hint().to_owned(),
    })
}

/// What was allowed, valid for one generation of queues and one of roles.
#[derive(Default)]
struct Known {
    queues: i64,
    roles: u64,
    allowed: HashSet<(Oid, i64, Privilege)>,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
    static GRANTS_OF_QUEUE: Reading = const { prepared::reading() };
}

/// Most rights that a backend remembers.
const MOST_KNOWN: usize = 100_000;

/// Whether a role may do this with a queue. What is denied is asked for each time.
pub fn may(role: Oid, queue_id: i64, privilege: Privilege, called: Called) -> bool {
    let right = (role, queue_id, privilege);
    let queues = wake::queue_generation();
    let roles = caller::role_changes();
    let known = KNOWN.with_borrow(|known| {
        Some(known.queues) == queues && known.roles == roles && known.allowed.contains(&right)
    });
    if known {
        return true;
    }
    let allowed = may_with_all(role, privilege) || is_granted(role, queue_id, privilege, called);
    if let Some(queues) = queues.filter(|_| allowed) {
        KNOWN.with_borrow_mut(|known| {
            if known.queues != queues || known.roles != roles || known.allowed.len() >= MOST_KNOWN {
                *known = Known {
                    queues,
                    roles,
                    allowed: HashSet::new(),
                };
            }
            known.allowed.insert(right);
        });
    }
    allowed
}

/// Whether a role may do this with every queue.
fn may_with_all(role: Oid, privilege: Privilege) -> bool {
    caller::has_rights_of(role, c"hooks_admin")
        || match privilege {
            Privilege::Send => caller::has_rights_of(role, c"hooks_sender"),
            Privilege::Read => caller::has_rights_of(role, c"hooks_reader"),
            Privilege::Manage => false,
        }
}

/// A row counts if its role is there under the name that it had: a later role that got its number or
/// its name is another one.
const GRANTS: &CStr = c"select g.privilege, g.grantee
    from hooks.queue_grant as g
    join pg_catalog.pg_authid as a on a.oid operator(pg_catalog.=) g.grantee
     and a.rolname::pg_catalog.text operator(pg_catalog.=) g.grantee_name
    where g.queue_id operator(pg_catalog.=) $1";

fn is_granted(role: Oid, queue_id: i64, privilege: Privilege, called: Called) -> bool {
    let granted = called.as_owner(|| {
        prepared::read_newest((&GRANTS_OF_QUEUE, GRANTS), &[queue_id.into()], |rows| {
            let grant = |row| Some((rows.get::<String>(row, 1)?, rows.get::<Oid>(row, 2)?));
            (0..rows.len()).filter_map(grant).collect::<Vec<_>>()
        })
    });
    let granted = granted.unwrap_or_default();
    let mut granted = granted.iter();
    granted.any(|(granted, grantee)| privilege.is_in(granted) && caller::has_rights_of_role(role, *grantee))
}

//! Why a database sends nothing although it has a worker.

use std::fmt;

/// What keeps the worker from leading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The database is a copy: made from a template, or on another server.
    Copied,
    /// There are queues of another database, as a restore or replication brings them.
    Restored,
    /// `hooks.start_paused` is on, and nobody has called `hooks.adopt()` since the server was started.
    Paused,
    /// The library and the extension are of different versions.
    Version,
}

const ALL: [Hold; 4] = [Hold::Copied, Hold::Restored, Hold::Paused, Hold::Version];

impl Hold {
    /// The name that `hooks.hold()` gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Hold::Copied => "copied",
            Hold::Restored => "restored",
            Hold::Paused => "paused",
            Hold::Version => "version",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Hold> {
        ALL.into_iter().find(|hold| hold.name() == name)
    }

    /// A number of its own, never 0.
    pub const fn code(self) -> u32 {
        match self {
            Hold::Copied => 1,
            Hold::Restored => 2,
            Hold::Paused => 3,
            Hold::Version => 4,
        }
    }

    /// The one of this number.
    pub fn from_code(code: u32) -> Option<Hold> {
        ALL.into_iter().find(|hold| hold.code() == code)
    }
}

/// What the server log says.
impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hold::Copied => {
                "this database is a copy of another one; call hooks.adopt() in it to have messages sent"
            }
            Hold::Restored => {
                "there are queues of another database, as a restore or replication brings them; \
                 call hooks.adopt() to have messages sent"
            }
            Hold::Paused => "hooks.start_paused is on; call hooks.adopt() to have messages sent",
            Hold::Version => {
                "library and extension are of different versions; run ALTER EXTENSION pg_hooks UPDATE, \
                 and restart the server if it was started before the new library was installed"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_name_and_its_number() {
        for hold in ALL {
            assert_eq!(Hold::named(hold.name()), Some(hold));
            assert_eq!(Hold::from_code(hold.code()), Some(hold));
        }
        assert_eq!(Hold::from_code(0), None);
        assert_eq!(Hold::named("leading"), None);
    }

    #[test]
    fn each_says_what_to_do() {
        for hold in ALL {
            let said = hold.to_string();
            let way_out = match hold {
                Hold::Version => "run ALTER EXTENSION pg_hooks UPDATE",
                _ => "call hooks.adopt()",
            };
            assert!(said.contains(way_out), "{hold:?}: {said}");
        }
    }
}

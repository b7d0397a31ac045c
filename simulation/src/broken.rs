//! Running a history and hearing what broke.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

use crate::history::Simulation;

/// Something must hold: the rule in words, and what is so instead.
#[macro_export]
macro_rules! rule {
    ($holds:expr, $says:literal) => {
        assert!($holds || $crate::defects::is_unheard($says), "{}", $says)
    };
    ($holds:expr, $says:literal, $($found:tt)+) => {
        assert!(
            $holds || $crate::defects::is_unheard($says),
            "{}: {}",
            $says,
            format_args!($($found)+)
        )
    };
}

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rule, or what a panic of the code itself says.
    pub rule: String,
    /// What was so instead, and where.
    pub found: String,
}

thread_local! {
    static LAST: RefCell<Option<Broken>> = const { RefCell::new(None) };
}

/// Has panics say nothing; [`attempt`] returns what they have to say.
pub fn keep_quiet() {
    std::panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let payload = info.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or(payload.downcast_ref::<&str>().copied())
            .unwrap_or("a panic");
        let (rule, found) = text.split_once(": ").unwrap_or((text, ""));
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let broken = Broken {
            rule: rule.to_owned(),
            found: format!("{found} ({place})"),
        };
        LAST.with(|last| *last.borrow_mut() = Some(broken));
    }));
}

/// Runs a history; returns how many events it took.
///
/// # Errors
/// What broke; in words only after [`keep_quiet`].
pub fn attempt<S: Simulation>(setup: &S::Setup, events: &[S::Event]) -> Result<u64, Broken> {
    catch_unwind(AssertUnwindSafe(|| S::run(setup, events))).map_err(|_| {
        let last = LAST.with(|last| last.borrow_mut().take());
        last.unwrap_or(Broken {
            rule: "no panic".to_owned(),
            found: String::new(),
        })
    })
}

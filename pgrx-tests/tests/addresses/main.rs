//! Which addresses are reached, how names lead to them, and through what.

mod proxying;
mod resolving;
mod rules;

//! Pages for people, made of data that was read before. Pure: no Postgres, no clock, no I/O.
//!
//! ```text
//! data   what a report shows
//! page   how it is laid out
//! chart  small charts as SVG
//! html   the only way to a page: markup from literals, and text that is escaped
//! ```

#![forbid(unsafe_code)]

mod chart;
mod data;
mod html;
mod page;

pub use data::Report;
pub use page::page;

//! The parts of Python that templates rely on.

mod arguments;
mod dict;
mod integer;
mod json;
mod limits;
mod methods;
mod pretty;
mod printing;
mod slicing;
mod strings;
mod time;
mod wrapping;

pub(super) use arguments::arguments;
pub(super) use dict::from_json;
pub(super) use integer::is_large_integer;
pub(super) use json::to_json;
pub(super) use limits::{check_count, check_format, spaces};
pub(super) use methods::unknown_method;
pub(super) use pretty::pretty_print;
pub(super) use printing::to_text;
pub(super) use strings::{Ends, center, escape, lines, strip};
pub(super) use time::strftime;
pub(super) use wrapping::wrap;

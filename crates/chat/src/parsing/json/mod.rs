//! Incremental JSON parsing.

mod arguments;
mod call;
mod object;
mod scanner;
mod string;

pub(crate) use arguments::ArgumentsParser;
pub(crate) use call::JsonCallsParser;
pub(crate) use object::ObjectWriter;
pub(crate) use scanner::{Scanner, Verdict};
pub(crate) use string::{StringDecoder, escape_into, quote};

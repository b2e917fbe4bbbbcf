//! JSON that comes in pieces.

mod arguments;
mod call;
mod object;
mod scanner;
mod string;

pub(crate) use arguments::ArgumentsReader;
pub(crate) use call::CallsReader;
pub(crate) use object::ObjectWriter;
pub(crate) use scanner::{Scanner, Verdict};
pub(crate) use string::{StringReader, escape_into, quote};

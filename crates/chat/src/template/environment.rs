//! The Jinja environment of `transformers`, in minijinja.

use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use minijinja_contrib::globals;

use super::{builtin_filters, filters, python};

/// Instructions that rendering may take, about a second of nested loops. A long conversation takes less than a hundredth.
const MAX_INSTRUCTIONS: u64 = 20_000_000;

/// The message of `raise_exception`, as the source of an error.
#[derive(Debug)]
pub(super) struct RaisedException(pub(super) String);

impl fmt::Display for RaisedException {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for RaisedException {}

/// An environment without templates.
pub(super) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.set_fuel(Some(MAX_INSTRUCTIONS));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(|out, _, value| {
        match value.as_str() {
            Some(text) => out.write_str(text),
            None => out.write_str(&python::to_text(value)),
        }
        .map_err(Error::from)
    });
    environment.set_unknown_method_callback(python::unknown_method);

    environment.add_function("raise_exception", raise_exception);
    environment.add_function("dict", dict);
    environment.add_function("range", range);
    environment.add_function("cycler", |items: Rest<Value>| globals::cycler(items.0));
    environment.add_function("joiner", globals::joiner);

    builtin_filters::add_filters(&mut environment);
    filters::add_filters(&mut environment);

    environment.add_test("sequence", is_sequence);
    environment.add_test("iterable", is_iterable);
    environment.add_test("callable", is_callable);
    environment.add_test("divisibleby", is_divisible_by);
    environment.add_test("number", is_number);
    environment.add_test("integer", is_integer);
    Ok(environment)
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    let message = python::to_text(message);
    Err(Error::new(ErrorKind::InvalidOperation, message.clone())
        .with_source(RaisedException(message)))
}

fn range(start: isize, stop: Option<isize>, step: Option<isize>) -> Result<Value, Error> {
    // Much larger than minijinja's limit, and small enough that its computation does not overflow.
    const MAX_BOUND: isize = 1 << 40;
    for bound in [Some(start), stop, step].into_iter().flatten() {
        if bound.unsigned_abs() > MAX_BOUND.unsigned_abs() {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "the range is too large",
            ));
        }
    }
    minijinja::functions::range(start, stop, step)
}

/// `dict(mapping, **kwargs)` or `dict(pairs, **kwargs)`
fn dict(start: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let mut entries = Vec::new();
    let start = start.unwrap_or_default();
    for item in start.try_iter()?.checked() {
        let item = item?;
        entries.push(if start.kind() == ValueKind::Map {
            let value = start.get_item(&item)?;
            (item, value)
        } else {
            (item.get_item_by_index(0)?, item.get_item_by_index(1)?)
        });
    }
    for name in kwargs.args() {
        entries.push((Value::from(name), kwargs.get(name)?));
    }
    Ok(Value::from_pairs(entries))
}

/// Values with a length and items, including strings, dicts and undefined, as in Python.
fn is_sequence(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Undefined | ValueKind::String | ValueKind::Map | ValueKind::Seq => true,
        // Concatenated lists are iterables in minijinja.
        ValueKind::Iterable => value.len().is_some(),
        _ => false,
    }
}

fn is_iterable(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Undefined
            | ValueKind::String
            | ValueKind::Map
            | ValueKind::Seq
            | ValueKind::Iterable
    )
}

fn is_callable(value: &Value) -> bool {
    // Functions and methods have no kind of their own in minijinja, and macros are maps. Undefined is callable in Jinja, but
    // the call fails.
    (matches!(value.kind(), ValueKind::Plain | ValueKind::Undefined)
        && !python::is_large_integer(value))
        || value
            .as_object()
            .is_some_and(|object| object.type_name().ends_with("::Macro"))
}

fn is_number(value: &Value) -> bool {
    minijinja::tests::is_number(value) || python::is_large_integer(value)
}

fn is_integer(value: &Value) -> bool {
    value.is_integer() || python::is_large_integer(value)
}

fn is_divisible_by(value: &Value, divisor: &Value) -> Result<bool, Error> {
    if python::to_text(divisor).trim_start_matches('-') == "0" {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "integer modulo by zero",
        ));
    }
    Ok(minijinja::tests::is_divisibleby(value, divisor))
}

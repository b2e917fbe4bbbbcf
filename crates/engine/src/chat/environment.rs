//! The Jinja environment of `transformers`, in minijinja.

use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, Value};
use minijinja_contrib::globals;

use super::python::{self, Ends};

/// What a template said with `raise_exception`, carried as the source of the error.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) String);

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// An environment without templates.
pub(super) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
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
    environment.add_function("cycler", globals::cycler);
    environment.add_function("joiner", globals::joiner);

    environment.add_filter("tojson", python::to_json);
    environment.add_filter("string", |value: &Value| python::to_text(value));
    environment.add_filter("trim", trim);
    environment.add_filter("join", join);
    environment.add_filter("length", length);
    environment.add_filter("count", length);

    environment.add_test("sequence", is_sequence);
    environment.add_test("iterable", is_iterable);
    environment.add_test("callable", is_callable);
    environment.add_test("divisibleby", is_divisible_by);
    Ok(environment)
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    let message = python::to_text(message);
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Refusal(message)))
}

fn trim(value: &Value, characters: Option<&str>) -> String {
    python::strip(&python::to_text(value), characters, Ends::Both).to_owned()
}

fn join(
    state: &mut State,
    value: &Value,
    separator: Option<&Value>,
    attribute: Option<Value>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let separator = match separator {
        Some(separator) => python::to_text(separator),
        None => kwargs
            .get::<Option<Value>>("d")?
            .map_or_else(String::new, |value| python::to_text(&value)),
    };
    let attribute = match attribute {
        Some(attribute) => Some(attribute),
        None => kwargs.get::<Option<Value>>("attribute")?,
    };
    kwargs.assert_all_used()?;
    let items = match attribute {
        Some(attribute) => {
            let attribute = Kwargs::from_iter([("attribute", attribute)]);
            state.apply_filter("map", &[value.clone(), Value::from(attribute)])?
        }
        None => value.clone(),
    };
    let mut out = String::new();
    for (index, item) in items.try_iter()?.checked().enumerate() {
        if index > 0 {
            out.push_str(&separator);
        }
        out.push_str(&python::to_text(&item?));
    }
    Ok(out)
}

fn length(value: &Value) -> Result<usize, Error> {
    if value.is_undefined() {
        return Ok(0);
    }
    minijinja::filters::length(value)
}

/// Whatever has a length and items: also strings, dicts and undefined, as in Python.
fn is_sequence(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Undefined | ValueKind::String | ValueKind::Map | ValueKind::Seq => true,
        // Sums of lists, which minijinja keeps apart.
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
    // Functions, macros and methods are what minijinja has no other kind for; undefined can be called in Jinja, to fail.
    matches!(value.kind(), ValueKind::Plain | ValueKind::Undefined)
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

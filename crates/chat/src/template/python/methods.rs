//! Methods of plain values.

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

use super::strings::escape;
use super::{dict, slicing, strings};
use crate::template::source::{ADD, DICT_METHODS, FORMAT, ITEM, SLICE};

/// Mutating methods of lists and dicts, which are not available.
const MUTATING: [&str; 12] = [
    "append",
    "clear",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
    "discard",
];

/// Calls a method that the value itself does not have.
pub(in crate::template) fn unknown_method(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match method {
        SLICE => return slicing::slice(value, args),
        ITEM => return item(value, args),
        FORMAT => return format(state, value, args),
        ADD => return add(state, value, args),
        _ => {}
    }
    let result = match value.kind() {
        ValueKind::String => strings::call(value.as_str().unwrap_or_default(), method, args)?,
        ValueKind::Seq | ValueKind::Iterable => list_method(value, method, args)?,
        ValueKind::Map if method == "copy" => Some(value.clone()),
        _ => None,
    };
    if let Some(result) = result {
        return Ok(result);
    }
    if MUTATING.contains(&method)
        && matches!(
            value.kind(),
            ValueKind::Seq | ValueKind::Iterable | ValueKind::Map
        )
    {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("templates cannot modify values: {method}() is not allowed"),
        ));
    }
    pycompat::unknown_method_callback(state, value, method, args)
}

fn list_method(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "index" => {
            let (what,): (&Value,) = from_args(args)?;
            for (position, item) in value.try_iter()?.checked().enumerate() {
                if item? == *what {
                    return Ok(Some(Value::from(position)));
                }
            }
            Err(Error::new(
                ErrorKind::InvalidOperation,
                "the value is not in the list",
            ))
        }
        "copy" => Ok(Some(value.clone())),
        _ => Ok(None),
    }
}

/// `value[name]`; for a dict without the key, its method of that name.
fn item(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let (name,): (&str,) = from_args(args)?;
    let item = value.get_item(&Value::from(name))?;
    if item.is_undefined() && value.kind() == ValueKind::Map && DICT_METHODS.contains(&name) {
        return Ok(dict::bound_method(value.clone(), name));
    }
    Ok(item)
}

/// `text % values`, where a tuple contains several values.
fn format(state: &mut State, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let (values,): (&Value,) = from_args(args)?;
    let mut operands = vec![value.clone()];
    if values.is_tuple() {
        operands.extend(values.try_iter()?);
    } else {
        operands.push(values.clone());
    }
    state.apply_filter("format", &operands)
}

/// `left + right`, where text marked as safe escapes other text for HTML.
fn add(state: &mut State, left: &Value, args: &[Value]) -> Result<Value, Error> {
    let (right,): (&Value,) = from_args(args)?;
    if left.as_str().is_none() || right.as_str().is_none() || left.is_safe() == right.is_safe() {
        let sum = state.env().compile_expression("left + right")?;
        let result = sum.eval(minijinja::context! { left, right })?;
        return Ok(match result.as_str() {
            Some(text) if left.is_safe() => Value::from_safe_string(text.to_owned()),
            _ => result,
        });
    }
    let mut text = String::new();
    for part in [left, right] {
        match part.as_str() {
            Some(safe) if part.is_safe() => text.push_str(safe),
            Some(other) => escape(other, &mut text),
            None => {}
        }
    }
    Ok(Value::from_safe_string(text))
}

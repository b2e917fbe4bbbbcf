//! Filters whose arguments or text output differ between minijinja and Python.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::python::{self, Ends};

pub(super) fn add_filters(environment: &mut Environment) {
    environment.add_filter("tojson", python::to_json);
    environment.add_filter("string", |value: &Value| python::to_text(value));
    environment.add_filter("trim", trim);
    environment.add_filter("join", join);
    environment.add_filter("length", length);
    environment.add_filter("count", length);
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_filter("dictsort", dictsort);
    environment.add_filter("float", to_float);
    environment.add_filter("batch", batch);
    environment.add_filter("format", format);
    environment.add_filter("e", escape);
    environment.add_filter("escape", escape);
    environment.add_filter("indent", indent);
    environment.add_filter("int", to_int);
    environment.add_filter("replace", replace);
    environment.add_filter("slice", slice);
}

/// A positional or keyword argument. Marks the keyword as used.
fn argument(
    positional: Option<Value>,
    kwargs: &Kwargs,
    name: &str,
) -> Result<Option<Value>, Error> {
    let named = kwargs.get::<Option<Value>>(name)?;
    Ok(positional.or(named))
}

fn is_true(argument: Option<Value>) -> bool {
    argument.is_some_and(|value| value.is_true())
}

fn trim(value: &Value, characters: Option<&str>) -> String {
    python::strip(&python::to_text(value), characters, Ends::Both).to_owned()
}

fn join(
    state: &mut State,
    value: &Value,
    separator: Option<Value>,
    attribute: Option<Value>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let separator = argument(separator, &kwargs, "d")?
        .map_or_else(String::new, |value| python::to_text(&value));
    let attribute = argument(attribute, &kwargs, "attribute")?;
    kwargs.assert_all_used()?;
    let items = match attribute {
        Some(attribute) => {
            let attribute = Kwargs::from_iter([("attribute", attribute)]);
            state.apply_filter("map", &[value.clone(), Value::from(attribute)])?
        }
        None => value.clone(),
    };
    let texts = items
        .try_iter()?
        .checked()
        .map(|item| Ok(python::to_text(&item?)))
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(texts.join(&separator))
}

fn escape(value: &Value) -> Value {
    if value.is_safe() {
        return value.clone();
    }
    let mut out = String::new();
    python::escape(&python::to_text(value), &mut out);
    Value::from_safe_string(out)
}

fn length(value: &Value) -> Result<usize, Error> {
    if value.is_undefined() {
        Ok(0)
    } else {
        minijinja::filters::length(value)
    }
}

/// `default(value, default_value='', boolean=False)`
fn default(
    value: &Value,
    default_value: Option<Value>,
    boolean: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let default_value = argument(default_value, &kwargs, "default_value")?;
    let boolean = is_true(argument(boolean, &kwargs, "boolean")?);
    kwargs.assert_all_used()?;
    if value.is_undefined() || (boolean && !value.is_true()) {
        return Ok(default_value.unwrap_or_else(|| Value::from("")));
    }
    Ok(value.clone())
}

/// `dictsort(value, case_sensitive=False, by='key', reverse=False)`
fn dictsort(
    value: &Value,
    case_sensitive: Option<Value>,
    by: Option<Value>,
    reverse: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let by = argument(by, &kwargs, "by")?.unwrap_or_else(|| Value::from("key"));
    if !matches!(by.as_str(), Some("key" | "value")) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "dictsort is by 'key' or by 'value'",
        ));
    }
    let arguments = Kwargs::from_iter([
        ("by", by),
        (
            "case_sensitive",
            Value::from(is_true(argument(
                case_sensitive,
                &kwargs,
                "case_sensitive",
            )?)),
        ),
        (
            "reverse",
            Value::from(is_true(argument(reverse, &kwargs, "reverse")?)),
        ),
    ]);
    kwargs.assert_all_used()?;
    minijinja::filters::dictsort(value, arguments)
}

/// `indent(text, width=4, first=False, blank=False)`, the width in spaces or as text.
fn indent(
    value: &Value,
    width: Option<Value>,
    first: Option<Value>,
    blank: Option<Value>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let indentation = match argument(width, &kwargs, "width")? {
        None => "    ".to_owned(),
        Some(width) => match width.as_str() {
            Some(text) => text.to_owned(),
            None => python::spaces(&width)?,
        },
    };
    let first = is_true(argument(first, &kwargs, "first")?);
    let blank = is_true(argument(blank, &kwargs, "blank")?);
    kwargs.assert_all_used()?;
    // The additional line break preserves one at the end of the text.
    let text = python::to_text(value) + "\n";
    let mut out = String::new();
    for (index, line) in python::lines(&text).into_iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        if if index == 0 {
            first
        } else {
            blank || !line.is_empty()
        } {
            out.push_str(&indentation);
        }
        out.push_str(line);
    }
    Ok(out)
}

/// `replace(text, old, new, count=None)`
fn replace(
    value: &Value,
    old: &Value,
    new: &Value,
    count: Option<Value>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let count = argument(count, &kwargs, "count")?.and_then(|count| count.as_usize());
    kwargs.assert_all_used()?;
    let (text, old, new) = (
        python::to_text(value),
        python::to_text(old),
        python::to_text(new),
    );
    Ok(match count {
        Some(count) => text.replacen(&old, &new, count),
        None => text.replace(&old, &new),
    })
}

/// `int(value, default=0, base=10)`: the default is used if the value is not a number.
fn to_int(
    value: &Value,
    default: Option<Value>,
    base: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let default = argument(default, &kwargs, "default")?.unwrap_or_else(|| Value::from(0));
    let base = argument(base, &kwargs, "base")?.map_or(Ok(10), u32::try_from)?;
    kwargs.assert_all_used()?;
    if !(2..=36).contains(&base) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "the base of int must be from 2 to 36",
        ));
    }
    if let Some(text) = value.as_str() {
        let digits = text.trim().replace('_', "");
        let prefix = match base {
            2 => "0b",
            8 => "0o",
            16 => "0x",
            _ => "",
        };
        let lower = digits.to_ascii_lowercase();
        let unprefixed = lower.strip_prefix(prefix).unwrap_or(&lower);
        if let Ok(number) = i128::from_str_radix(unprefixed, base) {
            return Ok(Value::from(number));
        }
    } else if value.is_integer() || python::is_large_integer(value) {
        return Ok(value.clone());
    }
    Ok(number(value)
        .filter(|number| number.is_finite())
        .map_or(default, |number| Value::from(number.trunc() as i128)))
}

/// `float(value, default=0.0)`
fn to_float(value: &Value, default: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let default = argument(default, &kwargs, "default")?.unwrap_or_else(|| Value::from(0.0));
    kwargs.assert_all_used()?;
    Ok(number(value).map_or(default, Value::from))
}

fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some(text) => text.trim().replace('_', "").parse().ok(),
        None if python::is_large_integer(value) => value.to_string().parse().ok(),
        None if value.kind() == ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        None => f64::try_from(value.clone()).ok(),
    }
}

fn batch(state: &State, value: Value, count: Value, fill: Option<Value>) -> Result<Value, Error> {
    python::check_count("a batch", &count)?;
    minijinja::filters::batch(state, value, count.try_into()?, fill)
}

/// Divides a list into `count` lists.
fn slice(state: &State, value: Value, count: Value, fill: Option<Value>) -> Result<Value, Error> {
    python::check_count("a slicing", &count)?;
    minijinja::filters::slice(state, value, count.try_into()?, fill)
}

fn format(state: &mut State, text: &Value, values: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    python::check_format(&python::to_text(text))?;
    minijinja::filters::format(state, text, values)
}

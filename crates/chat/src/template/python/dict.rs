//! JSON as Python values.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectExt, ObjectRepr};
use minijinja::{Error, State, Value};

use super::integer;
use super::printing::to_text;
use crate::integers;
use crate::template::source::DICT_METHODS;

/// JSON data as a template value.
pub(in crate::template) fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => {
            if let Some(number) = number.as_i64() {
                Value::from(number)
            } else if let Some(number) = number.as_u64() {
                Value::from(number)
            } else {
                Value::from(number.as_f64().unwrap_or(f64::NAN))
            }
        }
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => items.iter().map(from_json).collect(),
        serde_json::Value::Object(fields) => {
            if let Some(digits) = integers::digits(json) {
                return integer::from_digits(digits);
            }
            let entries: Vec<(Value, Value)> = fields
                .iter()
                .map(|(key, value)| (Value::from(key.as_str()), from_json(value)))
                .collect();
            let positions = fields
                .keys()
                .enumerate()
                .map(|(position, key)| (key.clone(), position))
                .collect();
            Value::from_object(Dict { entries, positions })
        }
    }
}

/// A Python dict: `d.items` is the method even if there is a key of that name, `d['items']` is the key.
struct Dict {
    entries: Vec<(Value, Value)>,
    positions: HashMap<String, usize>,
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let position = self.positions.get(key.as_str()?)?;
        Some(self.entries[*position].1.clone())
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        if DICT_METHODS.contains(&name) {
            return Some(bound_method(Value::from_dyn_object(self.clone()), name));
        }
        self.get_value(&Value::from(name))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.mapped_enumerator(|this| Box::new(this.entries.iter().map(|(key, _)| key.clone())))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.entries.len())
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&to_text(&Value::from_dyn_object(self.clone())))
    }
}

impl fmt::Debug for Dict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_map()
            .entries(self.entries.iter().map(|(key, value)| (key, value)))
            .finish()
    }
}

/// A method that is referenced but not called.
pub(super) fn bound_method(receiver: Value, name: &str) -> Value {
    Value::from_object(BoundMethod {
        receiver,
        name: name.to_owned(),
    })
}

#[derive(Debug)]
struct BoundMethod {
    receiver: Value,
    name: String,
}

impl Object for BoundMethod {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        self.receiver.call_method(state, &self.name, args)
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "<built-in method {} of dict object>", self.name)
    }
}

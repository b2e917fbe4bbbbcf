//! `type`.

use serde_json::{Map, Value, json};

use super::pointer::Pointer;
use crate::constraint::error::GrammarError;

/// A set of JSON types. `number` is the union of integers and fractions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Types(u8);

impl Types {
    pub(super) const NULL: Self = Self(1);
    pub(super) const BOOLEAN: Self = Self(1 << 1);
    pub(super) const INTEGER: Self = Self(1 << 2);
    pub(super) const FRACTION: Self = Self(1 << 3);
    pub(super) const NUMBER: Self = Self(Self::INTEGER.0 | Self::FRACTION.0);
    pub(super) const STRING: Self = Self(1 << 4);
    pub(super) const ARRAY: Self = Self(1 << 5);
    pub(super) const OBJECT: Self = Self(1 << 6);
    pub(super) const ALL: Self = Self((1 << 7) - 1);
    pub(super) const NONE: Self = Self(0);

    /// The names of the types in this set.
    pub(super) fn names(self) -> Vec<&'static str> {
        let numbers = if self.has(Self::FRACTION) {
            "number"
        } else {
            "integer"
        };
        let names = [
            (Self::NULL, "null"),
            (Self::BOOLEAN, "boolean"),
            (Self::NUMBER, numbers),
            (Self::STRING, "string"),
            (Self::ARRAY, "array"),
            (Self::OBJECT, "object"),
        ];
        let included = names.into_iter().filter(|(types, _)| self.has(*types));
        included.map(|(_, name)| name).collect()
    }

    /// A schema of the objects of these `cases`, and of all values of the other types in this set.
    pub(super) fn or_others(self, mut cases: Vec<Value>) -> Value {
        let others = self.and(Self::OBJECT.others());
        if others != Self::NONE {
            cases.push(json!({ "type": others.names() }));
        }
        json!({ "anyOf": cases })
    }

    /// The types that are not in this set.
    pub(super) fn others(self) -> Self {
        Self(Self::ALL.0 & !self.0)
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => return None,
        })
    }

    /// The type of a value.
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(number) => match number.as_f64() {
                Some(float) if float.fract() != 0.0 => Self::FRACTION,
                _ => Self::INTEGER,
            },
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the sets intersect.
    pub(super) fn has(self, other: Self) -> bool {
        self.and(other) != Self::NONE
    }

    /// Whether this is a subset of `other`.
    pub(super) fn within(self, other: Self) -> bool {
        self.and(other) == self
    }
}

/// The types of the keyword `type`, if present.
pub(super) fn declared(
    keywords: &Map<String, Value>,
    at: &Pointer,
) -> Result<Option<Types>, GrammarError> {
    let Some(value) = keywords.get("type") else {
        return Ok(None);
    };
    let here = at.child("type");
    let named = |name: &Value| {
        let types = name.as_str().and_then(Types::named);
        types.ok_or_else(|| here.invalid(format!("{name} is not a type")))
    };
    let types = match value {
        Value::Array(names) if names.is_empty() => {
            return Err(here.unsatisfiable("no type is allowed"));
        }
        Value::Array(names) => {
            let mut types = Types::NONE;
            for name in names {
                types = types.or(named(name)?);
            }
            types
        }
        name => named(name)?,
    };
    Ok(Some(types))
}

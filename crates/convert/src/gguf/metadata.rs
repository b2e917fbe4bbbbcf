//! The typed key-value pairs of a GGUF file.

use super::GgufError;
use super::cursor::Cursor;

/// The type of a metadata value (`gguf_metadata_value_type`), in the order of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl ValueType {
    fn from_id(id: u32) -> Option<Self> {
        use ValueType::{Array, Bool, F32, F64, I8, I16, I32, I64, String, U8, U16, U32, U64};
        [
            U8, I8, U16, I16, U32, I32, F32, Bool, String, Array, U64, I64, F64,
        ]
        .get(id as usize)
        .copied()
    }

    /// Size of a value in bytes; `None` if it varies.
    fn size(self) -> Option<usize> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::String | Self::Array => None,
        }
    }
}

/// One metadata value. Strings and arrays borrow from the mapped file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    /// Any integer type.
    Integer(i128),
    /// Either float type.
    Float(f64),
    Bool(bool),
    String(&'a str),
    Array(Array<'a>),
}

impl Value<'_> {
    /// A description for error messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Integer(value) => format!("the integer {value}"),
            Self::Float(value) => format!("the number {value}"),
            Self::Bool(value) => format!("the boolean {value}"),
            Self::String(value) => {
                let start: String = value.chars().take(40).collect();
                format!("the string {start:?}")
            }
            Self::Array(array) => format!("an array of {} {:?}", array.count, array.element),
        }
    }
}

/// An array whose extent is checked. Items are decoded on use, so that a corrupt count cannot cause an allocation
/// larger than the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Array<'a> {
    element: ValueType,
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    /// The items as strings; `None` if they have another type.
    pub(super) fn strings(&self) -> Option<Vec<&'a str>> {
        if self.element != ValueType::String {
            return None;
        }
        let mut cursor = Cursor::new(self.bytes);
        (0..self.count)
            .map(|_| cursor.string("an array item").ok())
            .collect()
    }

    /// The items as integers; `None` if they have another type. Booleans count as 0 and 1.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        self.scalars(|value| match value {
            Value::Integer(value) => i64::try_from(value).ok(),
            Value::Bool(value) => Some(i64::from(value)),
            _ => None,
        })
    }

    /// The items as floats; `None` if they have another type.
    pub(super) fn floats(&self) -> Option<Vec<f64>> {
        self.scalars(|value| match value {
            Value::Float(value) => Some(value),
            _ => None,
        })
    }

    /// Number of items.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Each item converted at once, because a value takes many times the memory of an item in the file.
    fn scalars<T>(&self, convert: impl Fn(Value<'a>) -> Option<T>) -> Option<Vec<T>> {
        self.element.size()?;
        let mut cursor = Cursor::new(self.bytes);
        (0..self.count)
            .map(|_| convert(scalar(&mut cursor, self.element, "an array item").ok()?))
            .collect()
    }
}

/// Reads a value of type `id`. `key` is its name in errors.
pub(super) fn read_value<'a>(
    cursor: &mut Cursor<'a>,
    id: u32,
    key: &str,
) -> Result<Value<'a>, GgufError> {
    let value_type = value_type(id, key)?;
    match value_type {
        ValueType::String => Ok(Value::String(cursor.string(key)?)),
        ValueType::Array => Ok(Value::Array(array(cursor, key)?)),
        _ => scalar(cursor, value_type, key),
    }
}

fn value_type(id: u32, key: &str) -> Result<ValueType, GgufError> {
    ValueType::from_id(id)
        .ok_or_else(|| GgufError::Corrupt(format!("metadata {key:?} has the unknown type {id}")))
}

fn array<'a>(cursor: &mut Cursor<'a>, key: &str) -> Result<Array<'a>, GgufError> {
    let element = value_type(cursor.u32(key)?, key)?;
    let count = cursor.u64(key)?;
    let start = cursor.position();
    match element.size() {
        Some(size) => {
            cursor.take(count.saturating_mul(size as u64), key)?;
        }
        None if element == ValueType::String => {
            for _ in 0..count {
                cursor.string(key)?;
            }
        }
        None => {
            return Err(GgufError::Corrupt(format!(
                "metadata {key:?} is an array of arrays"
            )));
        }
    }
    Ok(Array {
        element,
        count: count as usize,
        bytes: cursor.since(start),
    })
}

fn scalar<'a>(
    cursor: &mut Cursor<'a>,
    value_type: ValueType,
    what: &str,
) -> Result<Value<'a>, GgufError> {
    Ok(match value_type {
        ValueType::U8 => Value::Integer(i128::from(u8::from_le_bytes(cursor.array(what)?))),
        ValueType::I8 => Value::Integer(i128::from(i8::from_le_bytes(cursor.array(what)?))),
        ValueType::U16 => Value::Integer(i128::from(u16::from_le_bytes(cursor.array(what)?))),
        ValueType::I16 => Value::Integer(i128::from(i16::from_le_bytes(cursor.array(what)?))),
        ValueType::U32 => Value::Integer(i128::from(u32::from_le_bytes(cursor.array(what)?))),
        ValueType::I32 => Value::Integer(i128::from(i32::from_le_bytes(cursor.array(what)?))),
        ValueType::U64 => Value::Integer(i128::from(u64::from_le_bytes(cursor.array(what)?))),
        ValueType::I64 => Value::Integer(i128::from(i64::from_le_bytes(cursor.array(what)?))),
        ValueType::F32 => Value::Float(shortest_decimal(f32::from_le_bytes(cursor.array(what)?))),
        ValueType::F64 => Value::Float(f64::from_le_bytes(cursor.array(what)?)),
        ValueType::Bool => Value::Bool(u8::from_le_bytes(cursor.array(what)?) != 0),
        ValueType::String | ValueType::Array => {
            return Err(GgufError::Corrupt(format!("{what:?} is not a scalar")));
        }
    })
}

/// The shortest decimal that rounds to `value`, such as 1e-5 instead of 9.99999974e-6.
pub(super) fn shortest_decimal(value: f32) -> f64 {
    value
        .to_string()
        .parse()
        .unwrap_or_else(|_| f64::from(value))
}

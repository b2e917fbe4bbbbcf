//! Parser of GGUF files (versions 2 and 3). Every extent is checked before it is used.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use memmap2::Mmap;

use super::GgufError;
use super::cursor::Cursor;
use super::metadata::{Array, Value, read_value};
use super::types::TensorType;

/// The max accepted alignment; the format's default is 32.
const MAX_ALIGNMENT: u64 = 1 << 20;

/// The max accepted number of tensors and of metadata keys. Real files have some thousands; the limit bounds the memory that a
/// damaged file can take.
const MAX_ENTRIES: u64 = 1 << 16;

/// The max accepted number of items of an array that is read, several times as many as the largest vocabularies have.
const MAX_ITEMS: usize = 1 << 21;

#[derive(Debug, Clone)]
pub(super) struct Tensor<'a> {
    pub(super) name: &'a str,
    pub(super) kind: TensorType,
    /// Outermost dimension first, the reverse of the order in the file.
    pub(super) shape: Vec<usize>,
    pub(super) data: &'a [u8],
}

/// A parsed file that borrows from its bytes.
#[derive(Debug)]
pub(super) struct Gguf<'a> {
    metadata: HashMap<&'a str, Value<'a>>,
    tensors: Vec<Tensor<'a>>,
}

/// Memory-maps the file at `path`.
pub(super) fn map(path: &Path) -> Result<Mmap, GgufError> {
    let io = |source| GgufError::Io {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(io)?;
    // SAFETY: the file must not be modified or truncated while it is mapped, which no program can enforce. The mapping
    // is read-only, and users are expected not to write to a model while it is converted.
    unsafe { Mmap::map(&file) }.map_err(io)
}

impl<'a> Gguf<'a> {
    /// Parses the header, the metadata and the tensor infos. `bytes` is the whole file.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, GgufError> {
        let mut cursor = Cursor::new(bytes);
        let magic = &bytes[..bytes.len().min(4)];
        if magic != b"GGUF" {
            return Err(GgufError::Magic {
                found: magic.to_vec(),
            });
        }
        cursor.take(4, "the magic number")?;
        let version = cursor.u32("the version")?;
        match version {
            2 | 3 => {}
            _ if matches!(version.swap_bytes(), 1..=3) => return Err(GgufError::BigEndian),
            _ => return Err(GgufError::Version(version)),
        }
        let tensor_count = cursor.u64("the tensor count")?;
        let metadata_count = cursor.u64("the metadata count")?;
        for (count, what) in [(tensor_count, "tensors"), (metadata_count, "metadata keys")] {
            if count > MAX_ENTRIES {
                return Err(GgufError::Corrupt(format!(
                    "it claims to have {count} {what}, more than {MAX_ENTRIES}"
                )));
            }
        }

        let mut metadata = HashMap::new();
        for index in 0..metadata_count {
            let key = cursor.string(&format!("metadata key {index}"))?;
            let value_type = cursor.u32(key)?;
            let value = read_value(&mut cursor, value_type, key)?;
            if metadata.insert(key, value).is_some() {
                return Err(GgufError::Corrupt(format!(
                    "metadata key {key:?} occurs twice"
                )));
            }
        }
        let mut gguf = Self {
            metadata,
            tensors: Vec::new(),
        };
        let infos = (0..tensor_count)
            .map(|index| TensorInfo::read(&mut cursor, index))
            .collect::<Result<Vec<_>, _>>()?;
        gguf.locate_tensors(infos, cursor.position() as u64, bytes)?;
        Ok(gguf)
    }

    /// Locates the data of each tensor. The data section starts at `header_bytes` rounded up to the alignment.
    fn locate_tensors(
        &mut self,
        infos: Vec<TensorInfo<'a>>,
        header_bytes: u64,
        bytes: &'a [u8],
    ) -> Result<(), GgufError> {
        let alignment = self
            .optional_u64("general.alignment", MAX_ALIGNMENT)?
            .unwrap_or(32);
        if !alignment.is_power_of_two() {
            return Err(GgufError::BadValue {
                key: "general.alignment".to_owned(),
                found: alignment.to_string(),
                expected: "a power of two".to_owned(),
            });
        }
        let start = header_bytes.next_multiple_of(alignment);
        let mut seen = HashSet::new();
        let mut extents = Vec::with_capacity(infos.len());
        for info in infos {
            if !seen.insert(info.name) {
                return Err(GgufError::Corrupt(format!(
                    "tensor {:?} occurs twice",
                    info.name
                )));
            }
            extents.push((info.offset, info.size_bytes, info.name));
            self.tensors.push(info.locate(start, alignment, bytes)?);
        }
        extents.sort_unstable();
        for pair in extents.windows(2) {
            if let [(offset, size_bytes, name), (next_offset, _, next)] = pair
                && offset + size_bytes > *next_offset
            {
                return Err(GgufError::Corrupt(format!(
                    "the data of the tensors {name:?} and {next:?} overlaps"
                )));
            }
        }
        Ok(())
    }

    pub(super) fn tensors(&self) -> &[Tensor<'a>] {
        &self.tensors
    }

    pub(super) fn tensor(&self, name: &str) -> Option<&Tensor<'a>> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        self.metadata.get(key).copied()
    }

    /// An integer of at most `max`; `None` if the key is missing.
    pub(super) fn optional_u64(&self, key: &str, max: u64) -> Result<Option<u64>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Integer(value)) if (0..=i128::from(max)).contains(&value) => {
                Ok(Some(value as u64))
            }
            Some(other) => Err(bad_value(
                key,
                &other,
                &format!("an integer from 0 to {max}"),
            )),
        }
    }

    pub(super) fn u64(&self, key: &str, max: u64) -> Result<u64, GgufError> {
        self.optional_u64(key, max)?
            .ok_or_else(|| GgufError::MissingKey(key.to_owned()))
    }

    /// A finite float; `None` if the key is missing.
    pub(super) fn optional_f64(&self, key: &str) -> Result<Option<f64>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Float(value)) if value.is_finite() => Ok(Some(value)),
            Some(other) => Err(bad_value(key, &other, "a finite number")),
        }
    }

    pub(super) fn f64(&self, key: &str) -> Result<f64, GgufError> {
        self.optional_f64(key)?
            .ok_or_else(|| GgufError::MissingKey(key.to_owned()))
    }

    pub(super) fn optional_bool(&self, key: &str) -> Result<Option<bool>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(bad_value(key, &other, "a boolean")),
        }
    }

    pub(super) fn optional_str(&self, key: &str) -> Result<Option<&'a str>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(value)) => Ok(Some(value)),
            Some(other) => Err(bad_value(key, &other, "a string")),
        }
    }

    pub(super) fn str(&self, key: &str) -> Result<&'a str, GgufError> {
        self.optional_str(key)?
            .ok_or_else(|| GgufError::MissingKey(key.to_owned()))
    }

    pub(super) fn optional_strings(&self, key: &str) -> Result<Option<Vec<&'a str>>, GgufError> {
        self.optional_array(key, "an array of strings", Array::strings)
    }

    pub(super) fn optional_integers(&self, key: &str) -> Result<Option<Vec<i64>>, GgufError> {
        self.optional_array(key, "an array of integers", Array::integers)
    }

    pub(super) fn optional_floats(&self, key: &str) -> Result<Option<Vec<f64>>, GgufError> {
        self.optional_array(key, "an array of numbers", Array::floats)
    }

    fn optional_array<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&Array<'a>) -> Option<Vec<T>>,
    ) -> Result<Option<Vec<T>>, GgufError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array(array)) if array.len() > MAX_ITEMS => Err(bad_value(
                key,
                &Value::Array(array),
                &format!("{expected} of at most {MAX_ITEMS} items"),
            )),
            Some(Value::Array(array)) => match read(&array) {
                Some(items) => Ok(Some(items)),
                None => Err(bad_value(key, &Value::Array(array), expected)),
            },
            Some(other) => Err(bad_value(key, &other, expected)),
        }
    }
}

fn bad_value(key: &str, found: &Value<'_>, expected: &str) -> GgufError {
    GgufError::BadValue {
        key: key.to_owned(),
        found: found.describe(),
        expected: expected.to_owned(),
    }
}

/// A tensor info of the header (`gguf_tensor_info_t`).
struct TensorInfo<'a> {
    name: &'a str,
    kind: TensorType,
    shape: Vec<usize>,
    /// Relative to the data section.
    offset: u64,
    size_bytes: u64,
}

impl<'a> TensorInfo<'a> {
    fn read(cursor: &mut Cursor<'a>, index: u64) -> Result<Self, GgufError> {
        let name = cursor.string(&format!("the name of tensor {index}"))?;
        let dimensions = cursor.u32(name)?;
        if !(1..=4).contains(&dimensions) {
            return Err(GgufError::Corrupt(format!(
                "tensor {name:?} has {dimensions} dimensions"
            )));
        }
        let mut shape = (0..dimensions)
            .map(|_| cursor.u64(name))
            .collect::<Result<Vec<_>, _>>()?;
        let type_id = cursor.u32(name)?;
        let offset = cursor.u64(name)?;
        let tensor_type = TensorType::from_id(type_id).ok_or_else(|| {
            GgufError::Corrupt(format!("tensor {name:?} has the unknown type {type_id}"))
        })?;
        let (block_values, block_bytes) = tensor_type.block();
        if shape.contains(&0) || shape[0] % block_values as u64 != 0 {
            return Err(GgufError::Corrupt(format!(
                "tensor {name:?} of type {} has rows of {} values, which is not a multiple of the block size {block_values}",
                tensor_type.name(),
                shape[0]
            )));
        }
        let size_bytes = shape
            .iter()
            .try_fold(1_u64, |product, &dimension| product.checked_mul(dimension))
            .and_then(|values| (values / block_values as u64).checked_mul(block_bytes as u64))
            .filter(|&bytes| usize::try_from(bytes).is_ok())
            .ok_or_else(|| {
                GgufError::Corrupt(format!(
                    "the size of tensor {name:?} with shape {shape:?} overflows"
                ))
            })?;
        shape.reverse();
        Ok(Self {
            name,
            kind: tensor_type,
            shape: shape
                .into_iter()
                .map(|dimension| dimension as usize)
                .collect(),
            offset,
            size_bytes,
        })
    }

    /// `start` is the offset of the data section in `bytes`.
    fn locate(self, start: u64, alignment: u64, bytes: &'a [u8]) -> Result<Tensor<'a>, GgufError> {
        if !self.offset.is_multiple_of(alignment) {
            return Err(GgufError::Corrupt(format!(
                "the offset {} of tensor {:?} is not a multiple of the alignment {alignment}",
                self.offset, self.name
            )));
        }
        let begin = start.checked_add(self.offset);
        let data = begin
            .zip(begin.and_then(|begin| begin.checked_add(self.size_bytes)))
            .and_then(|(begin, end)| {
                bytes.get(usize::try_from(begin).ok()?..usize::try_from(end).ok()?)
            })
            .ok_or_else(|| GgufError::Truncated {
                what: format!("tensor {:?}", self.name),
                offset: start.saturating_add(self.offset),
                needed: self.size_bytes,
                size: bytes.len() as u64,
            })?;
        Ok(Tensor {
            name: self.name,
            kind: self.kind,
            shape: self.shape,
            data,
        })
    }
}

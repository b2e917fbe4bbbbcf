//! The header of a safetensors file.

use std::collections::BTreeMap;
use std::ops::Range;

use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{SafeTensorError, SafeTensors};
use serde_json::Value;

use crate::json;

/// Bytes of the header's length at the start of the file.
const LENGTH_BYTES: usize = size_of::<u64>();

/// A tensor of a file.
#[derive(Debug)]
pub(super) struct HeaderEntry {
    pub(super) name: String,
    pub(super) info: TensorInfo,
    /// Its bytes in the file.
    pub(super) range: Range<usize>,
}

/// The tensors of the file with these bytes, which are not read except for the header.
///
/// # Errors
/// When the file is not complete or not a safetensors file.
pub(super) fn read_header(file: &[u8]) -> Result<Vec<HeaderEntry>, String> {
    let (header_bytes, metadata) = match SafeTensors::read_metadata(file) {
        // The library accepts only strings in `__metadata__`, and only standard JSON.
        Err(SafeTensorError::InvalidHeaderDeserialization(error)) => {
            read_leniently(file).ok_or_else(|| error.to_string())?
        }
        other => other.map_err(|error| error.to_string())?,
    };
    let start = LENGTH_BYTES + header_bytes;
    let entries = metadata.tensors().into_iter().map(|(name, info)| {
        let (from, to) = info.data_offsets;
        HeaderEntry {
            name,
            info: info.clone(),
            range: start + from..start + to,
        }
    });
    Ok(entries.collect())
}

/// As `SafeTensors::read_metadata`, for a header that is JSON as Python writes it. The content of `__metadata__` is ignored.
fn read_leniently(file: &[u8]) -> Option<(usize, Metadata)> {
    let length = u64::from_le_bytes(*file.first_chunk()?);
    let length = usize::try_from(length).ok()?;
    let header = file.get(LENGTH_BYTES..LENGTH_BYTES.checked_add(length)?)?;
    let Ok(Value::Object(mut fields)) = json::from_slice(header) else {
        return None;
    };
    fields.remove("__metadata__");
    let tensors: BTreeMap<String, TensorInfo> =
        serde_json::from_value(Value::Object(fields)).ok()?;
    let mut tensors: Vec<(String, TensorInfo)> = tensors.into_iter().collect();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let metadata = Metadata::new(None, tensors).ok()?;
    let is_complete = metadata.data_len() == file.len() - LENGTH_BYTES - length;
    is_complete.then_some((length, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with one tensor `[1]` of u8.
    fn file(metadata: &str, data: &[u8]) -> Vec<u8> {
        let header = format!(
            r#"{{"__metadata__": {metadata}, "x": {{"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}}}"#
        );
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.extend_from_slice(data);
        file
    }

    #[test]
    fn metadata_of_any_python_json_is_accepted() {
        for metadata in [
            r#"{"format": "mlx"}"#,
            r#"{"loss": NaN, "limit": -Infinity, "steps": 1e400}"#,
            r#"{"bits": 4, "tags": ["a"], "parent": null}"#,
            "null",
        ] {
            let file = file(metadata, &[7]);
            let entries = read_header(&file).unwrap();
            let [entry] = entries.as_slice() else {
                panic!("{entries:?}");
            };
            assert_eq!(entry.name, "x");
            assert_eq!(file[entry.range.clone()], [7], "{metadata}");
        }
    }

    #[test]
    fn incomplete_files_are_rejected() {
        for metadata in [r#"{"format": "mlx"}"#, r#"{"loss": NaN}"#] {
            for data in [&[][..], &[1, 2]] {
                assert!(read_header(&file(metadata, data)).is_err(), "{metadata}");
            }
        }
        assert!(read_header(b"\x08\0\0\0\0\0\0\0{\"a\": 1}").is_err());
    }
}

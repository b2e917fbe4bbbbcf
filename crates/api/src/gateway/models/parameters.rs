//! The number of parameters, from the headers of weight files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value};

/// Headers of weights are smaller.
const MAX_HEADER_BYTES: u64 = 32 << 20;
/// The group size of quantized weights that do not say another one.
const DEFAULT_GROUP_SIZE: u64 = 64;

/// Counts the parameters in all weight files of a directory; `None` if there are none or one is not valid. A quantized weight
/// counts its elements, and its scales and biases do not count. Blocks.
pub fn count(folder: &Path, config: &Map<String, Value>) -> Option<u64> {
    let mut shapes = BTreeMap::new();
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let name = entry.file_name();
        let name = name.to_str()?;
        if name.ends_with(".safetensors") && !name.starts_with('.') {
            shapes.extend(header(&entry.path())?);
        }
    }
    let settings = config
        .get("quantization")
        .or_else(|| config.get("quantization_config"));
    total(&shapes, settings)
}

/// Shapes by name.
type Shapes = BTreeMap<String, Vec<u64>>;

fn header(path: &Path) -> Option<Shapes> {
    let mut file = File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).ok()?;
    let tensors: Map<String, Value> = serde_json::from_slice(&bytes).ok()?;
    let shape = |tensor: &Value| -> Option<Vec<u64>> {
        let sizes = tensor.get("shape")?.as_array()?;
        sizes.iter().map(Value::as_u64).collect()
    };
    tensors
        .iter()
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, tensor)| Some((name.clone(), shape(tensor)?)))
        .collect()
}

fn total(shapes: &Shapes, settings: Option<&Value>) -> Option<u64> {
    let group_size = |layer: &str| {
        let of = |settings: &Value| settings.get("group_size")?.as_u64();
        let own = settings.and_then(|settings| of(settings.get(layer)?));
        own.or_else(|| settings.and_then(of))
            .unwrap_or(DEFAULT_GROUP_SIZE)
    };
    let is_quantized = |layer: &str| shapes.contains_key(&format!("{layer}.scales"));
    let mut total: u64 = 0;
    for (name, shape) in shapes {
        let elements = match name.rsplit_once('.') {
            // One scale for each group of a row.
            Some((layer, "scales")) => product(shape)?.checked_mul(group_size(layer))?,
            Some((layer, "weight" | "biases")) if is_quantized(layer) => 0,
            _ => product(shape)?,
        };
        total = total.checked_add(elements)?;
    }
    (total > 0).then_some(total)
}

fn product(shape: &[u64]) -> Option<u64> {
    shape
        .iter()
        .try_fold(1_u64, |product, size| product.checked_mul(*size))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantized_weights_count_their_elements() {
        let shapes: Shapes = [
            // 4 bits: 8 elements in each word.
            ("a.weight", vec![10, 16]),
            ("a.scales", vec![10, 2]),
            ("a.biases", vec![10, 2]),
            // With a group size of its own.
            ("b.weight", vec![10, 16]),
            ("b.scales", vec![10, 4]),
            ("norm.weight", vec![128]),
            ("c.bias", vec![3]),
        ]
        .into_iter()
        .map(|(name, shape)| (name.to_owned(), shape))
        .collect();
        let settings = json!({"group_size": 64, "bits": 4, "b": {"group_size": 32, "bits": 4}});
        assert_eq!(total(&shapes, Some(&settings)), Some(1280 + 1280 + 128 + 3));
        assert_eq!(total(&Shapes::new(), None), None);
    }

    #[test]
    fn files_that_are_not_valid_are_not_counted() {
        let folder = tempfile::tempdir().unwrap();
        let count = || count(folder.path(), &Map::new());
        assert_eq!(count(), None);
        let header = r#"{"__metadata__":{"format":"mlx"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}"#;
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        fs::write(folder.path().join("model.safetensors"), &file).unwrap();
        assert_eq!(count(), Some(6));
        for bytes in [&b"short"[..], &[0xff; 16], b"\x02\0\0\0\0\0\0\0[]"] {
            fs::write(folder.path().join("model-2.safetensors"), bytes).unwrap();
            assert_eq!(count(), None);
        }
    }
}

//! Tests of the output directory.

use safetensors::SafeTensors;

use super::*;

fn tensor(name: &str, dtype: Dtype, shape: &[usize]) -> OutputTensor {
    OutputTensor {
        name: name.to_owned(),
        dtype,
        shape: shape.to_vec(),
    }
}

#[test]
fn tensors_are_split_into_files_of_bounded_size() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("deep/er/out");
    let mut writer = OutputDirectory::create(&output, false).unwrap();
    let tensors = [
        tensor("odd", Dtype::F16, &[3]),
        tensor("wide", Dtype::U32, &[4, 2]),
        tensor("last", Dtype::U8, &[30]),
    ];
    writer
        .create_weight_files_with_limit(tensors.iter(), 40)
        .unwrap();
    for part in &tensors {
        let bytes = vec![part.name.len() as u8; part.size_bytes() as usize];
        let (start, end) = bytes.split_at(2);
        writer.append(&part.name, start).unwrap();
        writer.append(&part.name, end).unwrap();
    }
    assert_eq!(writer.finish(41).unwrap(), 2);

    let first = fs::read(output.join("model-00001-of-00002.safetensors")).unwrap();
    let read = SafeTensors::deserialize(&first).unwrap();
    assert_eq!(read.tensor("odd").unwrap().data(), [3; 6]);
    let wide = read.tensor("wide").unwrap();
    assert_eq!((wide.shape(), wide.dtype()), (&[4, 2][..], Dtype::U32));
    let offset = wide.data().as_ptr() as usize - first.as_ptr() as usize;
    assert_eq!(offset % 4, 0);
    let (_, header) = SafeTensors::read_metadata(&first).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["format"], "mlx");

    let index = fs::read(output.join("model.safetensors.index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(
        index["weight_map"]["last"],
        "model-00002-of-00002.safetensors"
    );
    assert_eq!(index["metadata"]["total_size"], 68);
    assert_eq!(index["metadata"]["total_parameters"], 41);
}

#[test]
fn incomplete_output_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    let mut writer = OutputDirectory::create(&output, false).unwrap();
    writer
        .create_weight_files([tensor("a", Dtype::F32, &[2])].iter())
        .unwrap();
    writer.append("a", &[0; 4]).unwrap();
    assert!(writer.append("b", &[0]).is_err());
    assert!(writer.append("a", &[0; 5]).is_err());
    let message = writer.finish(2).unwrap_err().to_string();
    assert!(message.contains("\"a\""), "{message}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn duplicate_tensor_name_is_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = OutputDirectory::create(&directory.path().join("out"), false).unwrap();
    let twice = [tensor("a", Dtype::F32, &[1]), tensor("a", Dtype::F32, &[1])];
    assert!(writer.create_weight_files(twice.iter()).is_err());
}

#[test]
fn full_disk_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let mut writer = OutputDirectory::create(&directory.path().join("out"), false).unwrap();
    let huge = tensor("a", Dtype::F32, &[1 << 30, 1 << 28]);
    let error = writer.create_weight_files([huge].iter()).unwrap_err();
    assert!(
        matches!(error, ConvertError::DiskFull { needed_bytes, .. } if needed_bytes == 1 << 60)
    );

    let full = io::Error::from(io::ErrorKind::StorageFull);
    let error = writer.write_error(Path::new("x"), full);
    assert!(error.to_string().contains("no space left"), "{error}");
}

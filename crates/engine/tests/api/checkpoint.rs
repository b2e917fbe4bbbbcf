//! Checkpoints that tests modify.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::{golden, options};
use mlxm_engine::{Engine, LoadError, LoadOptions};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tempfile::TempDir;

/// A copy of a golden checkpoint that can be modified.
pub struct Checkpoint(TempDir);

/// Tensors by name.
pub type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

impl Checkpoint {
    pub fn new(name: &str) -> Self {
        let folder = TempDir::new().unwrap();
        for entry in fs::read_dir(golden(name)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn edit_config(&self, edit: impl FnOnce(&mut Value)) {
        let path = self.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        edit(&mut config);
        fs::write(path, config.to_string()).unwrap();
    }

    pub fn edit_tensors(&self, edit: impl FnOnce(&mut Tensors)) {
        let mut tensors = self.tensors();
        edit(&mut tensors);
        self.write_tensors("model.safetensors", &tensors);
    }

    /// The tensors of `model.safetensors`.
    pub fn tensors(&self) -> Tensors {
        let bytes = fs::read(self.path().join("model.safetensors")).unwrap();
        SafeTensors::deserialize(&bytes)
            .unwrap()
            .iter()
            .map(|(name, view)| {
                (
                    name.to_owned(),
                    (view.dtype(), view.shape().to_vec(), view.data().to_vec()),
                )
            })
            .collect()
    }

    /// Writes a weight file.
    pub fn write_tensors(&self, file: &str, tensors: &Tensors) {
        let views: Vec<(&str, TensorView<'_>)> = tensors
            .iter()
            .map(|(name, (dtype, shape, data))| {
                (
                    name.as_str(),
                    TensorView::new(*dtype, shape.clone(), data).unwrap(),
                )
            })
            .collect();
        safetensors::serialize_to_file(views, None, &self.path().join(file)).unwrap();
    }

    /// Writes a file of text.
    pub fn write(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).unwrap();
    }

    pub fn error(&self) -> LoadError {
        error(self.path(), &options())
    }
}

/// The error of loading the checkpoint at `path`.
pub fn error(path: &Path, options: &LoadOptions) -> LoadError {
    match Engine::load(path, options) {
        Ok(_) => unreachable!("{} loaded", path.display()),
        Err(error) => error,
    }
}

/// Checks that the message has all parts.
pub fn assert_says(error: &LoadError, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

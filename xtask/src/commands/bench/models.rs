//! The models that are measured, each in the forms of all engines, made once from the same weights.

use super::rows::Unit;
use crate::{cache, process, python, starter};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Changes when the files would come out differently, so that earlier ones are not used.
const GENERATION: u32 = 1;

/// What writes the random model.
const REQUIREMENTS: &str = "gguf==0.19.0\nnumpy==2.4.6\n";

/// The Python that these packages ask for.
pub const PYTHON: crate::prerequisites::Minor = 11;

/// A model there is in several forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// The starter model, SmolLM2-135M-Instruct.
    Starter,
    /// A llama of 24 layers with random weights and the starter model's tokenizer.
    Random,
}

impl Model {
    pub const ALL: [Self; 2] = [Self::Starter, Self::Random];

    pub fn name(self) -> &'static str {
        match self {
            Self::Starter => "135M",
            Self::Random => "1.56B",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            Self::Starter => {
                "SmolLM2-135M-Instruct (hidden 576, 30 layers, 9 heads, 3 key-value heads)"
            }
            Self::Random => {
                "a llama with random weights (hidden 2048, feed-forward 8192, 24 layers, 32 heads, 8 key-value heads)"
            }
        }
    }

    /// Writes the weights all forms are made from, or finds them.
    pub fn source(self, scratch: &Path) -> Result<PathBuf> {
        let starter = starter::gguf()?;
        if self == Self::Starter {
            return Ok(starter);
        }
        let environment = python::Environment::prepare("bench", PYTHON, REQUIREMENTS)?;
        let output = scratch.join("f16.gguf");
        process::run(
            environment
                .python()
                .arg("xtask/scripts/random_gguf.py")
                .arg("--tokenizer")
                .arg(&starter)
                .arg("--output")
                .arg(&output)
                .args(["--hidden", "2048", "--feed-forward", "8192"])
                .args(["--layers", "24", "--heads", "32", "--key-value-heads", "8"]),
        )?;
        Ok(output)
    }
}

/// A model on this disk, in the forms that llama.cpp and mlxm read.
#[derive(Clone, Debug)]
pub struct Pair {
    pub model: Model,
    directory: PathBuf,
}

impl Pair {
    /// Makes the files, or finds them as an earlier call left them. `programs` holds llama.cpp's.
    pub fn prepare(model: Model, mlxm: &Path, programs: &Path) -> Result<Self> {
        let directory = cache::entry(&entry_name(model, ""), |directory| {
            let scratch = tempfile::tempdir_in(directory)?;
            let source = model.source(scratch.path())?;
            let pair = Self {
                model,
                directory: directory.to_owned(),
            };
            process::run(
                process::program(mlxm)
                    .arg("convert")
                    .arg(&source)
                    .arg(pair.mlx())
                    .args(["--bits", "4", "--group-size", "64", "--dtype", "float16"]),
            )?;
            for (output, pure) in [(pair.gguf(), false), (pair.pure_gguf(), true)] {
                let mut command = process::program(programs.join("llama-quantize"));
                // The starter model's file is quantized already, with more bits.
                command.arg("--allow-requantize");
                if pure {
                    command.arg("--pure");
                }
                process::read(command.arg(&source).arg(output).arg("Q4_0"))?;
            }
            Ok(())
        })?;
        Ok(Self { model, directory })
    }

    /// The MLX checkpoint: affine, 4 bits, group 64, embedding too.
    pub fn mlx(&self) -> PathBuf {
        self.directory.join("mlx-4bit")
    }

    /// Q4_0 as llama-quantize makes it.
    pub fn gguf(&self) -> PathBuf {
        self.directory.join("Q4_0.gguf")
    }

    /// What is exported for OpenVINO, beside the rest and only when it is asked for.
    pub fn openvino(&self) -> PathBuf {
        let mut name = self.directory.clone().into_os_string();
        name.push("-openvino");
        name.into()
    }

    /// Q4_0 in every matrix.
    pub fn pure_gguf(&self) -> PathBuf {
        self.directory.join("Q4_0-pure.gguf")
    }
}

/// The name in the cache of a model's files, or with a suffix of further ones.
pub fn entry_name(model: Model, suffix: &str) -> String {
    format!("bench/models-{GENERATION}/{}{suffix}", model.name())
}

/// Bytes of a file, or of the files in a directory.
pub fn size_bytes(path: &Path) -> Result<u64> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    fs::read_dir(path)?
        .map(|entry| size_bytes(&entry?.path()))
        .sum()
}

/// Bytes for people.
pub fn show_size(bytes: u64) -> String {
    Unit::Bytes.show(bytes as f64)
}

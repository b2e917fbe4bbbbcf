//! The benchmark models, made once from the same weights in the format of each engine.

use super::rows::Unit;
use crate::{cache, process, python, starter};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Increased when the files would come out differently, so that older ones in the cache are not used.
const GENERATION: u32 = 2;

/// Packages of the script that writes the random model.
const REQUIREMENTS: &str = "gguf==0.19.0\nnumpy==2.4.6\n";

/// The oldest Python that these packages support.
pub const PYTHON: crate::prerequisites::Minor = 11;

/// A benchmark model.
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

    /// The GGUF file that all other formats are made from; a random model is written to `scratch`, always with the same
    /// weights.
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

/// A model's files in the cache, one cache entry per format.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    pub model: Model,
    cache: PathBuf,
}

impl ModelFiles {
    /// The places of the files; [`Engine::prepare`](super::engines::Engine::prepare) makes them.
    pub fn locate(model: Model) -> Result<Self> {
        Ok(Self {
            model,
            cache: cache::directory()?,
        })
    }

    /// The MLX checkpoint: affine, 4 bits, group 64, embedding too.
    pub fn mlx(&self) -> PathBuf {
        self.entry(Format::Mlx).join("4bit")
    }

    /// Makes the MLX checkpoint with the `mlxm` program.
    pub fn prepare_mlx(&self, mlxm: &Path) -> Result<()> {
        self.prepare(Format::Mlx, |source, directory| {
            process::run(
                process::program(mlxm)
                    .arg("convert")
                    .arg(source)
                    .arg(directory.join("4bit"))
                    .args(["--bits", "4", "--group-size", "64", "--dtype", "float16"]),
            )
        })
    }

    /// Q4_0 as llama-quantize makes it by default.
    pub fn gguf(&self) -> PathBuf {
        self.entry(Format::Gguf).join("Q4_0.gguf")
    }

    /// Q4_0 in every matrix.
    pub fn pure_gguf(&self) -> PathBuf {
        self.entry(Format::Gguf).join("Q4_0-pure.gguf")
    }

    /// Makes both GGUF files with the llama-quantize in the directory `programs`.
    pub fn prepare_gguf(&self, programs: &Path) -> Result<()> {
        self.prepare(Format::Gguf, |source, directory| {
            for (output, pure) in [("Q4_0.gguf", false), ("Q4_0-pure.gguf", true)] {
                let mut command = process::program(programs.join("llama-quantize"));
                // The starter model's file is already quantized, with more bits.
                command.arg("--allow-requantize");
                if pure {
                    command.arg("--pure");
                }
                process::read(command.arg(source).arg(directory.join(output)).arg("Q4_0"))?;
            }
            Ok(())
        })
    }

    /// The model exported for OpenVINO.
    pub fn openvino(&self) -> PathBuf {
        self.entry(Format::OpenVino)
    }

    /// Makes the entry of a format unless it exists; `convert` gets the source file and the entry's directory.
    pub fn prepare(
        &self,
        format: Format,
        convert: impl FnOnce(&Path, &Path) -> Result<()>,
    ) -> Result<()> {
        cache::entry(&self.entry_name(format), |directory| {
            let scratch = tempfile::tempdir_in(directory)?;
            convert(&self.model.source(scratch.path())?, directory)
        })?;
        Ok(())
    }

    fn entry(&self, format: Format) -> PathBuf {
        self.cache.join(self.entry_name(format))
    }

    fn entry_name(&self, format: Format) -> String {
        let format = match format {
            Format::Mlx => "mlx",
            Format::Gguf => "gguf",
            Format::OpenVino => "openvino",
        };
        format!("bench/models-{GENERATION}/{}-{format}", self.model.name())
    }
}

/// A format that models are converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Mlx,
    Gguf,
    OpenVino,
}

/// Size of a file, or of all files in a directory.
pub fn size_bytes(path: &Path) -> Result<u64> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    fs::read_dir(path)?
        .map(|entry| size_bytes(&entry?.path()))
        .sum()
}

/// A size with its unit.
pub fn show_size(bytes: u64) -> String {
    Unit::Bytes.show(bytes as f64)
}

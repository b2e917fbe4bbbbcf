//! `mlxm convert`: GGUF or Hugging Face weights to an MLX checkpoint.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, ValueEnum};
use indicatif::DecimalBytes;
use mlxm_convert::{
    ConvertError, ConvertEvent, ConvertOptions, ConvertReport, FloatType, Outcome, Override,
    Recipe, WeightFormat, convert, quantization,
};
use mlxm_engine::QuantMode;
use serde::Serialize;

use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::InterruptGuard;
use crate::locate;
use crate::output::{Report, Section};
use crate::units;

const HELP: &str = "\
Without options, weights keep their format: dense weights stay dense, MLX-quantized weights are copied, and GGUF \
blocks are repacked losslessly if an equivalent MLX format exists and requantized otherwise.

Recipes quantize sensitive layers (lm_head, some v_proj and down_proj) with more bits.

Examples:
  mlxm convert model-q8_0.gguf smollm2
  mlxm convert ./Qwen3-0.6B ./Qwen3-0.6B-4bit --bits 4 --group-size 64
  mlxm convert ./Qwen3-0.6B --recipe mixed_4_6          output in the local models directory
  mlxm convert ./model ./out --bits 4 --override 'lm_head=8' --override '*.layers.0.*=6:32'
  mlxm convert ./model-4bit ./model-f16 --dequantize --dtype float16";

/// Convert GGUF or Hugging Face weights to an MLX checkpoint
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Convert {
    /// GGUF file, directory with safetensors weights, or name of a local model
    source: String,

    /// Output directory [default: named after the source, in the local models directory]
    output: Option<PathBuf>,

    /// Bits per weight for quantization: 2, 3, 4, 5, 6 or 8
    #[arg(long, value_name = "N", conflicts_with_all = ["recipe", "dequantize"])]
    bits: Option<u32>,

    /// Group size for quantization: 32, 64 or 128
    #[arg(long, value_name = "N", conflicts_with = "dequantize")]
    group_size: Option<usize>,

    /// Quantization mode
    #[arg(long, conflicts_with_all = ["recipe", "dequantize"], value_parser = mode_parser())]
    mode: Option<QuantMode>,

    /// Mixed-bit quantization recipe
    #[arg(long, conflicts_with = "dequantize", value_parser = recipe_parser())]
    recipe: Option<Recipe>,

    /// Quantization override for layers matching a glob pattern; the last match wins; can be repeated
    #[arg(long = "override", value_name = "PATH=BITS[:GROUP[:MODE]]|PATH=dense")]
    overrides: Vec<Override>,

    /// Dequantize the weights
    #[arg(long)]
    dequantize: bool,

    /// Data type of unquantized tensors [default: same as the source]
    #[arg(long, value_name = "TYPE")]
    dtype: Option<Dtype>,

    /// Overwrite the output directory
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Dtype {
    /// IEEE half precision
    #[value(alias = "f16")]
    Float16,
    /// bfloat16
    #[value(alias = "bf16")]
    Bfloat16,
    /// Single precision
    #[value(alias = "f32")]
    Float32,
}

fn mode_parser() -> impl clap::builder::TypedValueParser<Value = QuantMode> {
    PossibleValuesParser::new(["affine", "mxfp4", "nvfp4", "mxfp8"])
        .try_map(|name| name.parse::<QuantMode>())
}

fn recipe_parser() -> impl clap::builder::TypedValueParser<Value = Recipe> {
    PossibleValuesParser::new(["mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6"])
        .try_map(|name| name.parse::<Recipe>())
}

#[derive(Debug, Serialize)]
struct Converted {
    output: PathBuf,
    size_bytes: u64,
    files: usize,
    parameters: u64,
    bits_per_weight: f64,
    tensors: usize,
    exact: usize,
    rounded: usize,
    quantized: usize,
    requantized: usize,
    dequantized: usize,
    largest_relative_error: Option<f32>,
    notes: Vec<String>,
}

impl Report for Converted {
    fn sections(&self) -> Vec<Section> {
        let mut section = Section::properties(&self.output.display().to_string());
        section.property(
            "weights",
            format!(
                "{} in {}, {} parameters, {:.2} bits per weight",
                DecimalBytes(self.size_bytes),
                match self.files {
                    1 => "one file".to_owned(),
                    files => format!("{files} files"),
                },
                units::count(self.parameters),
                self.bits_per_weight
            ),
        );
        let kinds = [
            (self.exact, "exact"),
            (self.rounded, "rounded"),
            (self.quantized, "quantized"),
            (self.requantized, "requantized"),
            (self.dequantized, "dequantized"),
        ];
        let kinds: Vec<String> = kinds
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, kind)| format!("{count} {kind}"))
            .collect();
        section.property("tensors", format!("{}: {}", self.tensors, kinds.join(", ")));
        if let Some(error) = self.largest_relative_error {
            section.property(
                "largest relative error",
                format!("{:.2} % from requantization", error * 100.0),
            );
        }
        for note in &self.notes {
            section.property("note", note);
        }
        vec![
            section,
            Section::sentence(format!("run it with `mlxm run {}`", self.output.display())),
        ]
    }

    fn quiet_lines(&self) -> Vec<String> {
        vec![self.output.display().to_string()]
    }
}

impl Convert {
    /// Converts and prints a report.
    pub fn execute(self, context: &Context) -> anyhow::Result<()> {
        let source = self.source()?;
        let output = match &self.output {
            Some(output) => output.clone(),
            None => locate::hub()?.config().models_dir.join(name_of(&source)?),
        };
        let options = self.options()?;
        let guard = InterruptGuard::start();
        let progress = context.progress("converting", 0);
        let mut largest_relative_error: Option<f32> = None;
        let report = convert(&source, &output, &options, &mut |event| {
            match event {
                ConvertEvent::Started { tensors, .. } => progress.set_length(tensors as u64),
                ConvertEvent::Tensor { outcome, .. } => {
                    progress.inc(1);
                    if let Outcome::Requantized { relative_error, .. } = outcome {
                        largest_relative_error = Some(
                            largest_relative_error
                                .map_or(*relative_error, |error| error.max(*relative_error)),
                        );
                    }
                }
                _ => {}
            }
            if guard.requested() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        progress.finish_and_clear();
        let report = report.map_err(|error| match error {
            ConvertError::Cancelled => anyhow::Error::new(Failure::Interrupted(
                "interrupted: no output written".to_owned(),
            )),
            ConvertError::Gguf(error) => {
                anyhow::Error::new(error).context(source.display().to_string())
            }
            ConvertError::Options(message) => Failure::Usage(message).into(),
            error => error.into(),
        })?;
        let ConvertReport {
            tensors,
            exact,
            rounded,
            quantized,
            requantized,
            dequantized,
            bits_per_weight,
            parameters,
            size_bytes,
            files,
            notes,
            ..
        } = report;
        context.output.report(&Converted {
            output,
            size_bytes,
            files,
            parameters,
            bits_per_weight,
            tensors,
            exact,
            rounded,
            quantized,
            requantized,
            dequantized,
            largest_relative_error,
            notes,
        })?;
        Ok(())
    }

    /// An existing path, otherwise a local model by name.
    fn source(&self) -> anyhow::Result<PathBuf> {
        let path = Path::new(&self.source);
        if path.exists() {
            return Ok(path.to_owned());
        }
        Ok(locate::hub()?.resolve(&self.source)?.path)
    }

    fn options(&self) -> anyhow::Result<ConvertOptions> {
        let weights = if self.dequantize {
            WeightFormat::Dense
        } else if let Some(recipe) = self.recipe {
            WeightFormat::Recipe {
                recipe,
                group_size: self.group_size.unwrap_or(64),
            }
        } else if self.bits.is_some() || self.group_size.is_some() || self.mode.is_some() {
            let spec = quantization(
                self.mode.unwrap_or(QuantMode::Affine),
                self.bits,
                self.group_size,
            )
            .map_err(|error| Failure::Usage(error.to_string()))?;
            WeightFormat::Quantize(spec)
        } else {
            WeightFormat::Keep
        };
        Ok(ConvertOptions {
            weights,
            overrides: self.overrides.clone(),
            float_type: self.dtype.map(|dtype| match dtype {
                Dtype::Float16 => FloatType::F16,
                Dtype::Bfloat16 => FloatType::BF16,
                Dtype::Float32 => FloatType::F32,
            }),
            force: self.force,
        })
    }
}

/// The default name of the output: the file stem, or the directory name.
fn name_of(source: &Path) -> anyhow::Result<String> {
    let source = source.canonicalize()?;
    // A snapshot in the cache is named after its commit; use the name of its repository, two levels up.
    let cached = source
        .parent()
        .filter(|parent| parent.ends_with("snapshots"))
        .and_then(Path::parent);
    let name = match cached
        .and_then(Path::file_name)
        .and_then(|name| name.to_str())
    {
        Some(repository) => repository.rsplit("--").next().map(str::to_owned),
        None if source.is_file() => source
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned()),
        None => source
            .file_name()
            .map(|name| name.to_string_lossy().into_owned()),
    };
    name.filter(|name| !name.is_empty()).ok_or_else(|| {
        Failure::Usage(format!(
            "{} has no name: specify the output directory",
            source.display()
        ))
        .into()
    })
}

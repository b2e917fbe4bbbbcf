//! Carrying out a plan: every job's rows are produced by all cores and written in order.

use std::ops::ControlFlow;
use std::path::Path;

use mlxm_kernels::quant::QuantSpec;
use serde_json::{Map, Value};

use super::job::Job;
use super::options::{ConvertEvent, ConvertReport, Outcome, Progress};
use super::rules::describe_quantization;
use super::writer::OutputDirectory;
use super::{ConvertError, ConvertOptions};

/// Bytes produced between two writes: bounds the memory of a conversion whatever the size of its tensors.
const CHUNK_BYTES: usize = 16 << 20;

/// Everything a conversion will write.
pub(super) struct Plan<'a> {
    pub(super) jobs: Vec<Job<'a>>,
    /// `config.json` without its quantization.
    pub(super) config: Map<String, Value>,
    /// The modules that end up quantized.
    pub(super) quantized: Vec<(String, QuantSpec)>,
    pub(super) files: Vec<(String, FileContent<'a>)>,
    pub(super) notes: Vec<String>,
}

/// A file beside the weights.
pub(super) enum FileContent<'a> {
    Json(Value),
    Text(String),
    Copy(&'a Path),
}

/// Writes `plan` to `output`.
pub(super) fn run(
    mut plan: Plan<'_>,
    output: &Path,
    options: &ConvertOptions,
    progress: &mut Progress<'_>,
) -> Result<ConvertReport, ConvertError> {
    let mut directory = OutputDirectory::create(output, options.force)?;
    directory.plan(plan.jobs.iter().flat_map(|job| &job.outputs))?;
    describe_quantization(&mut plan.config, &plan.quantized);
    directory.write_json("config.json", &Value::Object(plan.config))?;
    for (name, content) in &plan.files {
        match content {
            FileContent::Json(value) => directory.write_json(name, value)?,
            FileContent::Text(text) => directory.write_file(name, text.as_bytes())?,
            FileContent::Copy(source) => directory.copy_file(source, name)?,
        }
    }
    let mut tell = |event: ConvertEvent<'_>| match progress(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ConvertError::Cancelled),
    };
    let size_bytes = directory.size_bytes();
    tell(ConvertEvent::Started {
        tensors: plan.jobs.len(),
        size_bytes,
    })?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut written_bytes = 0;
    for job in &plan.jobs {
        write_job(job, &mut directory, threads, &mut |bytes| {
            written_bytes += bytes;
            tell(ConvertEvent::Written { written_bytes })
        })?;
        tell(ConvertEvent::Tensor {
            name: &job.name,
            outcome: &job.outcome,
            written_bytes,
        })?;
    }
    tell(ConvertEvent::Finishing)?;
    let parameters = plan.jobs.iter().map(|job| job.parameters).sum();
    let files = directory.finish(parameters)?;
    let count =
        |wanted: fn(&Outcome) -> bool| plan.jobs.iter().filter(|job| wanted(&job.outcome)).count();
    Ok(ConvertReport {
        tensors: plan.jobs.len(),
        exact: count(|outcome| matches!(outcome, Outcome::Exact)),
        rounded: count(|outcome| matches!(outcome, Outcome::Rounded { .. })),
        quantized: count(|outcome| matches!(outcome, Outcome::Quantized { .. })),
        requantized: count(|outcome| matches!(outcome, Outcome::Requantized { .. })),
        dequantized: count(|outcome| matches!(outcome, Outcome::Dequantized { .. })),
        bits_per_weight: size_bytes as f64 * 8.0 / parameters as f64,
        parameters,
        size_bytes,
        files,
        notes: plan.notes,
    })
}

fn write_job(
    job: &Job<'_>,
    directory: &mut OutputDirectory,
    threads: usize,
    written: &mut dyn FnMut(u64) -> Result<(), ConvertError>,
) -> Result<(), ConvertError> {
    let row_bytes = (job.size_bytes() as usize / job.rows).max(1);
    let chunk_rows = (CHUNK_BYTES / row_bytes).clamp(1, job.rows);
    let mut start = 0;
    while start < job.rows {
        let end = (start + chunk_rows).min(job.rows);
        let span = (end - start).div_ceil(threads);
        let produce = |first: usize| {
            let last = (first + span).min(end);
            let mut parts: Vec<Vec<u8>> = job
                .outputs
                .iter()
                .map(|output| {
                    Vec::with_capacity(output.size_bytes() as usize / job.rows * (last - first))
                })
                .collect();
            for row in first..last {
                job.producer.produce(row, &mut parts);
            }
            parts
        };
        let produced: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (start..end)
                .step_by(span)
                .map(|first| scope.spawn(move || produce(first)))
                .collect();
            workers
                .into_iter()
                .map(|worker| {
                    worker
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        for parts in produced {
            for (output, bytes) in job.outputs.iter().zip(parts) {
                directory.append(&output.name, &bytes)?;
                written(bytes.len() as u64)?;
            }
        }
        start = end;
    }
    Ok(())
}

//! Execution of a plan: rows are produced in parallel and written in order.

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;

use super::options::{ConvertEvent, ConvertReport, Outcome, Progress};
use super::plan::{FileContent, Plan, TensorPlan};
use super::quant_predicate::set_quantization;
use super::verify::verify;
use super::writer::OutputDirectory;
use super::{ConvertError, ConvertOptions};

/// Maximum number of bytes that are produced before they are written.
const CHUNK_BYTES: usize = 16 << 20;

/// Writes `plan` to `output`.
pub(super) fn execute(
    mut plan: Plan<'_>,
    output: &Path,
    options: &ConvertOptions,
    progress: &mut Progress<'_>,
) -> Result<ConvertReport, ConvertError> {
    let mut directory = OutputDirectory::create(output, options.force)?;
    directory.create_weight_files(plan.tensors.iter().flat_map(|tensor| &tensor.outputs))?;
    set_quantization(&mut plan.config, &plan.quantized);
    directory.write_json("config.json", &Value::Object(plan.config))?;
    for (name, content) in &plan.files {
        match content {
            FileContent::Json(value) => directory.write_json(name, value)?,
            FileContent::Text(text) => directory.write_file(name, text.as_bytes())?,
            FileContent::Copy(source) => directory.copy_file(source, name)?,
        }
    }
    let parameters: u64 = plan.tensors.iter().map(|tensor| tensor.parameters).sum();
    let built_tokenizer = plan.files.iter().any(|(name, content)| {
        name == "tokenizer.json" && !matches!(content, FileContent::Copy(_))
    });
    let check = |directory: &OutputDirectory| {
        verify(directory.path(), parameters, built_tokenizer).map_err(|reason| {
            let written = directory.path().display().to_string();
            ConvertError::Unusable {
                output: output.to_owned(),
                reason: reason.replace(&written, &output.display().to_string()),
            }
        })
    };
    // The weight files have their headers and their final size.
    check(&directory)?;
    let mut emit = |event: ConvertEvent<'_>| match progress(event) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ConvertError::Cancelled),
    };
    let size_bytes = directory.size_bytes();
    emit(ConvertEvent::Started {
        tensors: plan.tensors.len(),
        size_bytes,
    })?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut written_bytes = 0;
    for tensor in &plan.tensors {
        write_tensor(tensor, &mut directory, threads, &mut |bytes| {
            written_bytes += bytes;
            emit(ConvertEvent::Written { written_bytes })
        })?;
        emit(ConvertEvent::Tensor {
            name: &tensor.name,
            outcome: &tensor.outcome,
            written_bytes,
        })?;
    }
    emit(ConvertEvent::Finishing)?;
    check(&directory)?;
    let files = directory.finish(parameters)?;
    let count = |matches: fn(&Outcome) -> bool| {
        let outcomes = plan.tensors.iter().map(|tensor| &tensor.outcome);
        outcomes.filter(|outcome| matches(outcome)).count()
    };
    Ok(ConvertReport {
        tensors: plan.tensors.len(),
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

fn write_tensor(
    tensor: &TensorPlan<'_>,
    directory: &mut OutputDirectory,
    threads: usize,
    on_written: &mut dyn FnMut(u64) -> Result<(), ConvertError>,
) -> Result<(), ConvertError> {
    let row_bytes = (tensor.size_bytes() as usize / tensor.rows).max(1);
    let chunk_rows = (CHUNK_BYTES / row_bytes).clamp(1, tensor.rows);
    let mut start = 0;
    while start < tensor.rows {
        let end = (start + chunk_rows).min(tensor.rows);
        let rows_per_thread = (end - start).div_ceil(threads);
        let produce = |first: usize| {
            let last = (first + rows_per_thread).min(end);
            let mut parts: Vec<Vec<u8>> = tensor
                .outputs
                .iter()
                .map(|output| {
                    Vec::with_capacity(output.size_bytes() as usize / tensor.rows * (last - first))
                })
                .collect();
            for row in first..last {
                tensor.producer.produce(row, &mut parts);
            }
            parts
        };
        let produced: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (start..end)
                .step_by(rows_per_thread)
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
            for (output, bytes) in tensor.outputs.iter().zip(parts) {
                directory.append(&output.name, &bytes)?;
                on_written(bytes.len() as u64)?;
            }
        }
        start = end;
    }
    Ok(())
}

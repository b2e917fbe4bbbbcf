//! Checks of dispatches. Metal reports none of these mistakes unless its validation layer is enabled: the dispatch then does
//! nothing, or accesses other memory.

use super::{driver::Pipeline, views::Mapping};
use crate::metal::{Access, Binding, DeviceError, Dispatch, PipelineId};

/// Most bytes of `setBytes`.
const MAX_ARGUMENT_BYTES: usize = 4096;

/// The largest index of `[[buffer(index)]]`.
const MAX_INDEX: u32 = 30;

/// A binding with its place in the views of its mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    pub mapping: usize,
    pub view: usize,
    pub offset: usize,
}

/// Checks a dispatch, and appends the places of its bindings to `resolved`.
pub(super) fn dispatch<B, P: Pipeline>(
    pipeline: PipelineId,
    dispatch: &Dispatch,
    pipelines: &[P],
    mappings: &[Mapping<B>],
    resolved: &mut Vec<Resolved>,
) -> Result<(), DeviceError> {
    let launch = launch(pipeline, dispatch, pipelines);
    launch
        .and_then(|()| bindings(&dispatch.bindings, mappings, resolved))
        .map_err(|problem| {
            let name = dispatch.kernel.host_name();
            DeviceError(format!("cannot run {name}: {problem}"))
        })
}

fn launch<P: Pipeline>(
    pipeline: PipelineId,
    dispatch: &Dispatch,
    pipelines: &[P],
) -> Result<(), String> {
    let pipeline = pipelines
        .get(pipeline.0 as usize)
        .ok_or("the pipeline does not exist")?;
    let (threads, limit) = (dispatch.threads, pipeline.max_threads());
    if !(1..=limit).contains(&threads) {
        return Err(format!(
            "{threads} threads in a threadgroup, and the pipeline allows {limit}"
        ));
    }
    if dispatch.threadgroups.contains(&0) {
        return Err(format!(
            "a grid of {:?} threadgroups",
            dispatch.threadgroups
        ));
    }
    let bytes = dispatch.arguments.len();
    if bytes > MAX_ARGUMENT_BYTES {
        return Err(format!(
            "{bytes} bytes of arguments, and {MAX_ARGUMENT_BYTES} are the most"
        ));
    }
    Ok(())
}

fn bindings<B>(
    bindings: &[Binding],
    mappings: &[Mapping<B>],
    resolved: &mut Vec<Resolved>,
) -> Result<(), String> {
    let mut first = 1;
    for binding in bindings {
        if !(first..=MAX_INDEX).contains(&binding.index) {
            return Err(format!(
                "binding {} is not one of {first} to {MAX_INDEX}",
                binding.index
            ));
        }
        first = binding.index + 1;
        let place = resolve(binding, mappings)
            .map_err(|problem| format!("binding {}: {problem}", binding.index))?;
        resolved.push(place);
    }
    Ok(())
}

fn resolve<B>(binding: &Binding, mappings: &[Mapping<B>]) -> Result<Resolved, String> {
    let index = binding.range.buffer.0 as usize;
    let mapping = mappings
        .get(index)
        .filter(|mapping| !mapping.views.is_empty())
        .ok_or("the buffer does not exist")?;
    // Metal orders command buffers by the buffers that they write. It does not know that views overlap.
    if binding.access == Access::Write && mapping.views.len() > 1 {
        return Err(format!(
            "{} bytes that kernels write must be mapped as one buffer of at most {} bytes",
            mapping.bytes,
            mapping.views[0].range.len()
        ));
    }
    let (view, offset) = mapping.find(&binding.range).map_err(|error| error.0)?;
    Ok(Resolved {
        mapping: index,
        view,
        offset,
    })
}

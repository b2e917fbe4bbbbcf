//! A request that fails must not affect others in the batch.

use std::fs;

use crate::support::{collect, complete, golden, options};
use mlxm_engine::sampling::{Acceptance, Constraint, ConstraintError, SamplingParams};
use mlxm_engine::{ActivationDtype, Engine, GenerationError, LoadOptions, Request};
use safetensors::SafeTensors;

/// The token whose embedding is NaN in [`damaged_checkpoint`].
const DAMAGED: u32 = 77;

/// A checkpoint with a NaN embedding. Requests that contain its token get NaN logits.
fn damaged_checkpoint() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden("phi3-longrope")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = folder.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let row = {
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let table = tensors.tensor("model.embed_tokens.weight").unwrap();
        let width = table.data().len() / table.shape()[0];
        let start = table.data().as_ptr() as usize - bytes.as_ptr() as usize;
        let start = start + DAMAGED as usize * width;
        start..start + width
    };
    // All bits set is NaN in every float type.
    bytes[row].fill(0xff);
    fs::write(path, bytes).unwrap();
    folder
}

#[test]
fn request_whose_sampling_fails_does_not_fail_others() {
    let folder = damaged_checkpoint();
    for activation_dtype in [ActivationDtype::F32, ActivationDtype::Int8] {
        let options = LoadOptions {
            activation_dtype,
            max_sequences: 3,
            ..options()
        };
        let engine = Engine::load(folder.path(), &options).unwrap();
        let healthy = |first: u32| Request {
            prompt: (first..first + 20).collect(),
            max_tokens: Some(10),
            ignore_eos: true,
            // The damaged token must not be sampled.
            sampling: SamplingParams {
                logit_bias: [(DAMAGED, -100.0)].into(),
                ..SamplingParams::default()
            },
            no_prefix_cache: true,
            ..Request::default()
        };
        let alone = [1, 30].map(|first| complete(&engine, healthy(first)).tokens);
        let first = engine.submit(healthy(1)).unwrap();
        let broken = engine.submit(Request {
            prompt: vec![3, DAMAGED, 4],
            ..healthy(0)
        });
        let second = engine.submit(healthy(30)).unwrap();
        let events: Vec<_> = broken.unwrap().collect();
        assert!(
            matches!(&events[..], [Err(GenerationError::Compute(why))] if why.contains("damaged")),
            "{events:?}"
        );
        assert_eq!([first, second].map(|one| collect(one).tokens), alone);
        // NaN in reused blocks must not affect the next request.
        assert_eq!(complete(&engine, healthy(1)).tokens, alone[0]);
    }
}

/// A constraint that panics.
struct PanickingConstraint;

impl Constraint for PanickingConstraint {
    fn mask(&mut self, _: &mut [f32]) -> Result<(), ConstraintError> {
        panic!("a bug in a constraint");
    }

    fn accept(&mut self, _: u32) -> Result<Acceptance, ConstraintError> {
        Ok(Acceptance::Continue)
    }

    fn fork(&self) -> Box<dyn Constraint> {
        Box::new(Self)
    }
}

#[test]
fn panicking_constraint_does_not_fail_others() {
    let options = LoadOptions {
        max_sequences: 2,
        threads: Some(2),
        ..options()
    };
    let engine = Engine::load(golden("llama-4bit"), &options).unwrap();
    let healthy = || Request {
        prompt: (1..20).collect(),
        max_tokens: Some(10),
        ignore_eos: true,
        ..Request::default()
    };
    let alone = complete(&engine, healthy()).tokens;
    let other = engine.submit(healthy()).unwrap();
    let broken = engine.submit(Request {
        constraint: Some(Box::new(PanickingConstraint)),
        ..healthy()
    });
    let events: Vec<_> = broken.unwrap().collect();
    assert!(
        matches!(&events[..], [Err(GenerationError::Compute(_))]),
        "{events:?}"
    );
    assert_eq!(collect(other).tokens, alone);
    assert_eq!(complete(&engine, healthy()).tokens, alone);
}

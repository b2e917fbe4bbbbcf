//! Plans of linear layers.

use std::sync::Arc;

use super::{super::args::members_in_source, *};
use crate::{
    Bytes, FloatType, QuantMode, QuantSpec,
    kernels::Arguments,
    rows::{Arena, ArenaMemory},
};

#[test]
fn arguments_are_as_in_the_source() {
    let source = include_str!("../linear.metal");
    assert_eq!(
        LinearArgs::members(),
        members_in_source(source, "LinearArgs")
    );
}

fn affine(outputs: usize) -> Linear {
    let spec = QuantSpec {
        mode: QuantMode::Affine,
        group_size: 64,
        bits: 4,
    };
    let bytes = |size| Bytes::owned(vec![0; size]);
    let groups = outputs * COLUMNS / spec.group_size;
    let weight = Weight::quantized(
        outputs,
        COLUMNS,
        spec,
        bytes(outputs * spec.row_bytes(COLUMNS)),
        bytes(2 * groups),
        FloatType::BF16.into(),
        Some(bytes(2 * groups)),
        None,
    );
    Linear {
        weight: weight.unwrap(),
        bias: None,
    }
}

const COLUMNS: usize = 256;

fn planned(rows: usize, linears: &[&Linear], epilogue: Epilogue<'_>) -> Vec<Dispatch> {
    let arena = Arc::new(Arena::new(ArenaMemory::None));
    let x = Rows::new(&arena, 1, rows, COLUMNS).unwrap();
    let outputs: usize = linears.iter().map(|linear| linear.weight.rows()).sum();
    let width = match epilogue {
        Epilogue::Glu(_) => outputs / 2,
        _ => outputs,
    };
    let out = Rows::new(&arena, 1, rows, width).unwrap();
    let norm = Norm::rms(vec![1.0; COLUMNS].into(), 1e-5);
    let arguments = Arguments::new(1);
    let memory = Memory::counted("linear", &arguments);
    let mut dispatches = Vec::new();
    plan(
        &x,
        Some(&norm),
        linears,
        epilogue,
        &memory,
        &out,
        &mut dispatches,
    )
    .unwrap();
    dispatches
}

#[test]
fn one_row_reads_each_weight_once() {
    let (q, k, v) = (affine(512), affine(128), affine(128));
    let (gate, up, fused) = (affine(1000), affine(1000), affine(2000));
    let glu = Epilogue::Glu(Activation::Silu);
    for (linears, epilogue) in [
        (&[&q, &k, &v][..], Epilogue::Store),
        (&[&gate, &up], glu),
        (&[&fused], glu),
    ] {
        let dispatches = planned(1, linears, epilogue);
        let [dispatch] = &dispatches[..] else {
            panic!("{} dispatches", dispatches.len());
        };
        let constants = dispatch.bindings.iter();
        let bytes: usize = constants
            .filter(|binding| binding.access == Access::Constant)
            .map(|binding| binding.range.bytes)
            .sum();
        let stored: usize = linears
            .iter()
            .map(|linear| linear.weight.size_bytes())
            .sum();
        let norm = COLUMNS * size_of::<f32>();
        assert_eq!(bytes, stored + norm, "each binding has a weight of its own");
        // Each result is a row of a weight, whose columns the lanes share.
        let outputs: usize = linears.iter().map(|linear| linear.weight.rows()).sum();
        let results = dispatch.threadgroups[0] * (ROWS_THREADS / 32) * RESULTS;
        assert!(results * 100 <= outputs * 105, "{results} for {outputs}");
    }
}

#[test]
fn norm_is_a_dispatch_of_its_own_for_many_rows() {
    let weight = affine(64);
    assert_eq!(planned(FEW_ROWS, &[&weight], Epilogue::Store).len(), 1);
    let dispatches = planned(FEW_ROWS + 1, &[&weight], Epilogue::Store);
    let functions: Vec<_> = dispatches.iter().map(|d| d.kernel.function).collect();
    assert_eq!(functions[1..], ["linear_tile"]);
    assert_eq!(dispatches[1].threadgroups, [1, 1, 1]);
}

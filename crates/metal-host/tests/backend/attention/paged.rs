//! The attention kernels of the Metal backend against the reference and the CPU.

use std::ops::Range;

use mlxm_kernels::{KvCacheDtype, Mask};
use mlxm_metal_host::{Options, Order, sanitizer};

use super::{Case, Sequence, Transform, device, error, transforms};
use crate::bounds;
use crate::device::{ORDERS, cpu};

/// Compares a case in some orders with the reference and the CPU. What the cache has is the same on both, bit for bit, so
/// the bar is that of the arithmetic for every type of the cache.
fn check(case: &Case, compile: &Options, orders: &[Order]) {
    let none = Transform::default();
    let (on_cpu, reference) = case.expected(&cpu(), &none);
    for order in orders {
        let found = case.run(&device(compile.clone(), *order), &none);
        let found = found.unwrap_or_else(|error| panic!("{case:?} {order:?}: {error}"));
        assert_eq!(found.queries, on_cpu.queries, "{case:?} {order:?}");
        let width = case.heads * case.value_dim;
        let [_, bound] = case.bounds(&none);
        for (expected, bound) in [
            (&reference, bound),
            (&on_cpu.attention, bounds::of_both(bound)),
        ] {
            let error = error(&found.attention, expected, width);
            bounds::check(error, bound, || format!("{case:?} {order:?}"));
        }
    }
}

fn bidirectional(rows: Range<usize>, history: usize) -> Sequence {
    Sequence {
        mask: Mask::Bidirectional,
        ..Sequence::causal(rows, history)
    }
}

/// Rows that are decoded, drafts, prefill, and rows of no sequence.
fn mixed() -> (Vec<Sequence>, usize) {
    let sequences = vec![
        Sequence::causal(1..2, 0),
        Sequence::causal(2..3, 31),
        Sequence::causal(3..8, 37),
        bidirectional(9..12, 18),
        Sequence::causal(12..12, 0),
        Sequence::causal(12..21, 5),
        Sequence::causal(22..57, 30),
        bidirectional(57..68, 3),
    ];
    (sequences, 70)
}

fn mixed_case() -> Case {
    let (sequences, rows) = mixed();
    Case {
        sequences,
        rows,
        ..Case::default()
    }
}

/// One head and one key of it.
const DIMS: [(usize, usize); 8] = [
    (64, 64),
    (128, 128),
    (32, 32),
    (80, 80),
    (96, 96),
    (256, 256),
    (192, 128),
    (72, 40),
];

#[test]
fn every_type_of_the_cache_agrees_in_every_order() {
    for dtype in KvCacheDtype::ALL {
        let case = Case {
            dtype,
            ..mixed_case()
        };
        check(&case, &Options::default(), &ORDERS);
    }
}

#[test]
fn window_softcap_and_sinks_agree() {
    let base = mixed_case();
    for (window, softcap, sinks, block_size) in [
        (Some(1), None, false, 16),
        (Some(7), None, true, 5),
        (Some(33), Some(2.0), false, 32),
        (None, Some(1.5), true, 1),
    ] {
        let case = Case {
            block_size,
            window,
            softcap,
            sinks,
            ..base.clone()
        };
        check(&case, &Options::default(), &[Order::Random(3)]);
    }
}

#[test]
fn groups_of_heads_agree() {
    for (heads, kv_heads) in [(1, 1), (3, 1), (7, 7), (10, 2)] {
        let case = Case {
            heads,
            kv_heads,
            ..mixed_case()
        };
        check(&case, &Options::default(), &[Order::Random(4)]);
    }
}

/// Sequences that are decoded in one part, in several, and in more than there may be at the length of a part.
fn long(histories: &[usize]) -> Case {
    let sequences = histories
        .iter()
        .enumerate()
        .map(|(row, history)| Sequence::causal(row..row + 1, *history));
    Case {
        sequences: sequences.collect(),
        rows: histories.len() + 1,
        block_size: 32,
        ..Case::default()
    }
}

#[test]
fn parts_of_long_sequences_agree() {
    for dtype in KvCacheDtype::ALL {
        let case = Case {
            dtype,
            heads: 6,
            sinks: true,
            ..long(&[1023, 1024, 40, 1601])
        };
        check(
            &case,
            &Options::default(),
            &[Order::Reverse, Order::Random(5)],
        );
    }
    for (heads, window, softcap) in [(2, Some(1100), None), (16, None, Some(3.0))] {
        let case = Case {
            heads,
            window,
            softcap,
            ..long(&[1030, 1300])
        };
        check(&case, &Options::default(), &[Order::Random(6)]);
    }
}

#[test]
fn as_many_parts_as_there_may_be_agree() {
    let case = Case {
        heads: 1,
        kv_heads: 1,
        key_dim: 8,
        value_dim: 8,
        ..long(&[33_000, 5000])
    };
    check(&case, &Options::default(), &[Order::Random(14)]);
}

#[test]
#[ignore = "compiles 60 kernels"]
fn every_instantiation_agrees() {
    for (key_dim, value_dim) in DIMS {
        for dtype in KvCacheDtype::ALL {
            let dims = |case: Case| Case {
                key_dim,
                value_dim,
                dtype,
                sinks: true,
                ..case
            };
            check(
                &dims(mixed_case()),
                &Options::default(),
                &[Order::Random(7)],
            );
            check(
                &dims(long(&[1100])),
                &Options::default(),
                &[Order::Random(8)],
            );
        }
    }
}

#[test]
fn widths_of_heads_agree() {
    for (index, (key_dim, value_dim)) in DIMS.into_iter().skip(1).enumerate() {
        let case = Case {
            key_dim,
            value_dim,
            dtype: KvCacheDtype::ALL[(index + 1) % 3],
            ..mixed_case()
        };
        check(&case, &Options::default(), &[Order::Random(9)]);
    }
    // Loads of single elements, and an odd number of runs.
    let case = Case {
        key_dim: 7,
        value_dim: 35,
        block_size: 3,
        dtype: KvCacheDtype::Int8,
        ..mixed_case()
    };
    check(&case, &Options::default(), &[Order::Random(9)]);
}

#[test]
fn fast_math_and_flushed_subnormals_agree() {
    let compile = Options {
        fast_math: true,
        flush_subnormals: true,
        ..Options::default()
    };
    for dtype in KvCacheDtype::ALL {
        let case = Case {
            dtype,
            window: Some(20),
            sinks: true,
            softcap: Some(4.0),
            ..mixed_case()
        };
        check(&case, &compile, &[Order::Random(10)]);
    }
    check(&long(&[1500, 3]), &compile, &[Order::Random(10)]);
}

#[test]
fn large_scores_and_values_agree() {
    // Queries of ±3 and keys of ±1 in heads of 256 give scores of ±60; halves end at 65504.
    let case = Case {
        key_dim: 256,
        value_dim: 32,
        value_factor: 1e5,
        ..mixed_case()
    };
    check(&case, &Options::default(), &[Order::Forward]);
}

/// A row gives the same bits whatever is computed with it.
#[test]
fn results_do_not_depend_on_other_rows() {
    let none = Transform::default();
    let run = |case: &Case| {
        case.run(&device(Options::default(), Order::Forward), &none)
            .unwrap()
            .attention
    };
    let width = Case::default().heads * Case::default().value_dim;
    for window in [None, Some(21)] {
        let alone = |history: usize, rows: usize| Case {
            sequences: vec![Sequence::causal(0..rows, history)],
            rows,
            window,
            ..Case::default()
        };
        // Rows of a prompt in one run or in two.
        let whole = run(&alone(0, 80));
        let first = run(&alone(0, 43));
        let second = run(&alone(43, 37));
        assert_eq!(whole[..43 * width], first);
        assert_eq!(whole[43 * width..], second);
        // Drafts and single rows.
        let drafts = run(&alone(50, 8));
        assert_eq!(drafts[7 * width..], run(&alone(57, 1)));
    }
    let together = run(&long(&[1100, 70, 1500]));
    for (row, history) in [1100, 70, 1500].into_iter().enumerate() {
        // The values of a sequence depend on its place.
        let mut histories = vec![0; row];
        histories.push(history);
        let alone = run(&long(&histories));
        assert_eq!(
            together[row * width..][..width],
            alone[row * width..][..width]
        );
    }
}

/// Runs itself again in a process with the runtime of the sanitizers.
#[test]
fn sanitizers_find_nothing() {
    if !sanitizer::is_active() {
        let output = sanitizer::rerun("attention::paged::sanitizers_find_nothing").unwrap();
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{report}");
        return;
    }
    let compile = Options {
        sanitize: true,
        optimize: false,
        ..Options::default()
    };
    for (dtype, key_dim, value_dim) in [
        (KvCacheDtype::F16, 64, 64),
        (KvCacheDtype::Int8, 40, 72),
        (KvCacheDtype::F32, 7, 35),
    ] {
        let case = Case {
            dtype,
            key_dim,
            value_dim,
            block_size: 3,
            window: Some(17),
            sinks: true,
            ..mixed_case()
        };
        check(&case, &compile, &[Order::Random(13)]);
    }
    check(&long(&[1200, 3]), &compile, &[Order::Random(13)]);
    let case = Case {
        sequences: vec![Sequence::causal(0..3, 5)],
        rows: 3,
        ..Case::default()
    };
    for transform in transforms::with_norms().into_iter().take(3) {
        transforms::check(&case, &transform, &compile, Order::Random(13));
    }
}

#[test]
fn too_wide_heads_are_an_error() {
    let case = Case {
        key_dim: 264,
        ..Case::default()
    };
    let kernels = device(Options::default(), Order::Forward);
    let error = case.run(&kernels, &Transform::default()).unwrap_err();
    assert!(error.to_string().contains("at most 256"), "{error}");
}

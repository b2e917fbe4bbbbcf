//! Faults in the attention kernels that the comparisons of `attention.rs` must notice.

use std::sync::Arc;

use mlxm_kernels::{
    Kernels, KvCacheDtype, Norm, QkNorms, Rope,
    metal::{Kernel, Source},
};
use mlxm_metal_host::{HostDevice, HostDeviceOptions, Order};

use super::{Case, Sequence, Transform, error};
use crate::bounds;
use crate::device::{ORDERS, cpu};
use crate::noise::Noise;

/// A pass that notices a fault.
#[derive(Clone, Copy, Debug)]
enum Pass {
    /// Single rows in one pass, with a window and sinks, and a row of no sequence.
    Rows,
    /// As `Rows`, with values wider than what a lane adds up at a time.
    WideRows,
    /// As `Rows`, with codes and without sinks.
    Codes,
    /// A row in parts after one that is not.
    Parts,
    /// A row in more parts than SIMD groups merge at a time.
    ManyParts,
    /// Runs of rows.
    Runs,
    /// Norms of rows and rotation.
    Rope,
    /// Values beyond the range of halves.
    LargeValues,
}

impl Pass {
    fn case(self) -> Case {
        let rows = Case {
            sequences: vec![Sequence::causal(0..1, 37), Sequence::causal(2..5, 50)],
            rows: 5,
            window: Some(30),
            sinks: true,
            ..Case::default()
        };
        match self {
            Self::Rows => rows,
            Self::WideRows => Case {
                value_dim: 160,
                ..rows
            },
            Self::Codes => Case {
                dtype: KvCacheDtype::Int8,
                sinks: false,
                ..rows
            },
            Self::Parts => Case {
                sequences: vec![Sequence::causal(0..1, 9), Sequence::causal(1..2, 1101)],
                rows: 2,
                sinks: true,
                ..Case::default()
            },
            Self::ManyParts => Case {
                heads: 1,
                kv_heads: 1,
                key_dim: 8,
                value_dim: 8,
                sequences: vec![Sequence::causal(0..1, 4700)],
                ..Case::default()
            },
            Self::Runs => Case {
                sequences: vec![Sequence::causal(0..45, 20)],
                rows: 45,
                window: Some(40),
                sinks: true,
                ..Case::default()
            },
            Self::Rope => Case {
                sequences: vec![Sequence::causal(0..3, 10)],
                rows: 3,
                dtype: KvCacheDtype::F32,
                ..Case::default()
            },
            Self::LargeValues => Case {
                value_factor: 1e5,
                ..rows
            },
        }
    }

    fn transform(self) -> Transform {
        if !matches!(self, Self::Rope) {
            return Transform::default();
        }
        let noise = &mut Noise::new(1);
        let mut layer = |width| {
            let bias = Some(noise.floats(width).into());
            Norm::layer(noise.floats(width).into(), bias, 1e-5)
        };
        let (q, k) = (layer(256), layer(128));
        Transform {
            norms: Some(QkNorms { q, k }),
            rope: Some(Rope {
                dims: 48,
                traditional: false,
                inverse_frequencies: (0..24).map(|pair| 0.8_f32.powi(pair)).collect(),
                attention_factor: 1.0,
                before_norms: false,
                query_scaling: None,
            }),
        }
    }

    /// Whether a device gives the results of the CPU in every order.
    fn agrees(self, device: impl Fn(Order) -> HostDevice) -> bool {
        let (case, transform) = (self.case(), self.transform());
        let (expected, _) = case.expected(&cpu(), &transform);
        ORDERS.into_iter().all(|order| {
            let kernels = Kernels::on_device(Arc::new(device(order)));
            case.run(&kernels, &transform).is_ok_and(|found| {
                let width = case.heads * case.key_dim;
                let queries = error(&found.queries, &expected.queries, width);
                let width = case.heads * case.value_dim;
                let attention = error(&found.attention, &expected.attention, width);
                let [of_queries, of_attention] = case.bounds(&transform).map(bounds::of_both);
                queries <= of_queries && attention <= of_attention
            })
        })
    }
}

const BARRIER: &str = "threadgroup_barrier(mem_flags::mem_threadgroup);";

/// The pass that notices it, a text, and what replaces it; `BARRIER` stands for a barrier.
const MUTANTS: &[(Pass, &str, &str)] = &[
    // Barriers.
    (
        Pass::Rows,
        "states[MAX_SIMDGROUPS + simdgroup] = total;\n    }\n    BARRIER",
        "states[MAX_SIMDGROUPS + simdgroup] = total;\n    }",
    ),
    (
        Pass::Rows,
        "BARRIER\n        const uint index = start + split;",
        "const uint index = start + split;",
    ),
    (
        Pass::WideRows,
        "out[element] = value;\n        }\n        BARRIER",
        "out[element] = value;\n        }",
    ),
    (
        Pass::Runs,
        "BARRIER\n        load_positions<KV, S, KW",
        "load_positions<KV, S, KW",
    ),
    (
        Pass::Runs,
        "BARRIER\n        for (uint column = 0; column < COUNT; column += 8) {\n            simdgroup_matrix<float, 8, 8> scores",
        "for (uint column = 0; column < COUNT; column += 8) {\n            simdgroup_matrix<float, 8, 8> scores",
    ),
    (
        Pass::Runs,
        "have read the keys.\n        BARRIER",
        "have read the keys.",
    ),
    (
        Pass::Runs,
        "BARRIER\n        for (uint column = 0; column < COUNT; column += 8) {\n            simdgroup_matrix<float, 8, 8> weight_part",
        "for (uint column = 0; column < COUNT; column += 8) {\n            simdgroup_matrix<float, 8, 8> weight_part",
    ),
    (
        Pass::Rope,
        "BARRIER\n    float total = 0.0f;",
        "float total = 0.0f;",
    ),
    (Pass::Rope, "BARRIER\n    return total;", "return total;"),
    // Visible positions.
    (
        Pass::Rows,
        "position + 1 > args.window ? position + 1 - args.window : 0",
        "position > args.window ? position - args.window : 0",
    ),
    (
        Pass::Rows,
        "uint position = start + key < end ? start + key : start;",
        "uint position = start + key;",
    ),
    (
        Pass::Runs,
        "query.end : position + 1)",
        "query.end : position)",
    ),
    (
        Pass::Runs,
        "position >= first && position < end && element",
        "position >= first && element",
    ),
    (
        Pass::Parts,
        "end = min(first + length, end);",
        "end = first + length;",
    ),
    (
        Pass::Parts,
        "first += group.x * length;",
        "first += group.x * length + 1;",
    ),
    // Softmax.
    (
        Pass::Rows,
        "float sum = has_sink ? exp(sink - max_score) : 0.0f;",
        "float sum = 0.0f;",
    ),
    (
        Pass::Codes,
        "factor = sum > 0.0f ? factor / sum : 0.0f;",
        "factor = factor / sum;",
    ),
    (Pass::Parts, "sums[e] *= factor;", "sums[e] *= 1.0f;"),
    (
        Pass::ManyParts,
        "total = fma(total, before, from[1] * now);",
        "total += from[1];",
    ),
    (
        Pass::Runs,
        "column == lane / 4 ? factor : 0.0f",
        "column == lane / 4 ? 1.0f : 0.0f",
    ),
    // Memory.
    (
        Pass::Rows,
        "size_t(table[block]) * args.kv_heads + kv_head;\n            float k_elements",
        "size_t(block) * args.kv_heads + kv_head;\n            float k_elements",
    ),
    (
        Pass::Rows,
        "head / (args.heads / args.kv_heads)",
        "head % args.kv_heads",
    ),
    (
        Pass::Rows,
        "keys [[buffer(2)]],\n    device const uchar *values [[buffer(3)]]",
        "keys [[buffer(3)]],\n    device const uchar *values [[buffer(2)]]",
    ),
    (
        Pass::Parts,
        "const uint index = args.first_query + group.z;",
        "const uint index = group.z;",
    ),
    (
        Pass::Codes,
        "[offset * runs + element / RUN]",
        "[offset * runs]",
    ),
    (Pass::Codes, "+ 0xffffu", "+ 0u"),
    (
        Pass::Codes,
        "int(rint(value * inverse))",
        "int(value * inverse)",
    ),
    (
        Pass::LargeValues,
        "fabs(value) > 65504.0f ? copysign(65504.0f, value) : value",
        "value",
    ),
    // Norms and rotation.
    (
        Pass::Rope,
        "fma(a, cosine, -(b * sine))",
        "fma(a, cosine, b * sine)",
    ),
    (
        Pass::Rope,
        "norm.weight += norm.weighted ? head * args.key_dim : 0;",
        "",
    ),
    (
        Pass::Rope,
        "norm.bias += norm.biased ? head * args.key_dim : 0;",
        "",
    ),
];

#[test]
#[ignore = "compiles more than 100 kernels"]
fn every_fault_is_noticed() {
    let options = |order| HostDeviceOptions {
        order,
        ..HostDeviceOptions::default()
    };
    let source = Kernel::library(Source::Attention, &[]);
    let mut survivors = Vec::new();
    for (pass, from, to) in MUTANTS {
        let (from, to) = (
            from.replace("BARRIER", BARRIER),
            to.replace("BARRIER", BARRIER),
        );
        assert!(source.contains(&from), "{from}");
        if pass.agrees(|order| {
            HostDevice::new(options(order)).with_replacement(Source::Attention, &from, &to)
        }) {
            survivors.push((pass, from));
        }
    }
    assert!(survivors.is_empty(), "{survivors:#?}");
}

#[test]
fn passes_agree_without_a_fault() {
    let passes = [
        Pass::Rows,
        Pass::WideRows,
        Pass::Codes,
        Pass::Parts,
        Pass::ManyParts,
        Pass::Runs,
        Pass::Rope,
        Pass::LargeValues,
    ];
    for pass in passes {
        let device = |order| {
            HostDevice::new(HostDeviceOptions {
                order,
                ..HostDeviceOptions::default()
            })
        };
        assert!(pass.agrees(device), "{pass:?}");
    }
}

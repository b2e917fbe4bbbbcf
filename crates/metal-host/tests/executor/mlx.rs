//! The kernels of MLX, from a checkout that `MLXM_MLX_SOURCE` names, against plain references. They are not part of this
//! repository, so that these tests run on request: `MLXM_MLX_SOURCE=DIRECTORY cargo xtask metal-host --all`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use half::f16;
use mlxm_metal_host::{Constant, Function, Order};

use crate::candle::attention::{Shape, reference, to_half};
use crate::candle::{assert_close, values};
use crate::support::{Buffers, ORDERS, library};

const KERNELS: &str = "mlx/backend/metal/kernels/";
const NO_CHECKOUT: &str = "MLXM_MLX_SOURCE does not name a checkout of MLX";

fn checkout() -> PathBuf {
    let directory = PathBuf::from(std::env::var_os("MLXM_MLX_SOURCE").unwrap_or_default());
    assert!(directory.join(KERNELS).is_dir(), "{NO_CHECKOUT}");
    directory
}

/// Functions of bfloat from names that only Apple's compiler knows. No kernel here needs them.
const SKIPPED: &str = "bf16_math.h";

/// A header of MLX with those that it includes, each once.
fn include(checkout: &Path, file: &str, included: &mut BTreeSet<String>, source: &mut String) {
    if !included.insert(file.to_owned()) {
        return;
    }
    let path = checkout.join(file);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for line in text.lines() {
        let quoted = line
            .trim_start()
            .strip_prefix("#include \"")
            .and_then(|rest| rest.strip_suffix('"'));
        match quoted {
            Some(other) if other.ends_with(SKIPPED) => {}
            Some(other) => include(checkout, other, included, source),
            None if line.trim() == "#pragma once" => {}
            None => {
                source.push_str(line);
                source.push('\n');
            }
        }
    }
}

/// A kernel: a function template with arguments, in headers of MLX.
fn kernel(headers: &[&str], instance: &str, constants: &[(usize, Constant)]) -> Function {
    let checkout = checkout();
    let (mut included, mut source) = (BTreeSet::new(), String::new());
    for header in headers {
        let file = format!("{KERNELS}{header}");
        include(&checkout, &file, &mut included, &mut source);
    }
    let (template, arguments) = instance.split_once('<').unwrap();
    let arguments = arguments.strip_suffix('>').unwrap();
    let instantiation = format!("instantiate_kernel(\"kernel\", {template}, {arguments})\n");
    library(&(source + &instantiation))
        .function("kernel", constants)
        .unwrap()
}

/// Elements that can be bound and compared.
trait Element: Copy {
    const NAME: &str;
    const NAN: Self;
    /// Of products and attention, which round to the type once.
    const TOLERANCE: f64;
    fn from_f32(value: f32) -> Self;
    fn to_f32(self) -> f32;
}

impl Element for f32 {
    const NAME: &str = "float";
    const NAN: Self = Self::NAN;
    const TOLERANCE: f64 = 1e-5;
    fn from_f32(value: f32) -> Self {
        value
    }
    fn to_f32(self) -> f32 {
        self
    }
}

impl Element for f16 {
    const NAME: &str = "half";
    const NAN: Self = Self::NAN;
    const TOLERANCE: f64 = 2e-3;
    fn from_f32(value: f32) -> Self {
        Self::from_f32(value)
    }
    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
}

fn elements<T: Element>(count: usize, seed: u64) -> Vec<T> {
    values(count, seed).into_iter().map(T::from_f32).collect()
}

/// A weight with affine quantization, and the values it stands for.
struct Weight<T> {
    words: Vec<u32>,
    scales: Vec<T>,
    biases: Vec<T>,
    values: Vec<f64>,
}

fn weight<T: Element>(rows: usize, columns: usize, bits: usize, group_size: usize) -> Weight<T> {
    let words: Vec<u32> = values(rows * columns * bits / 32, 1)
        .into_iter()
        .map(|value| (value.to_bits() << 9) ^ (value.to_bits() >> 3))
        .collect();
    let scales: Vec<T> = values(rows * columns / group_size, 2)
        .into_iter()
        .map(|value| T::from_f32(value / (1 << bits) as f32))
        .collect();
    let biases: Vec<T> = elements(scales.len(), 3);
    let bit = |index: usize| words[index / 32] >> (index % 32) & 1;
    let values = (0..rows * columns).map(|index| {
        let code: u32 = (0..bits).map(|i| bit(index * bits + i) << i).sum();
        let group = index / group_size;
        f64::from(code) * f64::from(scales[group].to_f32()) + f64::from(biases[group].to_f32())
    });
    Weight {
        values: values.collect(),
        words,
        scales,
        biases,
    }
}

/// Rows of x times the weight, transposed or not.
fn product<T: Element>(x: &[T], weight: &[f64], inner: usize, is_transposed: bool) -> Vec<f64> {
    let outputs = weight.len() / inner;
    let element = |x: &[T], output: usize| -> f64 {
        let terms = x.iter().enumerate().map(|(index, x)| {
            let index = if is_transposed {
                output * inner + index
            } else {
                index * outputs + output
            };
            f64::from(x.to_f32()) * weight[index]
        });
        terms.sum()
    };
    x.chunks(inner)
        .flat_map(|x| (0..outputs).map(move |output| element(x, output)))
        .collect()
}

/// A product: its kernel, its shape, and how MLX dispatches it.
struct Product<'a> {
    instance: &'a str,
    rows: usize,
    inner: usize,
    outputs: usize,
    is_transposed: bool,
    threadgroups: [usize; 3],
    threads: [usize; 3],
}

fn check<T: Element>(product_of: &Product<'_>, bits: usize, group_size: usize, orders: &[Order]) {
    let headers = [
        "utils.h",
        "steel/gemm/gemm.h",
        "quantized_utils.h",
        "quantized.h",
    ];
    let Product {
        instance,
        rows,
        inner,
        outputs,
        is_transposed,
        threadgroups,
        threads,
    } = *product_of;
    let function = kernel(&headers, instance, &[]);
    let weight = if is_transposed {
        weight::<T>(outputs, inner, bits, group_size)
    } else {
        weight::<T>(inner, outputs, bits, group_size)
    };
    let x: Vec<T> = elements(rows * inner, 4);
    let expected = product(&x, &weight.values, inner, is_transposed);
    for &order in orders {
        let mut buffers = Buffers::new();
        buffers.bind(&function, "w", &weight.words);
        buffers.bind(&function, "scales", &weight.scales);
        buffers.bind(&function, "biases", &weight.biases);
        buffers.bind(&function, "x", &x);
        buffers.bind(&function, "y", &vec![T::NAN; rows * outputs]);
        for argument in function.buffers() {
            let size = match argument.name.as_str() {
                "in_vec_size" | "K" => inner,
                "out_vec_size" | "N" => outputs,
                "M" => rows,
                "w" | "scales" | "biases" | "x" | "y" => continue,
                // Shapes and strides of batches.
                _ => 0,
            };
            buffers.add(argument.index, &[size as i64]);
        }
        buffers
            .run(&function, threadgroups, threads, order)
            .unwrap_or_else(|error| panic!("{instance}: {error}"));
        let actual: Vec<f32> = buffers.read::<T>(4).iter().map(|y| y.to_f32()).collect();
        assert_close(
            &actual,
            &expected,
            T::TOLERANCE,
            &format!("{instance} {order:?}"),
        );
    }
}

fn check_vectors<T: Element>(bits: usize, group_size: usize) {
    let name = T::NAME;
    // Whole blocks, and rows and columns that end in one.
    let fast = format!("affine_qmv_fast<{name}, {group_size}, {bits}, false>");
    let any = format!("affine_qmv<{name}, {group_size}, {bits}, false>");
    for (instance, rows, inner, outputs) in
        [(&fast, 2, 1024, 16), (&any, 3, 384, 13), (&any, 1, 128, 5)]
    {
        let product = Product {
            instance,
            rows,
            inner,
            outputs,
            is_transposed: true,
            threadgroups: [rows, outputs.div_ceil(8), 1],
            threads: [32, 2, 1],
        };
        check::<T>(&product, bits, group_size, &ORDERS);
    }
    let outputs = 256;
    let instance = format!("affine_qvm<{name}, {group_size}, {bits}, false>");
    let product = Product {
        instance: &instance,
        rows: 2,
        inner: 96,
        outputs,
        is_transposed: false,
        threadgroups: [2, outputs.div_ceil(64), 1],
        threads: [32, 2, 1],
    };
    check::<T>(&product, bits, group_size, &ORDERS);
}

fn check_tiles<T: Element>(bits: usize, group_size: usize) {
    let name = T::NAME;
    let (rows, inner) = (37, 256);
    let order = [Order::Random(bits as u64)];
    for (outputs, is_aligned) in [(64, true), (45, false)] {
        let product = Product {
            instance: &format!("affine_qmm_t<{name}, {group_size}, {bits}, {is_aligned}, false>"),
            rows,
            inner,
            outputs,
            is_transposed: true,
            threadgroups: [outputs.div_ceil(32), rows.div_ceil(32), 1],
            threads: [32, 2, 2],
        };
        check::<T>(&product, bits, group_size, &order);
    }
    let product = Product {
        instance: &format!("affine_qmm_n<{name}, {group_size}, {bits}, false>"),
        rows,
        inner,
        outputs: 128,
        is_transposed: false,
        threadgroups: [4, rows.div_ceil(32), 1],
        threads: [32, 2, 2],
    };
    check::<T>(&product, bits, group_size, &order);
}

#[test]
#[ignore = "needs a checkout of MLX"]
fn quantized_vectors() {
    for bits in [2, 3, 4, 5, 6, 8] {
        for group_size in [32, 64, 128] {
            check_vectors::<f32>(bits, group_size);
        }
        check_vectors::<f16>(bits, 64);
    }
}

#[test]
#[ignore = "needs a checkout of MLX"]
fn quantized_tiles() {
    for bits in [2, 3, 4, 5, 6, 8] {
        for group_size in [32, 64, 128] {
            check_tiles::<f32>(bits, group_size);
        }
        check_tiles::<f16>(bits, 64);
    }
}

/// Constants without masks and sinks; the last two are of the first pass of two.
fn attention_constants(is_causal: bool, blocks: i32) -> [(usize, Constant); 7] {
    [
        (20, Constant::Bool(false)),
        (21, Constant::Bool(false)),
        (22, Constant::Bool(is_causal)),
        (23, Constant::Bool(false)),
        (24, Constant::Bool(false)),
        (25, Constant::Bool(false)),
        (26, Constant::Int(blocks)),
    ]
}

const ATTENTION: [&str; 2] = ["utils.h", "sdpa_vector.h"];

/// Binds the arguments that have the same name in both kernels.
fn bind_shape(buffers: &mut Buffers, function: &Function, shape: &Shape) {
    buffers.bind(function, "N", &[shape.keys as i32]);
    for name in ["k_head_stride", "v_head_stride"] {
        buffers.bind(function, name, &[(shape.keys * shape.width) as u64]);
    }
    for name in ["k_seq_stride", "v_seq_stride"] {
        buffers.bind(function, name, &[shape.width as u64]);
    }
    buffers.bind(function, "scale", &[0.125f32]);
}

#[test]
#[ignore = "needs a checkout of MLX"]
fn attention_in_one_pass() {
    for (width, queries) in [(64, 1), (96, 2), (128, 3)] {
        let shape = Shape {
            heads: 4,
            key_value_heads: 2,
            queries,
            keys: 75,
            width,
        };
        let function = kernel(
            &ATTENTION,
            &format!("sdpa_vector<half, {width}, {width}>"),
            &attention_constants(true, 0),
        );
        let count = shape.key_value_heads * shape.keys * width;
        let (q, q_rounded) = to_half(&values(shape.heads * queries * width, 1));
        let (k, k_rounded) = to_half(&values(count, 2));
        let (v, v_rounded) = to_half(&values(count, 3));
        let expected = reference(&shape, &q_rounded, &k_rounded, &v_rounded, 0.125, true);
        for order in ORDERS {
            let mut buffers = Buffers::new();
            buffers.bind(&function, "queries", &q);
            buffers.bind(&function, "keys", &k);
            buffers.bind(&function, "values", &v);
            buffers.bind(&function, "out", &vec![f16::NAN; q.len()]);
            buffers.bind(&function, "gqa_factor", &[2i32]);
            bind_shape(&mut buffers, &function, &shape);
            let threadgroups = [shape.heads, queries, 1];
            buffers
                .run(&function, threadgroups, [1024, 1, 1], order)
                .unwrap();
            let actual: Vec<f32> = buffers
                .read::<f16>(3)
                .iter()
                .map(|value| value.to_f32())
                .collect();
            assert_close(&actual, &expected, 2e-3, &format!("{width} {order:?}"));
        }
    }
}

#[test]
#[ignore = "needs a checkout of MLX"]
fn attention_in_two_passes() {
    let (width, blocks) = (64, 64);
    let shape = Shape {
        heads: 4,
        key_value_heads: 2,
        queries: 1,
        keys: 301,
        width,
    };
    let first = kernel(
        &ATTENTION,
        "sdpa_vector_2pass_1<float, 64, 64>",
        &attention_constants(false, blocks),
    );
    let second = kernel(&ATTENTION, "sdpa_vector_2pass_2<float, 64>", &[]);
    let count = shape.key_value_heads * shape.keys * width;
    let q = values(shape.heads * width, 1);
    let (k, v) = (values(count, 2), values(count, 3));
    let expected = reference(&shape, &q, &k, &v, 0.125, false);
    let partials = shape.heads * blocks as usize;
    for order in ORDERS {
        let mut buffers = Buffers::new();
        buffers.bind(&first, "queries", &q);
        buffers.bind(&first, "keys", &k);
        buffers.bind(&first, "values", &v);
        buffers.bind(&first, "out", &vec![f32::NAN; partials * width]);
        buffers.bind(&first, "sums", &vec![f32::NAN; partials]);
        buffers.bind(&first, "maxs", &vec![f32::NAN; partials]);
        bind_shape(&mut buffers, &first, &shape);
        let threadgroups = [shape.key_value_heads, 1, blocks as usize];
        buffers
            .run(&first, threadgroups, [32, 2, 1], order)
            .unwrap();
        let mut merge = Buffers::new();
        merge.bind(&second, "partials", &buffers.read::<f32>(3));
        merge.bind(&second, "sums", &buffers.read::<f32>(4));
        merge.bind(&second, "maxs", &buffers.read::<f32>(5));
        merge.bind(&second, "out", &vec![f32::NAN; q.len()]);
        merge.bind(&second, "blocks", &[blocks]);
        merge
            .run(&second, [shape.heads, 1, 1], [1024, 1, 1], order)
            .unwrap();
        assert_close(&merge.read(3), &expected, 1e-5, &format!("{order:?}"));
    }
}

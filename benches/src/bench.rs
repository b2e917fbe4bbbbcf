//! Criterion, and the table at the end.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput};
use mlxm_kernels::{ActivationDtype, CpuOptions, Kernels};

use crate::machine::{Limits, Peak};

/// The memory traffic and the operations of one call.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Bytes read and written outside the caches.
    pub bytes: usize,
    /// Multiplications and additions.
    pub operations: usize,
    /// The arithmetic of the operations.
    pub arithmetic: Arithmetic,
}

/// The peak that a kernel is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// int8 dot products.
    Int8,
    /// Fused multiply-adds of f32.
    Float,
}

struct Row {
    name: String,
    seconds: f64,
    work: Work,
}

/// Runs benchmarks and collects what the table needs.
pub struct Bench {
    criterion: Criterion,
    int8: Kernels,
    f32: Kernels,
    rows: Vec<Row>,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    /// Reads criterion's options from the command line.
    pub fn new() -> Self {
        let kernels = |activation_dtype| {
            Kernels::cpu(CpuOptions {
                activation_dtype,
                ..CpuOptions::default()
            })
        };
        Self {
            criterion: Criterion::default()
                .sample_size(10)
                .warm_up_time(Duration::from_millis(200))
                .measurement_time(Duration::from_millis(800))
                .configure_from_args(),
            int8: kernels(ActivationDtype::Int8),
            f32: kernels(ActivationDtype::F32),
            rows: Vec::new(),
        }
    }

    /// Kernels with int8 activations.
    pub fn int8(&self) -> &Kernels {
        &self.int8
    }

    /// Kernels with f32 activations.
    pub fn f32(&self) -> &Kernels {
        &self.f32
    }

    /// Measures `group/name`. `prepare` makes the inputs, only if the command line selects this benchmark; the closure it
    /// returns is called repeatedly.
    pub fn measure<'a, F: FnMut()>(
        &'a mut self,
        group: &str,
        name: &str,
        work: Work,
        prepare: impl FnOnce(&'a Kernels, &'a Kernels) -> F,
    ) {
        let mut fastest = f64::INFINITY;
        let mut prepare = Some(prepare);
        let mut call = None;
        let Self {
            criterion,
            int8,
            f32,
            rows,
        } = self;
        let (int8, f32) = (&*int8, &*f32);
        let mut group_of_one = criterion.benchmark_group(group);
        group_of_one.throughput(Throughput::Bytes(work.bytes as u64));
        group_of_one.bench_function(name, |bencher| {
            if let Some(prepare) = prepare.take() {
                call = Some(prepare(int8, f32));
            }
            let Some(call) = &mut call else { return };
            bencher.iter_custom(|iterations| {
                let started = Instant::now();
                for _ in 0..iterations {
                    call();
                }
                let elapsed = started.elapsed();
                fastest = fastest.min(elapsed.as_secs_f64() / iterations as f64);
                elapsed
            });
        });
        group_of_one.finish();
        if fastest.is_finite() {
            rows.push(Row {
                name: format!("{group}/{name}"),
                seconds: fastest,
                work,
            });
        }
    }

    /// Prints the table.
    pub fn finish(self) {
        self.criterion.final_summary();
        if self.rows.is_empty() {
            return;
        }
        let limits = Limits::measure(self.f32.threads());
        println!("\n{}", table(&self.rows, &limits));
    }
}

fn table(rows: &[Row], limits: &Limits) -> String {
    let peak = |peak: &Option<Peak>, kind| match peak {
        Some(peak) => format!(
            "{:.0} GOP/s of {kind} ({})",
            peak.operations_per_second / 1e9,
            peak.instructions
        ),
        None => format!("an unknown peak of {kind}"),
    };
    let mut text = format!(
        "{} threads: {:.1} GB/s from memory, {}, {}\n\
         Fastest sample of each; bandwidth above that of memory comes from the caches.\n\n\
         {:<44} {:>10} {:>8} {:>5} {:>8} {:>5}\n",
        limits.threads,
        limits.bytes_per_second / 1e9,
        peak(&limits.int8, "int8"),
        peak(&limits.float, "f32"),
        "kernel",
        "time",
        "GB/s",
        "%",
        "GOP/s",
        "%",
    );
    for row in rows {
        let bytes = row.work.bytes as f64 / row.seconds;
        let operations = row.work.operations as f64 / row.seconds;
        let peak = match row.work.arithmetic {
            Arithmetic::Int8 => &limits.int8,
            Arithmetic::Float => &limits.float,
        };
        let share = peak.as_ref().map_or_else(String::new, |peak| {
            format!("{:.0}", 100.0 * operations / peak.operations_per_second)
        });
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{:<44} {:>10} {:>8.1} {:>5.0} {:>8.1} {share:>5}",
            row.name,
            duration(row.seconds),
            bytes / 1e9,
            100.0 * bytes / limits.bytes_per_second,
            operations / 1e9,
        );
    }
    text
}

fn duration(seconds: f64) -> String {
    if seconds < 1e-3 {
        format!("{:.2} µs", seconds * 1e6)
    } else {
        format!("{:.2} ms", seconds * 1e3)
    }
}

//! The constants, from two published rows and from measurements of other programs.

use super::chips::M4_MAX;
use super::cost::{Constants, Issue, Work};
use super::dispatches::{self, Engine};
use super::published::{CALIBRATION, Clock, Row};
use super::traffic::{self, Activations};

/// bf16 matrix products on the same machine (M4 Max, 40 cores, 64 GB) in `PyTorch` 2.8: 13.18, 12.84, 12.51, 12.26 and 11.66
/// TFLOPS for sizes from 1024 to 10240; this is the median. Source: zzc0721/torch-performance-test-data #65. It is independent
/// of the published speeds of prompts.
const MATRIX_RATE: f64 = 12.51e12;

/// Time of the GPU between two command buffers (mlx #4521).
const COMMAND_BUFFER_SECONDS: f64 = 20e-6;

/// The host's wait for the GPU, between 150 and 365 µs in reports (Metal.jl #783), partly hidden by spinning.
const WAIT_SECONDS: f64 = 200e-6;

/// Solves the formula for two rows of the same model that stream different numbers of bytes.
pub fn constants() -> Constants {
    fit(CALIBRATION.map(|row| Observation {
        work: decode_work(row),
        issue: decode_issue(row),
        seconds: decode_seconds(row, row.decode),
    }))
}

struct Observation {
    work: Work,
    issue: Issue,
    seconds: f64,
}

fn fit([first, second]: [Observation; 2]) -> Constants {
    // bytes · s + dispatches · o = t
    let time = |observed: &Observation| {
        observed.seconds
            - observed.issue.command_buffers * COMMAND_BUFFER_SECONDS
            - observed.issue.waits * WAIT_SECONDS
    };
    let determinant =
        first.work.bytes * second.issue.dispatches - second.work.bytes * first.issue.dispatches;
    let seconds_per_byte = (time(&first) * second.issue.dispatches
        - time(&second) * first.issue.dispatches)
        / determinant;
    let dispatch_seconds =
        (first.work.bytes * time(&second) - second.work.bytes * time(&first)) / determinant;
    Constants {
        bandwidth_efficiency: 1.0 / (seconds_per_byte * M4_MAX.bandwidth),
        dispatch_seconds,
        matrix_efficiency: MATRIX_RATE / M4_MAX.matrix_peak,
        command_buffer_seconds: COMMAND_BUFFER_SECONDS,
        wait_seconds: WAIT_SECONDS,
    }
}

/// Seconds of a step, from tokens per second as the source computes them.
fn decode_seconds(row: &Row, tokens_per_second: f64) -> f64 {
    counted_per_step(row) / tokens_per_second
}

/// Tokens that the source counts per step that it times.
fn counted_per_step(row: &Row) -> f64 {
    match row.run.clock {
        Clock::MlxLm => row.run.generated / (row.run.generated - 1.0),
        Clock::Steps => 1.0,
    }
}

/// Positions in the cache, on average over the generated tokens.
pub fn context(row: &Row) -> f64 {
    row.run.prompt + row.run.generated / 2.0
}

fn decode_work(row: &Row) -> Work {
    traffic::decode(&row.shape, &row.format, context(row))
}

fn decode_issue(row: &Row) -> Issue {
    dispatches::decode(row.engine, &row.shape, &row.format, &row.chip, context(row))
}

/// Generated tokens per second that the source should show.
pub fn predict_decode(constants: &Constants, row: &Row) -> f64 {
    let seconds = constants.seconds(&decode_work(row), &decode_issue(row), &row.chip);
    counted_per_step(row) / seconds
}

/// Prompt tokens per second that the source should show: all but the last token, then a step for the last one.
pub fn predict_prefill(constants: &Constants, row: &Row) -> f64 {
    let tokens = row.run.prompt - 1.0;
    let activations = match row.engine {
        Engine::MlxLm | Engine::LlamaCpp => Activations::Separate,
        Engine::Mlxm => Activations::Fused,
    };
    let mut work = traffic::prefill(&row.shape, &row.format, tokens, activations);
    if row.engine == Engine::Mlxm {
        // Each step reads the weights.
        work.bytes *= (tokens / dispatches::MLXM_PREFILL_STEP).ceil();
    }
    let issue = dispatches::prefill(row.engine, &row.shape, &row.format, &row.chip, tokens);
    let prompt = constants.seconds(&work, &issue, &row.chip);
    let last = constants.seconds(
        &traffic::decode(&row.shape, &row.format, row.run.prompt),
        &dispatches::decode(
            row.engine,
            &row.shape,
            &row.format,
            &row.chip,
            row.run.prompt,
        ),
        &row.chip,
    );
    row.run.prompt / (prompt + last)
}

/// As if a group of independent dispatches, not each dispatch, took time: mlx-lm's dispatches then explain the same overhead
/// with fewer, slower units.
pub fn interval_seconds(constants: &Constants) -> f64 {
    let issue = decode_issue(CALIBRATION[1]);
    constants.dispatch_seconds * issue.dispatches / issue.barrier_intervals
}

#[cfg(test)]
mod tests {
    use super::super::published::{DENSE, MIXTURE};
    use super::*;

    fn error(predicted: f64, published: f64) -> f64 {
        predicted / published - 1.0
    }

    fn decode_error(constants: &Constants, row: &Row) -> f64 {
        error(predict_decode(constants, row), row.decode)
    }

    fn prefill_error(constants: &Constants, row: &Row) -> f64 {
        error(predict_prefill(constants, row), row.prefill.unwrap())
    }

    fn largest(errors: impl Iterator<Item = f64>) -> f64 {
        errors.map(f64::abs).fold(0.0, f64::max)
    }

    fn largest_errors(constants: &Constants) -> [f64; 3] {
        [
            largest(DENSE.iter().map(|row| decode_error(constants, row))),
            largest(MIXTURE.iter().map(|row| decode_error(constants, row))),
            largest(
                DENSE
                    .iter()
                    .chain(&MIXTURE)
                    .map(|row| prefill_error(constants, row)),
            ),
        ]
    }

    #[test]
    fn constants_are_physically_plausible() {
        let constants = constants();
        let bandwidth = constants.bandwidth_efficiency;
        assert!((0.85..0.95).contains(&bandwidth), "{constants:?}");
        let dispatch = constants.dispatch_seconds;
        assert!((2e-6..4e-6).contains(&dispatch), "{constants:?}");
        let matrix = constants.matrix_efficiency;
        assert!((0.6..0.8).contains(&matrix), "{constants:?}");
    }

    #[test]
    fn decode_of_the_dense_model_is_within_5_percent() {
        let constants = constants();
        for row in &DENSE {
            let error = decode_error(&constants, row);
            assert!(error.abs() < 0.05, "{}: {error:+.3}", row.format.name);
        }
        for row in CALIBRATION {
            assert!(decode_error(&constants, row).abs() < 1e-9);
        }
    }

    #[test]
    fn decode_of_the_mixture_is_within_10_percent() {
        let constants = constants();
        for row in &MIXTURE {
            let error = decode_error(&constants, row);
            assert!(error.abs() < 0.10, "{}: {error:+.3}", row.format.name);
        }
    }

    #[test]
    fn prefill_is_within_15_percent() {
        let constants = constants();
        for row in DENSE.iter().chain(&MIXTURE) {
            let error = prefill_error(&constants, row);
            assert!(
                error.abs() < 0.15,
                "{} {}: {error:+.3}",
                row.shape.name,
                row.format.name
            );
        }
    }

    /// A constant that could be anything would say nothing about another engine.
    #[test]
    fn published_rows_reject_other_constants() {
        let fitted = constants();
        let bounds = [0.05, 0.10, 0.15];
        let violates = |constants: &Constants| {
            largest_errors(constants)
                .iter()
                .zip(bounds)
                .any(|(error, bound)| *error > bound)
        };
        assert!(!violates(&fitted));
        for factor in [0.9, 1.1] {
            let bandwidth = Constants {
                bandwidth_efficiency: fitted.bandwidth_efficiency * factor,
                ..fitted
            };
            assert!(violates(&bandwidth), "bandwidth × {factor}");
        }
        for factor in [0.8, 1.2] {
            let dispatch = Constants {
                dispatch_seconds: fitted.dispatch_seconds * factor,
                ..fitted
            };
            assert!(violates(&dispatch), "dispatch × {factor}");
            let matrix = Constants {
                matrix_efficiency: fitted.matrix_efficiency * factor,
                ..fitted
            };
            assert!(violates(&matrix), "matrix products × {factor}");
        }
    }

    /// Expected: 155 to 180 and 150 to 200 tokens per second.
    #[test]
    fn mlxm_decodes_at_the_expected_speed() {
        let constants = constants();
        let speed = |row: &Row| {
            let row = Row {
                engine: Engine::Mlxm,
                ..*row
            };
            predict_decode(&constants, &row)
        };
        assert!((155.0..180.0).contains(&speed(&DENSE[6])));
        assert!((150.0..200.0).contains(&speed(&MIXTURE[3])));
    }

    #[test]
    fn overhead_of_the_mixture_follows_dispatches_rather_than_barriers() {
        let constants = constants();
        let by_barriers = |row: &Row| {
            let issue = decode_issue(row);
            let issue = Issue {
                dispatches: issue.barrier_intervals,
                ..issue
            };
            let constants = Constants {
                dispatch_seconds: interval_seconds(&constants),
                ..constants
            };
            let seconds = constants.seconds(&decode_work(row), &issue, &row.chip);
            error(counted_per_step(row) / seconds, row.decode)
        };
        assert!(by_barriers(CALIBRATION[1]).abs() < 1e-9);
        assert!(largest(MIXTURE.iter().map(by_barriers)) > 0.10);
    }

    /// If the number of dispatches did not matter, or mattered as much for every model, the mixture would be off.
    #[test]
    fn overhead_of_the_mixture_needs_its_own_dispatches() {
        let constants = constants();
        let row = &MIXTURE[3];
        let issue = Issue {
            dispatches: row.shape.layers as f64 * 19.0,
            ..decode_issue(row)
        };
        let seconds = constants.seconds(&decode_work(row), &issue, &row.chip);
        assert!(error(counted_per_step(row) / seconds, row.decode) > 0.10);
    }
}

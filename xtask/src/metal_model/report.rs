//! Predictions and measurements as Markdown tables.

use super::calibration::{constants, context, interval_seconds, predict_decode, predict_prefill};
use super::cost::Constants;
use super::dispatches::{Engine, per_layer};
use super::published::{CALIBRATION, DENSE, MIXTURE, OTHERS, Row};
use std::fmt::Write as _;

/// The section of docs/metal.md that the command prints.
pub fn markdown() -> String {
    let constants = constants();
    let mut text = String::new();
    constants_table(&mut text, &constants);
    check_table(&mut text, &constants);
    prediction_table(&mut text, &constants);
    other_chips_table(&mut text, &constants);
    text
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{content}");
}

fn constants_table(text: &mut String, constants: &Constants) {
    line(text, format_args!("| constant | value | from |"));
    line(text, format_args!("| --- | --- | --- |"));
    let [first, second] = CALIBRATION.map(|row| row.format.name);
    line(
        text,
        format_args!(
            "| `e`, part of the bandwidth | {:.3} | calibrated: 4B {first} and {second} |",
            constants.bandwidth_efficiency
        ),
    );
    line(
        text,
        format_args!(
            "| `o`, time of a dispatch | {:.2} µs | the same |",
            constants.dispatch_seconds * 1e6
        ),
    );
    line(
        text,
        format_args!(
            "| `u`, part of the matrix peak | {:.3} | products of PyTorch on the same chip |",
            constants.matrix_efficiency
        ),
    );
    line(
        text,
        format_args!(
            "| `b`, time of a command buffer | {:.0} µs | mlx #4521 |",
            constants.command_buffer_seconds * 1e6
        ),
    );
    line(
        text,
        format_args!(
            "| `w`, time of a wait | {:.0} µs | Metal.jl #783 |\n",
            constants.wait_seconds * 1e6
        ),
    );
}

/// mlx-lm on the M4 Max: the rows that the model is checked with.
fn check_table(text: &mut String, constants: &Constants) {
    line(
        text,
        format_args!(
            "mlx-lm on the M4 Max, 2048 prompt tokens and 128 generated ones, in tokens per second:\n"
        ),
    );
    line(
        text,
        format_args!(
            "| model | dispatches per layer | decode | predicted | error | prefill | predicted | error |"
        ),
    );
    line(
        text,
        format_args!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"),
    );
    for row in DENSE.iter().chain(&MIXTURE) {
        let decode = predict_decode(constants, row);
        let decode_error = if CALIBRATION.iter().any(|calibration| same(calibration, row)) {
            "calibrated".to_owned()
        } else {
            percent(decode, row.decode)
        };
        let prefill = predict_prefill(constants, row);
        line(
            text,
            format_args!(
                "| {} {} | {} | {:.1} | {decode:.1} | {decode_error} | {} | {prefill:.0} | {} |",
                row.shape.name,
                row.format.name,
                per_layer(row.engine, &row.shape, &row.chip, context(row)),
                row.decode,
                rate(row.prefill),
                error(prefill, row.prefill),
            ),
        );
    }
    text.push('\n');
}

fn same(first: &Row, second: &Row) -> bool {
    first.shape.name == second.shape.name && first.format.name == second.format.name
}

/// What mlxm should reach on the same machine.
fn prediction_table(text: &mut String, constants: &Constants) {
    line(
        text,
        format_args!(
            "mlxm on the same chip, predicted for the same benchmark; \"slower\" charges {:.2} µs per dispatch, what mlx-lm spends per barrier:\n",
            interval_seconds(constants) * 1e6
        ),
    );
    line(
        text,
        format_args!(
            "| model | dispatches per layer | decode, mlx-lm | mlxm | slower | prefill, mlx-lm | mlxm |"
        ),
    );
    line(
        text,
        format_args!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |"),
    );
    let slower = Constants {
        dispatch_seconds: interval_seconds(constants),
        ..*constants
    };
    for published in DENSE.iter().chain(&MIXTURE) {
        let row = Row {
            engine: Engine::Mlxm,
            ..*published
        };
        line(
            text,
            format_args!(
                "| {} {} | {} | {:.1} | {} | {} | {} | {} |",
                row.shape.name,
                row.format.name,
                per_layer(row.engine, &row.shape, &row.chip, context(&row)),
                published.decode,
                gain(predict_decode(constants, &row), published.decode),
                gain(predict_decode(&slower, &row), published.decode),
                rate(published.prefill),
                published.prefill.map_or_else(String::new, |measured| gain(
                    predict_prefill(constants, &row),
                    measured
                )),
            ),
        );
    }
    text.push('\n');
}

fn other_chips_table(text: &mut String, constants: &Constants) {
    line(
        text,
        format_args!("Other chips and engines, with the constants of the M4 Max:\n"),
    );
    line(
        text,
        format_args!(
            "| chip | model | decode | predicted | error | prefill | predicted | error | source |"
        ),
    );
    line(
        text,
        format_args!("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"),
    );
    for row in OTHERS {
        let decode = predict_decode(constants, row);
        let prefill = row.prefill.map(|_| predict_prefill(constants, row));
        line(
            text,
            format_args!(
                "| {}, {} cores | {} {} | {:.1} | {decode:.1} | {} | {} | {} | {} | {} |",
                row.chip.name,
                row.chip.gpu_cores,
                row.shape.name,
                row.format.name,
                row.decode,
                percent(decode, row.decode),
                rate(row.prefill),
                rate(prefill),
                prefill.map_or_else(String::new, |predicted| error(predicted, row.prefill)),
                row.source,
            ),
        );
    }
}

fn percent(predicted: f64, measured: f64) -> String {
    format!("{:+.1} %", (predicted / measured - 1.0) * 100.0)
}

fn error(predicted: f64, measured: Option<f64>) -> String {
    measured.map_or_else(String::new, |measured| percent(predicted, measured))
}

fn rate(tokens_per_second: Option<f64>) -> String {
    tokens_per_second.map_or_else(String::new, |rate| format!("{rate:.0}"))
}

fn gain(predicted: f64, measured: f64) -> String {
    let digits = usize::from(predicted < 1000.0);
    format!("{predicted:.digits$} (×{:.2})", predicted / measured)
}

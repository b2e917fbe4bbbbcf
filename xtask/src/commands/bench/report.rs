//! Results as Markdown that also reads well on a terminal.

use super::engines::EngineInfo;
use super::models::show_size;
use super::results::{Conditions, Measurement, ModelInfo, Results, Series};
use super::rows::{LOAD_CONTEXT, PROMPT, Unit};
use super::statistics::{Ratio, Summary};
use std::fmt::Write as _;

/// The method, as far as the commands do not show it.
const METHOD: &str = "\
The engines take turns, run by run; every second run reverses their order. Each run is a separate process that loads the \
model, warms up once and measures once. Values are medians over the runs with minimum and maximum in parentheses; ratios are \
quotients of medians, with the smallest and largest quotient of paired runs. For speeds, mlxm is better above 1; for times and \
memory, below 1.

- **decode**: 128 tokens of one sequence from an empty context.
- **prefill**: 512 prompt tokens, logits for the last one only.
- **batch4, batch16**: tokens per second of all sequences together while all of them generate, with different prompts of 128 \
tokens and 64 generated tokens each. One process per batch size.
- **load**: wall time of a process that loads the model, computes the same short prompt and prints one token; tokenizer, \
repacking of weights and cleanup included. One uncounted run of each engine brings the files into the page cache.
- **memory**: peak memory of a process that warms up, then generates 128 tokens after a prompt of 512, in a context of 640.
- **peak memory**: maximum resident set size over a whole process (`ru_maxrss`), mapped files included, with contexts of the \
same length.";

/// The whole report.
pub fn markdown(results: &Results) -> String {
    let mut text = String::new();
    let others: Vec<&str> = results
        .engines
        .iter()
        .skip(1)
        .map(|info| info.name.as_str())
        .collect();
    line(
        &mut text,
        format_args!("# mlxm vs {}\n", others.join(" and ")),
    );
    unofficial_reasons(&mut text, &results.unofficial_reasons);
    info(&mut text, results);
    for model in &results.models {
        model_heading(&mut text, model);
        let measured: Vec<&Measurement> = results
            .measurements
            .iter()
            .filter(|measurement| measurement.model == model.name)
            .collect();
        text.push_str(&speed_table(&measured));
        text.push('\n');
        text.push_str(&memory_table(&measured));
    }
    if let Some(regression) = &results.regression {
        text.push_str(&regression.markdown());
    }
    line(&mut text, format_args!("\n## Method\n\n{METHOD}\n"));
    line(
        &mut text,
        format_args!(
            "Prompt of the row load: \"{PROMPT}\", in a context of {LOAD_CONTEXT} tokens. Command: `{}`. The JSON file of the \
             same name holds every run.\n",
            results.conditions.command
        ),
    );
    notes(&mut text, &results.engines);
    text.push_str(&commands(results));
    text
}

/// Why the result is unofficial.
pub fn unofficial_reasons(text: &mut String, unofficial_reasons: &[String]) {
    for reason in unofficial_reasons {
        line(text, format_args!("> **Unofficial:** {reason}\n"));
    }
}

/// A model and its files.
pub fn model_heading(text: &mut String, model: &ModelInfo) {
    line(text, format_args!("\n## {}\n", model.name));
    let files: Vec<String> = model
        .files
        .iter()
        .map(|file| format!("{} {}", file.engine, show_size(file.size_bytes)))
        .collect();
    line(
        text,
        format_args!("{}; files: {}.\n", model.about, files.join(", ")),
    );
}

/// Machine, date, number of runs and load.
pub fn conditions(text: &mut String, conditions: &Conditions) {
    machine(text, conditions);
    line(text, format_args!("- threads: {}", conditions.threads));
    line(
        text,
        format_args!("- runs: {} of each engine", conditions.repeat),
    );
}

/// Machine, date and load.
pub fn machine(text: &mut String, conditions: &Conditions) {
    let machine = &conditions.machine;
    let memory = machine.memory_bytes.map_or_else(
        || "unknown".to_owned(),
        |bytes| format!("{:.1} GB", bytes as f64 / 1e9),
    );
    let load = conditions
        .load_average_at_start
        .map_or_else(|| "unknown".to_owned(), |load| format!("{load:.2}"));
    for (name, value) in [
        ("date", conditions.started.clone()),
        (
            "CPU",
            format!(
                "{}, {} cores, {} hardware threads, {}",
                machine.cpu, machine.cores, machine.hardware_threads, machine.architecture
            ),
        ),
        ("instructions", machine.instructions.join(" ")),
        ("memory", memory),
        ("system", format!("{}, {}", machine.system, machine.kernel)),
        ("load average at the start", load),
    ] {
        line(text, format_args!("- {name}: {value}"));
    }
}

/// How each engine is measured.
pub fn notes(text: &mut String, engines: &[EngineInfo]) {
    let mut notes: Vec<&str> = engines.iter().map(|engine| engine.note.as_str()).collect();
    notes.dedup();
    for note in notes {
        line(text, format_args!("{note}\n"));
    }
}

/// Versions and builds.
pub fn engines(text: &mut String, engines: &[EngineInfo]) {
    for engine in engines {
        let commit = engine
            .commit
            .as_ref()
            .map(|commit| format!(" (commit {commit})"))
            .unwrap_or_default();
        line(
            text,
            format_args!(
                "- {} {}{commit}: {}; weights {}",
                engine.name, engine.version, engine.build, engine.weights
            ),
        );
    }
}

fn info(text: &mut String, results: &Results) {
    conditions(text, &results.conditions);
    engines(text, &results.engines);
    let mut dtypes: Vec<&str> = results
        .measurements
        .iter()
        .filter_map(|measurement| measurement.series.first()?.activation_dtype.as_deref())
        .collect();
    dtypes.dedup();
    if !dtypes.is_empty() {
        line(
            text,
            format_args!("- activation dtype of mlxm: {}", dtypes.join(", ")),
        );
    }
}

/// The values of a model's rows.
pub fn speed_table(measurements: &[&Measurement]) -> String {
    table(
        "row",
        measurements,
        |measurement| measurement.row.to_string(),
        |measurement, series| show(measurement.unit, &series.summary),
        |comparison| &comparison.value,
    )
}

fn memory_table(measurements: &[&Measurement]) -> String {
    table(
        "peak memory",
        measurements,
        |measurement| measurement.row.to_string(),
        |_, series| show(Unit::Bytes, &series.peak_rss),
        |comparison| &comparison.peak_rss,
    )
}

fn table(
    corner: &str,
    measurements: &[&Measurement],
    name: impl Fn(&Measurement) -> String,
    cell: impl Fn(&Measurement, &Series) -> String,
    ratio: impl Fn(&super::results::Comparison) -> &Ratio,
) -> String {
    let Some(first) = measurements.first() else {
        return String::new();
    };
    let mut header = vec![corner.to_owned()];
    header.extend(first.series.iter().map(|series| series.engine.clone()));
    header.extend(
        first
            .ratios
            .iter()
            .map(|comparison| format!("mlxm / {}", comparison.against)),
    );
    let rows: Vec<Vec<String>> = measurements
        .iter()
        .map(|measurement| {
            let mut row = vec![name(measurement)];
            row.extend(
                measurement
                    .series
                    .iter()
                    .map(|series| cell(measurement, series)),
            );
            row.extend(
                measurement
                    .ratios
                    .iter()
                    .map(|comparison| show_ratio(ratio(comparison))),
            );
            row
        })
        .collect();
    aligned(&header, &rows)
}

/// A ratio with the range of paired runs.
pub fn show_ratio(ratio: &Ratio) -> String {
    format!(
        "**{:.2}** ({:.2}–{:.2})",
        ratio.of_medians, ratio.smallest_pair, ratio.largest_pair
    )
}

/// The median with its unit, and the range without unit.
pub fn show(unit: Unit, summary: &Summary) -> String {
    let number = |value| {
        let text = unit.show(value);
        text.split(' ').next().unwrap_or_default().to_owned()
    };
    format!(
        "{} ({}–{})",
        unit.show(summary.median),
        number(summary.min),
        number(summary.max)
    )
}

/// A Markdown table whose columns line up.
pub fn aligned(header: &[String], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            rows.iter()
                .chain([&header.to_vec()])
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    let mut write = |cells: &[String]| {
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            // The first column holds names, the others metrics.
            let _ = if column == 0 {
                write!(text, "| {cell:<width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
    };
    write(header);
    let rules: Vec<String> = widths
        .iter()
        .enumerate()
        .map(|(column, width)| {
            let dashes = "-".repeat(width.saturating_sub(1).max(1));
            if column == 0 {
                format!("{dashes}-")
            } else {
                format!("{dashes}:")
            }
        })
        .collect();
    write(&rules);
    for row in rows {
        write(row);
    }
    text
}

/// Every command once, by model and row.
fn commands(results: &Results) -> String {
    let mut text = String::from("```sh\n");
    for measurement in &results.measurements {
        for series in &measurement.series {
            line(&mut text, format_args!("{}", series.command));
        }
    }
    text.push_str("```\n");
    text
}

/// Appends a line.
pub fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{content}");
}

#[cfg(test)]
mod tests {
    use super::super::results::Sample;
    use super::super::rows::Row;
    use super::*;

    fn series(engine: &str, values: &[f64], peak_rss_bytes: u64) -> Series {
        let samples = values
            .iter()
            .map(|value| Sample {
                value: *value,
                peak_rss_bytes,
                wall_seconds: 1.0,
                cpu_seconds: 2.0,
                other_cpus: Some(0.0),
            })
            .collect();
        Series::new(
            engine.to_owned(),
            format!("{engine} --go"),
            None,
            samples,
            0,
        )
        .unwrap()
    }

    fn measurements() -> Vec<Measurement> {
        let ours = series("mlxm", &[50.0, 40.0, 45.0], 100_000_000);
        let theirs = series("other", &[40.0, 40.0, 45.0], 200_000_000);
        let loads = vec![
            series("mlxm", &[0.25, 0.25, 0.5], 100_000_000),
            series("other", &[0.5, 0.5, 0.5], 50_000_000),
        ];
        vec![
            Measurement::new("135M", Row::Decode, vec![ours, theirs]),
            Measurement::new("135M", Row::Load, loads),
        ]
    }

    #[test]
    fn speed_table_shows_values_and_ratios() {
        let measurements = measurements();
        assert_eq!(
            speed_table(&measurements.iter().collect::<Vec<_>>()),
            "\
| row    |                   mlxm |                  other |         mlxm / other |
| ------ | ---------------------: | ---------------------: | -------------------: |
| decode | 45.0 tok/s (40.0–50.0) | 40.0 tok/s (40.0–45.0) | **1.12** (1.00–1.25) |
| load   |  0.250 s (0.250–0.500) |  0.500 s (0.500–0.500) | **0.50** (0.50–1.00) |
"
        );
    }

    #[test]
    fn memory_table_compares_every_row() {
        let measurements = measurements();
        let table = memory_table(&measurements.iter().collect::<Vec<_>>());
        assert!(table.contains("100 MB (100–100)"), "{table}");
        assert!(table.contains("**0.50** (0.50–0.50)"), "{table}");
        assert!(table.contains("**2.00** (2.00–2.00)"), "{table}");
    }
}

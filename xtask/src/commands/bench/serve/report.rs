//! The results as Markdown that also reads well on a terminal.

use super::results::{Measurement, Point, Results, Series};
use super::workload::{
    CONTEXT_TOKENS, LONG_ANSWERS, Lengths, MIXED, REPEATED_CONTEXT_TOKENS, REPEATED_TOKENS,
};
use crate::commands::bench::report::{
    aligned, circumstances, engines, line, model_heading, notes, reservations, show, show_ratio,
};
use crate::commands::bench::rows::Unit;

const METHOD: &str = "\
The servers take turns, run by run, each run a process of its own on a free port of this machine, which loads the model, \
answers two requests to warm up, and then gets the requests of the run through streaming `/v1/completions`. Both get the \
same requests in the same order; each run has others. All of an answer's tokens are generated (`ignore_eos`, temperature \
0), and token counts are those of the servers' `usage`. The clients are threads of one program on the same machine, \
which open a connection for each request and only note when events come.

- **closed loop**: a client sends its next request when it has its last answer, until all requests are sent. Tokens per \
second count the tokens of all answers while every client has work, the beginning with its many prompts included.
- **long answers**: the same with short prompts, whose computation takes next to nothing: how much more of the same work gets \
done when several ask at once. Prompts take a processor's whole strength even alone.
- **open loop**: requests arrive in a Poisson process, whatever became of those before them. Tokens per second are those of \
the whole run; if a server keeps up they follow from the rate.
- **first token**: from the moment a request was due to the first text of its answer, over the answers of all runs; half \
of them took at most p50, nine tenths at most p90.
- **between tokens**: from one event with text to the next one of the same answer, over all answers.
- A figure in tokens per second is the median over the runs, with the smallest and the largest behind it; its ratio is the \
quotient of the medians, with the smallest and the largest quotient of neighbouring runs. The ratio of a latency is the \
quotient of the two figures beside it; there, mlxm is ahead below 1.
- **outside the forward pass**: the share of the time of mlxm's loop that is not spent computing the model, by its own \
counters in `/metrics`, while the requests ran.";

/// The whole report.
pub fn markdown(results: &Results) -> String {
    let mut text = String::new();
    let other = results.engines.last().map_or("", |facts| &*facts.name);
    line(&mut text, format_args!("# mlxm serve beside {other}\n"));
    reservations(&mut text, &results.reservations);
    circumstances(&mut text, &results.circumstances);
    engines(&mut text, &results.engines);
    for model in &results.models {
        model_heading(&mut text, model);
        let of_model = |measurement: &&Measurement| measurement.model == model.name;
        let (again, measurements): (Vec<&Measurement>, Vec<&Measurement>) = results
            .measurements
            .iter()
            .filter(of_model)
            .partition(|one| one.point == Point::Again);
        text.push_str(&throughput_table(&measurements));
        text.push_str(&scaling(&measurements));
        text.push('\n');
        text.push_str(&latency_table(
            "first token, p50 / p90",
            &measurements,
            |series| (series.latency.ttft_p50_ms, series.latency.ttft_p90_ms),
        ));
        text.push('\n');
        text.push_str(&latency_table(
            "between tokens, p50 / p90",
            &measurements,
            |series| {
                (
                    series.latency.inter_token_p50_ms,
                    series.latency.inter_token_p90_ms,
                )
            },
        ));
        text.push('\n');
        text.push_str(&further_table(&measurements));
        for measurement in again {
            text.push('\n');
            text.push_str(&again_table(measurement));
        }
    }
    line(
        &mut text,
        format_args!(
            "\n## How it was measured\n\n{METHOD}\n\nPrompts have {}, with long answers {}, each spread evenly over its \
             logarithm; a context holds {CONTEXT_TOKENS}. A prompt that comes again has {REPEATED_TOKENS} tokens, with a \
             question behind it that is new, in a context of {REPEATED_CONTEXT_TOKENS}. Made by `{}`; the JSON file beside \
             this one holds every run.\n",
            lengths(MIXED),
            lengths(LONG_ANSWERS),
            results.circumstances.command
        ),
    );
    notes(&mut text, &results.engines);
    text.push_str(&commands(results));
    text
}

fn lengths(lengths: Lengths) -> String {
    let range = |(least, most): (usize, usize)| {
        if least == most {
            least.to_string()
        } else {
            format!("{least} to {most}")
        }
    };
    format!(
        "{} tokens and answers {}",
        range(lengths.prompt_tokens),
        range(lengths.output_tokens)
    )
}

/// What it saves that a prompt has come before.
fn again_table(measurement: &Measurement) -> String {
    let header = header(
        &format!("first token behind {REPEATED_TOKENS} tokens, p50"),
        &[measurement],
    );
    let times: Vec<Option<(f64, f64)>> = measurement
        .series
        .iter()
        .map(Series::new_and_again)
        .collect();
    let row = |name: &str, of: &dyn Fn((f64, f64)) -> String| {
        let cells = times.iter().map(|times| times.map_or_else(String::new, of));
        [name.to_owned()].into_iter().chain(cells).collect()
    };
    let rows: [Vec<String>; 3] = [
        row("new prompt", &|(new, _)| format!("{new:.1} ms")),
        row("with another question", &|(_, again)| {
            format!("{again:.1} ms")
        }),
        row("of the time of a new one", &|(new, again)| {
            format!("**{:.3}**", again / new)
        }),
    ];
    aligned(&header, &rows)
}

/// Names of the engines, for the header of a table.
fn header(corner: &str, measurements: &[&Measurement]) -> Vec<String> {
    let series = measurements.iter().take(1).flat_map(|one| &one.series);
    let names = series.map(|series| series.engine.clone());
    [corner.to_owned()].into_iter().chain(names).collect()
}

fn throughput_table(measurements: &[&Measurement]) -> String {
    let mut header = header("output of all clients", measurements);
    header.push("ratio".to_owned());
    let rows: Vec<Vec<String>> = measurements
        .iter()
        .map(|measurement| {
            let speeds = measurement
                .series
                .iter()
                .map(|series| show(Unit::TokensPerSecond, &series.output_tps));
            let ratio = measurement.ratio.as_ref();
            let ratio = ratio.map(|ratio| show_ratio(&ratio.output_tps));
            row(measurement, speeds, ratio.unwrap_or_default())
        })
        .collect();
    aligned(&header, &rows)
}

fn latency_table(
    corner: &str,
    measurements: &[&Measurement],
    of: impl Fn(&Series) -> (f64, f64),
) -> String {
    let mut header = header(corner, measurements);
    header.extend(["ratio".to_owned(), "requests".to_owned()]);
    let rows: Vec<Vec<String>> = measurements
        .iter()
        .map(|measurement| {
            let times: Vec<(f64, f64)> = measurement.series.iter().map(&of).collect();
            let cells = times
                .iter()
                .map(|(p50, p90)| format!("{p50:.1} / {p90:.1} ms"));
            let ratio = match &times[..] {
                [own, other, ..] => {
                    format!("**{:.2}** / **{:.2}**", own.0 / other.0, own.1 / other.1)
                }
                _ => String::new(),
            };
            let requests = measurement
                .series
                .iter()
                .map(|series| series.latency.requests)
                .min()
                .unwrap_or_default();
            let mut row = row(measurement, cells, ratio);
            row.push(requests.to_string());
            row
        })
        .collect();
    aligned(&header, &rows)
}

/// Errors, memory, and time outside of the forward pass.
fn further_table(measurements: &[&Measurement]) -> String {
    let mut header = header("peak memory", measurements);
    header.extend(["errors", "mlxm outside the forward pass"].map(str::to_owned));
    let rows: Vec<Vec<String>> = measurements
        .iter()
        .map(|measurement| {
            let peaks = measurement
                .series
                .iter()
                .map(|series| show(Unit::Bytes, &series.peak_rss_bytes));
            let errors: Vec<String> = measurement
                .series
                .iter()
                .map(|series| {
                    let samples = series.samples.iter();
                    let errors: usize = samples.map(|sample| sample.figures.errors).sum();
                    errors.to_string()
                })
                .collect();
            let mut row = row(measurement, peaks, errors.join(" / "));
            let outside = measurement
                .series
                .first()
                .and_then(|series| series.outside_forward);
            row.push(outside.map_or_else(
                || "not counted".to_owned(),
                |share| {
                    format!(
                        "{:.1}% ({:.1}–{:.1})",
                        share.median * 100.0,
                        share.min * 100.0,
                        share.max * 100.0
                    )
                },
            ));
            row
        })
        .collect();
    aligned(&header, &rows)
}

fn row(
    measurement: &Measurement,
    cells: impl Iterator<Item = String>,
    last: String,
) -> Vec<String> {
    [measurement.point.to_string()]
        .into_iter()
        .chain(cells)
        .chain([last])
        .collect()
}

/// How much more 5 clients get than one, where both were measured.
fn scaling(measurements: &[&Measurement]) -> String {
    let closed = |clients| Point::Closed { clients };
    let long = |clients| Point::Long { clients };
    let mixed = factors(measurements, closed(1), closed(5));
    let long = factors(measurements, long(1), long(5));
    let sentence = |what: &str, factors: Option<String>| {
        factors.map_or_else(String::new, |factors| {
            format!("\nOutput of 5 clients over that of one{what}: {factors}.\n")
        })
    };
    sentence("", mixed) + &sentence(", long answers", long)
}

/// The output at `many` over that at `one`, for each server.
fn factors(measurements: &[&Measurement], one: Point, many: Point) -> Option<String> {
    let at = |point: Point| {
        measurements
            .iter()
            .find(|measurement| measurement.point == point)
    };
    let factors: Vec<String> = at(one)?
        .series
        .iter()
        .zip(&at(many)?.series)
        .map(|(one, many)| {
            let factor = many.output_tps.median / one.output_tps.median;
            format!("{} {factor:.2}", one.engine)
        })
        .collect();
    Some(factors.join(", "))
}

/// Every command once, by model and point.
fn commands(results: &Results) -> String {
    let mut commands: Vec<&str> = Vec::new();
    for series in results.measurements.iter().flat_map(|one| &one.series) {
        if !commands.contains(&series.command.as_str()) {
            commands.push(&series.command);
        }
    }
    format!("```sh\n{}\n```\n", commands.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::super::figures::Figures;
    use super::super::results::Sample;
    use super::*;

    fn sample(output_tps: f64, ttft_ms: &[f64]) -> Sample {
        Sample {
            figures: Figures {
                output_tps,
                requests_per_second: output_tps / 50.0,
                answers: ttft_ms.len(),
                prompt_tokens: 100,
                output_tokens: 50,
                errors: 1,
                error: Some("no".to_owned()),
                ttft_ms: ttft_ms.to_vec(),
                inter_token_p50_ms: 10.0,
                inter_token_p90_ms: 10.0,
                inter_token_ms: vec![10.0; 4],
            },
            outside_forward: Some(0.02),
            peak_rss_bytes: 100_000_000,
            wall_seconds: 1.0,
            server_cpu_seconds: 2.0,
            client_cpu_seconds: 0.1,
            other_cpus: Some(0.0),
        }
    }

    fn measurement(clients: usize, ours: &[f64], theirs: &[f64]) -> Measurement {
        let series = [("mlxm", ours), ("other", theirs)].map(|(engine, speeds)| {
            let samples = speeds.iter().map(|speed| sample(*speed, &[100.0, 300.0]));
            let command = format!("{engine} --serve");
            Series::new(engine.to_owned(), command, samples.collect(), 0).unwrap()
        });
        Measurement::new("135M", Point::Closed { clients }, series.into())
    }

    #[test]
    fn figures_stand_beside_their_ratios() {
        let measurements = [
            measurement(1, &[40.0, 50.0, 60.0], &[50.0, 50.0, 50.0]),
            measurement(5, &[150.0, 150.0, 150.0], &[100.0, 100.0, 100.0]),
        ];
        let measurements: Vec<&Measurement> = measurements.iter().collect();
        assert_eq!(
            throughput_table(&measurements),
            "\
| output of all clients |                   mlxm |                  other |                ratio |
| --------------------- | ---------------------: | ---------------------: | -------------------: |
| 1 client              | 50.0 tok/s (40.0–60.0) | 50.0 tok/s (50.0–50.0) | **1.00** (0.80–1.20) |
| 5 clients             |    150 tok/s (150–150) |    100 tok/s (100–100) | **1.50** (1.50–1.50) |
"
        );
        assert_eq!(
            scaling(&measurements),
            "\nOutput of 5 clients over that of one: mlxm 3.00, other 2.00.\n"
        );
        assert_eq!(scaling(&measurements[..1]), "");
        let latency = latency_table("first token", &measurements, |series| {
            (series.latency.ttft_p50_ms, series.latency.ttft_p90_ms)
        });
        assert!(latency.contains("200.0 / 300.0 ms"), "{latency}");
        assert!(
            latency.contains("**1.00** / **1.00**") && latency.contains("        6 |"),
            "{latency}"
        );
        let further = further_table(&measurements);
        assert!(
            further.contains("3 / 3") && further.contains("2.0% (2.0–2.0)"),
            "{further}"
        );
    }
}

//! Server results as Markdown that is also readable on a terminal.

use super::results::{Measurement, Point, Results, Series};
use super::workload::{
    CONTEXT_TOKENS, LONG_OUTPUTS, Lengths, MIXED, REPEATED_CONTEXT_TOKENS, REPEATED_TOKENS,
};
use crate::commands::bench::report::{
    aligned, conditions, engines, line, model_heading, notes, show, show_ratio, unofficial_reasons,
};
use crate::commands::bench::rows::Unit;

const METHOD: &str = "\
The servers take turns, run by run; every second run reverses their order. Each run is a separate process on a free port of \
this machine that loads the model, completes two requests as warm-up, and then gets the requests of the run through streaming \
`/v1/completions`. Both servers get the same requests in the same order; each run has different ones. Every response is \
generated to its full length (`ignore_eos`, temperature 0), and token counts come from the servers' `usage`. The clients are \
threads of one program on the same machine, which open a connection per request and only record when events arrive.

- **closed loop**: a client sends its next request when the previous response is complete, until all requests are sent. \
Output tokens per second are counted over all clients while every client has work, including the initial prompts.
- **long outputs**: the same with short prompts, whose computation is negligible: how much batched decoding brings. A prompt \
keeps all cores busy even alone.
- **open loop**: requests arrive in a Poisson process, independently of earlier responses. Tokens per second are those of the \
whole run; if a server keeps up they follow from the rate.
- **time to first token**: from when a request was due to the first text of its response, over the responses of all runs, \
50th and 90th percentile.
- **inter-token latency**: from one event with text to the next one of the same response, over all responses.
- Tokens per second are the median over the runs with minimum and maximum in parentheses; their ratio is the quotient of the \
medians, with the smallest and largest quotient of paired runs. The ratio of a latency is the quotient of the two values in \
the row; there, mlxm is better below 1.
- **outside the forward pass**: the share of the engine loop's time that is not spent in the model's forward pass, from the \
server's own counters in `/metrics`, while the requests ran.";

/// The whole report.
pub fn markdown(results: &Results) -> String {
    let mut text = String::new();
    let other = results.engines.last().map_or("", |info| &*info.name);
    line(&mut text, format_args!("# mlxm serve vs {other}\n"));
    unofficial_reasons(&mut text, &results.unofficial_reasons);
    conditions(&mut text, &results.conditions);
    engines(&mut text, &results.engines);
    for model in &results.models {
        model_heading(&mut text, model);
        let of_model = |measurement: &&Measurement| measurement.model == model.name;
        let (repeated, measurements): (Vec<&Measurement>, Vec<&Measurement>) = results
            .measurements
            .iter()
            .filter(of_model)
            .partition(|one| one.point == Point::RepeatedPrompt);
        text.push_str(&throughput_table(&measurements));
        text.push_str(&scaling(&measurements));
        text.push('\n');
        text.push_str(&latency_table(
            "time to first token, p50 / p90",
            &measurements,
            |series| (series.latency.ttft_p50_ms, series.latency.ttft_p90_ms),
        ));
        text.push('\n');
        text.push_str(&latency_table(
            "inter-token latency, p50 / p90",
            &measurements,
            |series| {
                (
                    series.latency.inter_token_p50_ms,
                    series.latency.inter_token_p90_ms,
                )
            },
        ));
        text.push('\n');
        text.push_str(&resources_table(&measurements));
        for measurement in repeated {
            text.push('\n');
            text.push_str(&repeated_table(measurement));
        }
    }
    if let Some(regression) = &results.regression {
        text.push_str(&regression.markdown());
    }
    line(
        &mut text,
        format_args!(
            "\n## Method\n\n{METHOD}\n\nPrompts have {}, for long outputs {}, distributed log-uniformly; \
             the context holds {CONTEXT_TOKENS}. A repeated prompt has {REPEATED_TOKENS} tokens, followed by a new question, \
             in a context of {REPEATED_CONTEXT_TOKENS}. Command: `{}`. The JSON file of the same name holds every run.\n",
            lengths(MIXED),
            lengths(LONG_OUTPUTS),
            results.conditions.command
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
        "{} tokens and outputs {}",
        range(lengths.prompt_tokens),
        range(lengths.output_tokens)
    )
}

/// The effect of the prefix cache.
fn repeated_table(measurement: &Measurement) -> String {
    let header = header(
        &format!("time to first token after {REPEATED_TOKENS} tokens, p50"),
        &[measurement],
    );
    let times: Vec<Option<(f64, f64)>> = measurement
        .series
        .iter()
        .map(Series::ttft_first_and_repeated)
        .collect();
    let row = |name: &str, of: &dyn Fn((f64, f64)) -> String| {
        let cells = times.iter().map(|times| times.map_or_else(String::new, of));
        [name.to_owned()].into_iter().chain(cells).collect()
    };
    let rows: [Vec<String>; 3] = [
        row("new prompt", &|(new, _)| format!("{new:.1} ms")),
        row("repeated prompt", &|(_, repeated)| {
            format!("{repeated:.1} ms")
        }),
        row("repeated / new", &|(new, repeated)| {
            format!("**{:.3}**", repeated / new)
        }),
    ];
    aligned(&header, &rows)
}

/// A table header with the engines' names.
fn header(corner: &str, measurements: &[&Measurement]) -> Vec<String> {
    let series = measurements.iter().take(1).flat_map(|one| &one.series);
    let names = series.map(|series| series.engine.clone());
    [corner.to_owned()].into_iter().chain(names).collect()
}

fn throughput_table(measurements: &[&Measurement]) -> String {
    let mut header = header("output tokens", measurements);
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

/// Memory, errors, and time outside of the forward pass.
fn resources_table(measurements: &[&Measurement]) -> String {
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
                    let errors: usize = samples.map(|sample| sample.metrics.errors).sum();
                    errors.to_string()
                })
                .collect();
            let mut row = row(measurement, peaks, errors.join(" / "));
            let outside = measurement
                .series
                .first()
                .and_then(|series| series.outside_forward);
            row.push(outside.map_or_else(
                || "not reported".to_owned(),
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

/// The throughput of 5 clients relative to one, if both were measured.
fn scaling(measurements: &[&Measurement]) -> String {
    let closed = |clients| Point::Closed { clients };
    let long = |clients| Point::Long { clients };
    let mixed = factors(measurements, closed(1), closed(5));
    let long = factors(measurements, long(1), long(5));
    let sentence = |what: &str, factors: Option<String>| {
        factors.map_or_else(String::new, |factors| {
            format!("\nThroughput of 5 clients relative to one{what}: {factors}.\n")
        })
    };
    sentence("", mixed) + &sentence(", long outputs", long)
}

/// The throughput at `many` relative to that at `one`, for each server.
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
    use super::super::results::Sample;
    use super::super::run_metrics::RunMetrics;
    use super::*;

    fn sample(output_tps: f64, ttft_ms: &[f64]) -> Sample {
        Sample {
            metrics: RunMetrics {
                output_tps,
                requests_per_second: output_tps / 50.0,
                completions: ttft_ms.len(),
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
    fn tables_show_values_and_ratios() {
        let measurements = [
            measurement(1, &[40.0, 50.0, 60.0], &[50.0, 50.0, 50.0]),
            measurement(5, &[150.0, 150.0, 150.0], &[100.0, 100.0, 100.0]),
        ];
        let measurements: Vec<&Measurement> = measurements.iter().collect();
        assert_eq!(
            throughput_table(&measurements),
            "\
| output tokens |                   mlxm |                  other |                ratio |
| ------------- | ---------------------: | ---------------------: | -------------------: |
| 1 client      | 50.0 tok/s (40.0–60.0) | 50.0 tok/s (50.0–50.0) | **1.00** (0.80–1.20) |
| 5 clients     |    150 tok/s (150–150) |    100 tok/s (100–100) | **1.50** (1.50–1.50) |
"
        );
        assert_eq!(
            scaling(&measurements),
            "\nThroughput of 5 clients relative to one: mlxm 3.00, other 2.00.\n"
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
        let further = resources_table(&measurements);
        assert!(
            further.contains("3 / 3") && further.contains("2.0% (2.0–2.0)"),
            "{further}"
        );
    }
}

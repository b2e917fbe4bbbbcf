//! The rows of the result: samples with their quantiles and limits.

use crate::commands::bench::report::aligned;
use crate::commands::bench::statistics::quantile;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// The quantile that a limit applies to.
const LIMITED: f64 = 0.95;

/// The unit of the samples, as in `web/bench/rows.ts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Unit {
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "MB")]
    Megabytes,
    #[serde(rename = "count")]
    Count,
}

impl Unit {
    /// The value with its unit.
    fn show(self, value: f64) -> String {
        match self {
            Self::Milliseconds if value > 0.0 && value < 1.0 => format!("{value:.3} ms"),
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::Megabytes => format!("{value:.1} MB"),
            Self::Count => format!("{value:.0}"),
        }
    }
}

/// A row as the page's measurements write it.
#[derive(Debug, Deserialize)]
struct Measured {
    name: String,
    unit: Unit,
    limit: Option<f64>,
    values: Vec<f64>,
}

/// The file that the measurements write.
#[derive(Debug, Deserialize)]
struct MeasuredFile {
    rows: Vec<Measured>,
}

/// A row of the result.
#[derive(Debug, Serialize)]
pub struct Row {
    name: String,
    unit: Unit,
    p50: f64,
    p95: f64,
    /// The most that `p95` may be, if there is a limit.
    limit: Option<f64>,
    /// Every sample, in the order of the runs.
    values: Vec<f64>,
}

impl Row {
    fn is_missed(&self) -> bool {
        self.limit.is_some_and(|limit| self.p95 > limit)
    }
}

impl TryFrom<Measured> for Row {
    type Error = anyhow::Error;

    fn try_from(measured: Measured) -> Result<Self> {
        let Measured {
            name,
            unit,
            limit,
            values,
        } = measured;
        let at = |q| quantile(&values, q).with_context(|| format!("\"{name}\" has no samples"));
        Ok(Self {
            p50: at(0.5)?,
            p95: at(LIMITED)?,
            name,
            unit,
            limit,
            values,
        })
    }
}

/// The rows in the text of the file that the measurements write.
///
/// # Errors
/// If it is not such a file, or has no rows or a row without samples.
pub fn parse(text: &str) -> Result<Vec<Row>> {
    let file: MeasuredFile =
        serde_json::from_str(text).context("the measured rows are not as expected")?;
    if file.rows.is_empty() {
        bail!("nothing was measured");
    }
    file.rows.into_iter().map(Row::try_from).collect()
}

/// The names of rows that miss their limits, with what was measured.
pub fn missed(rows: &[Row]) -> Vec<String> {
    rows.iter()
        .filter(|row| row.is_missed())
        .map(|row| format!("{} (p95 {})", row.name, row.unit.show(row.p95)))
        .collect()
}

/// The rows as a Markdown table.
pub fn table(rows: &[Row]) -> String {
    let header = ["", "p50", "p95", "limit", "", "samples"].map(str::to_owned);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let limit = row.limit.map(|limit| row.unit.show(limit));
            let verdict = match row.limit {
                None => "",
                Some(_) if row.is_missed() => "**missed**",
                Some(_) => "met",
            };
            vec![
                row.name.clone(),
                row.unit.show(row.p50),
                row.unit.show(row.p95),
                limit.map_or_else(String::new, |limit| format!("≤ {limit}")),
                verdict.to_owned(),
                row.values.len().to_string(),
            ]
        })
        .collect();
    aligned(&header, &cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"rows": [
        {"name": "paint", "unit": "ms", "limit": 300, "values": [200, 100, 150]},
        {"name": "search", "unit": "ms", "limit": 100, "values": [90, 110]},
        {"name": "event", "unit": "ms", "limit": null, "values": [0.0625]},
        {"name": "streams", "unit": "count", "limit": 1, "values": [1]},
        {"name": "heap", "unit": "MB", "limit": 20, "values": [-0.5]}
    ]}"#;

    #[test]
    fn table_has_quantiles_and_says_which_limits_are_missed() {
        let rows = parse(FILE).unwrap();
        assert_eq!(
            table(&rows),
            "\
|         |      p50 |      p95 |      limit |            | samples |
| ------- | -------: | -------: | ---------: | ---------: | ------: |
| paint   | 150.0 ms | 195.0 ms | ≤ 300.0 ms |        met |       3 |
| search  | 100.0 ms | 109.0 ms | ≤ 100.0 ms | **missed** |       2 |
| event   | 0.062 ms | 0.062 ms |            |            |       1 |
| streams |        1 |        1 |        ≤ 1 |        met |       1 |
| heap    |  -0.5 MB |  -0.5 MB |  ≤ 20.0 MB |        met |       1 |
"
        );
        assert_eq!(missed(&rows), ["search (p95 109.0 ms)"]);
    }

    #[test]
    fn rows_without_samples_or_with_other_values_are_errors() {
        let error = |text: &str| format!("{:#}", parse(text).unwrap_err());
        assert_eq!(error(r#"{"rows": []}"#), "nothing was measured");
        let row =
            |values: &str| format!(r#"{{"rows": [{{"name": "a", "unit": "ms", {values}}}]}}"#);
        assert_eq!(
            error(&row(r#""limit": 1, "values": []"#)),
            "\"a\" has no samples"
        );
        // What JSON has for values that are no numbers.
        assert!(error(&row(r#""limit": 1, "values": [null]"#)).contains("not as expected"));
    }
}

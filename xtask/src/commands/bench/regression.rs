//! Whether mlxm is as fast as an earlier build of it.

use super::report::{aligned, line};
use super::statistics::{Ratio, geometric_mean};
use anyhow::{Result, bail};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Paired runs of each build per row.
pub const PAIRS: usize = 9;

/// The geometric mean of all rows' speed ratios that passes.
const MIN_GEOMETRIC_MEAN: f64 = 0.99;

/// The speed ratio of a single row that passes.
const MIN_ROW: f64 = 0.96;

/// The value of `--vs` that names an earlier build starts with this.
const PREFIX: &str = "mlxm=";

/// The path in `mlxm=PATH`.
pub fn parse_baseline(value: &str) -> Option<PathBuf> {
    value.strip_prefix(PREFIX).map(Path::new).map(Into::into)
}

/// The speed of this build relative to the baseline.
#[derive(Debug, PartialEq, Serialize)]
pub struct RegressionCheck {
    pub baseline: String,
    pub rows: Vec<RowSpeed>,
    pub geometric_mean: f64,
    pub min_geometric_mean: f64,
    pub min_row: f64,
    pub passed: bool,
}

/// The relative speed in one row.
#[derive(Debug, PartialEq, Serialize)]
pub struct RowSpeed {
    pub model: &'static str,
    pub row: String,
    /// Median over the paired runs; above 1 this build is faster or needs less memory.
    pub ratio: f64,
}

impl RowSpeed {
    /// `lower_is_better` for values that are times or sizes.
    pub fn new(model: &'static str, row: String, ratio: &Ratio, lower_is_better: bool) -> Self {
        Self {
            model,
            row,
            ratio: if lower_is_better {
                1.0 / ratio.median_pair
            } else {
                ratio.median_pair
            },
        }
    }
}

impl RegressionCheck {
    /// `None` without rows.
    pub fn new(baseline: &str, rows: Vec<RowSpeed>) -> Option<Self> {
        let ratios: Vec<f64> = rows.iter().map(|row| row.ratio).collect();
        let geometric_mean = geometric_mean(&ratios)?;
        Some(Self {
            baseline: baseline.to_owned(),
            passed: geometric_mean >= MIN_GEOMETRIC_MEAN
                && ratios.iter().all(|ratio| *ratio >= MIN_ROW),
            rows,
            geometric_mean,
            min_geometric_mean: MIN_GEOMETRIC_MEAN,
            min_row: MIN_ROW,
        })
    }

    /// A section of the report.
    pub fn markdown(&self) -> String {
        let header = ["model", "row", "median ratio", "passed"].map(str::to_owned);
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| {
                vec![
                    row.model.to_owned(),
                    row.row.clone(),
                    format!("{:.3}", row.ratio),
                    verdict(row.ratio >= MIN_ROW).to_owned(),
                ]
            })
            .collect();
        let mut text = String::new();
        line(
            &mut text,
            format_args!("\n## Speed relative to {}\n", self.baseline),
        );
        text.push_str(&aligned(&header, &rows));
        line(
            &mut text,
            format_args!(
                "\nGeometric mean {:.3} (required: {MIN_GEOMETRIC_MEAN}), slowest row {:.3} (required: {MIN_ROW}): **{}**. \
                 A ratio is the median over the paired runs; times and sizes are inverted, so above 1 this build is better.",
                self.geometric_mean,
                self.slowest(),
                if self.passed { "passed" } else { "failed" }
            ),
        );
        text
    }

    /// An error if the check failed.
    pub fn require_passed(&self) -> Result<()> {
        if !self.passed {
            bail!(
                "slower than {}: geometric mean {:.3} (required: {MIN_GEOMETRIC_MEAN}), slowest row {:.3} (required: {MIN_ROW})",
                self.baseline,
                self.geometric_mean,
                self.slowest()
            );
        }
        Ok(())
    }

    fn slowest(&self) -> f64 {
        self.rows
            .iter()
            .map(|row| row.ratio)
            .fold(f64::INFINITY, f64::min)
    }
}

fn verdict(passed: bool) -> &'static str {
    if passed { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(median_pair: f64) -> Ratio {
        Ratio {
            of_medians: 1.0,
            median_pair,
            smallest_pair: 0.5,
            largest_pair: 2.0,
        }
    }

    fn check(ratios: &[f64]) -> RegressionCheck {
        let rows = ratios
            .iter()
            .map(|value| RowSpeed::new("135M", "decode".to_owned(), &ratio(*value), false))
            .collect();
        RegressionCheck::new("mlxm-baseline", rows).unwrap()
    }

    #[test]
    fn check_requires_the_mean_and_every_row() {
        assert!(check(&[1.0, 0.985]).passed);
        assert!(!check(&[0.98, 0.98]).passed);
        assert!(!check(&[1.3, 0.95]).passed);
        assert!(check(&[0.98, 0.98]).require_passed().is_err());
        assert_eq!(RegressionCheck::new("mlxm-baseline", Vec::new()), None);
    }

    #[test]
    fn lower_values_are_better_for_times() {
        let row = RowSpeed::new("135M", "load".to_owned(), &ratio(0.5), true);
        assert_eq!(row.ratio, 2.0);
    }

    #[test]
    fn report_states_the_verdict() {
        let text = check(&[1.0, 0.9]).markdown();
        assert!(text.contains("0.900 |     no"), "{text}");
        assert!(text.contains("**failed**"), "{text}");
    }

    #[test]
    fn baseline_path_follows_the_equals_sign() {
        assert_eq!(parse_baseline("mlxm=a/b"), Some(PathBuf::from("a/b")));
        assert_eq!(parse_baseline("llama.cpp"), None);
    }
}

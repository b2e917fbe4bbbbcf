//! Summary statistics of benchmark samples.

use serde::Serialize;

/// Median and range of some samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Summary {
    /// `None` without samples.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, min, max })
    }
}

/// The `q` quantile of the samples, linearly interpolated; `None` without samples.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let position = q.clamp(0.0, 1.0) * values.len().checked_sub(1)? as f64;
    let below = values[position.floor() as usize];
    let above = values[position.ceil() as usize];
    Some(below + (above - below) * position.fract())
}

/// One engine's samples relative to another's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The quotient of the medians.
    pub of_medians: f64,
    /// The median of the quotients of paired runs, which cancels drift that both engines share.
    pub median_pair: f64,
    /// The smallest quotient of a pair of consecutive runs.
    pub smallest_pair: f64,
    /// The largest quotient of a pair of consecutive runs.
    pub largest_pair: f64,
}

impl Ratio {
    /// `ours[i]` and `theirs[i]` are a pair: two runs made one after the other.
    pub fn of(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        let (own, other) = (
            Summary::of(ours.iter().copied())?,
            Summary::of(theirs.iter().copied())?,
        );
        let pairs = Summary::of(ours.iter().zip(theirs).map(|(own, other)| own / other))?;
        Some(Self {
            of_medians: own.median / other.median,
            median_pair: pairs.median,
            smallest_pair: pairs.min,
            largest_pair: pairs.max,
        })
    }
}

/// The geometric mean of positive values; `None` without values.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let sum_of_logarithms: f64 = values.iter().map(|value| value.ln()).sum();
    (!values.is_empty()).then(|| (sum_of_logarithms / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_averages_the_two_middle_samples() {
        let odd = Summary::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((odd.min, odd.median, odd.max), (1.0, 2.0, 3.0));
        assert_eq!(Summary::of([4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn quantile_interpolates_between_samples() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&values, 0.5), Some(2.5));
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&values, 1.0), Some(4.0));
        assert!((quantile(&values, 0.9).unwrap() - 3.7).abs() < 1e-12);
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn paired_ratios_cancel_shared_drift() {
        let ratio = Ratio::of(&[10.0, 20.0, 40.0], &[5.0, 10.0, 20.0]).unwrap();
        assert_eq!(
            (ratio.of_medians, ratio.smallest_pair, ratio.largest_pair),
            (2.0, 2.0, 2.0)
        );
    }

    #[test]
    fn ratio_of_medians_ignores_one_outlier() {
        let ratio = Ratio::of(&[10.0, 11.0, 1.0], &[10.0, 10.0, 10.0]).unwrap();
        assert_eq!(ratio.of_medians, 1.0);
        assert_eq!(
            (ratio.smallest_pair, ratio.median_pair, ratio.largest_pair),
            (0.1, 1.0, 1.1)
        );
    }

    #[test]
    fn geometric_mean_balances_a_ratio_and_its_inverse() {
        assert!((geometric_mean(&[0.5, 2.0, 8.0]).unwrap() - 2.0).abs() < 1e-12);
        assert_eq!(geometric_mean(&[]), None);
    }
}

//! Samples to the numbers of a table.

use serde::Serialize;

/// The middle and the ends of some samples.
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

/// The value that a share `q` of the samples does not exceed, between two samples in proportion; `None` without samples.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = q.clamp(0.0, 1.0) * values.len().checked_sub(1)? as f64;
    let below = values[place.floor() as usize];
    let above = values[place.ceil() as usize];
    Some(below + (above - below) * place.fract())
}

/// How one engine compares with another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The quotient of the medians.
    pub of_medians: f64,
    /// The smallest quotient of two runs that followed each other.
    pub smallest_pair: f64,
    /// The largest one.
    pub largest_pair: f64,
}

impl Ratio {
    /// `ours` and `theirs` hold the runs in the order they were made, which alternated.
    pub fn of(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        let (own, other) = (
            Summary::of(ours.iter().copied())?,
            Summary::of(theirs.iter().copied())?,
        );
        let pairs = Summary::of(ours.iter().zip(theirs).map(|(own, other)| own / other))?;
        Some(Self {
            of_medians: own.median / other.median,
            smallest_pair: pairs.min,
            largest_pair: pairs.max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        let odd = Summary::of([3.0, 1.0, 2.0]).unwrap();
        assert_eq!((odd.min, odd.median, odd.max), (1.0, 2.0, 3.0));
        assert_eq!(Summary::of([4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn quantiles_lie_between_samples() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&values, 0.5), Some(2.5));
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&values, 1.0), Some(4.0));
        assert!((quantile(&values, 0.9).unwrap() - 3.7).abs() < 1e-12);
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_drift_both_engines_share_does_not_widen_the_pairs() {
        let ratio = Ratio::of(&[10.0, 20.0, 40.0], &[5.0, 10.0, 20.0]).unwrap();
        assert_eq!(
            (ratio.of_medians, ratio.smallest_pair, ratio.largest_pair),
            (2.0, 2.0, 2.0)
        );
    }

    #[test]
    fn the_ratio_is_that_of_the_medians_and_one_outlier_only_shows_in_the_pairs() {
        let ratio = Ratio::of(&[10.0, 11.0, 1.0], &[10.0, 10.0, 10.0]).unwrap();
        assert_eq!(ratio.of_medians, 1.0);
        assert_eq!((ratio.smallest_pair, ratio.largest_pair), (0.1, 1.1));
    }
}

//! Throughput and latency from token timestamps.

use std::time::Duration;

/// Token timestamps of a request, relative to the submission of its batch.
#[derive(Debug, Clone)]
pub struct Timing {
    /// One for each received delta.
    pub times: Vec<Duration>,
    /// Mean tokens per delta: 1 in this process, possibly more from a server.
    pub tokens_per_delta: f64,
}

/// Throughput and latency of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Speeds {
    pub prefill_tps: f64,
    pub decode_tps: f64,
    pub ttft_ms: f64,
}

impl Speeds {
    /// Computes them for a batch with `prompt_tokens` in all prompts together.
    pub fn of(timings: &[Timing], prompt_tokens: usize) -> Self {
        let seconds = |time: Option<&Duration>| time.map(Duration::as_secs_f64);
        let firsts: Vec<f64> = timings
            .iter()
            .filter_map(|timing| seconds(timing.times.first()))
            .collect();
        let lasts: Vec<f64> = timings
            .iter()
            .filter_map(|timing| seconds(timing.times.last()))
            .collect();
        let smallest = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = |times: &[f64]| times.iter().copied().fold(0.0, f64::max);
        // A token received at `from` was computed before.
        let rate = |from: f64, to: f64| {
            let tokens = |timing: &Timing| {
                let within = |time: &&Duration| {
                    let time = time.as_secs_f64();
                    time > from && time <= to
                };
                timing.times.iter().filter(within).count() as f64 * timing.tokens_per_delta
            };
            timings.iter().map(tokens).sum::<f64>() / (to - from)
        };
        let (all_started, first_ended) = (largest(&firsts), smallest(&lasts));
        // If the first request ends before the last one has its first token, they never all decode at the same time;
        // use the time from the first token to the last one instead.
        let decode_tps = if first_ended > all_started {
            rate(all_started, first_ended)
        } else {
            rate(smallest(&firsts), largest(&lasts))
        };
        Self {
            prefill_tps: prompt_tokens as f64 / all_started,
            decode_tps: if decode_tps.is_finite() {
                decode_tps
            } else {
                0.0
            },
            ttft_ms: 1e3 * firsts.iter().sum::<f64>() / firsts.len().max(1) as f64,
        }
    }
}

/// The median; 0 without values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        length if length % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(times: &[f64]) -> Timing {
        let times = times.iter();
        Timing {
            times: times.map(|time| Duration::from_secs_f64(*time)).collect(),
            tokens_per_delta: 1.0,
        }
    }

    #[test]
    fn decode_speed_is_measured_while_all_requests_decode() {
        let timings = [
            seconds(&[1.0, 1.5, 2.5, 3.5]),
            seconds(&[2.0, 3.0, 4.0, 5.0]),
        ];
        let speeds = Speeds::of(&timings, 200);
        assert!((speeds.prefill_tps - 100.0).abs() < 1e-9);
        assert!((speeds.ttft_ms - 1500.0).abs() < 1e-9);
        // Between 2.0 and 3.5: 2.5 and 3.5 of the first, 3.0 of the second.
        assert!((speeds.decode_tps - 2.0).abs() < 1e-9, "{speeds:?}");
    }

    #[test]
    fn deltas_of_several_tokens_count_as_several() {
        let mut timing = seconds(&[1.0, 2.0, 3.0]);
        timing.tokens_per_delta = 1.5;
        assert!((Speeds::of(&[timing], 1).decode_tps - 1.5).abs() < 1e-9);
    }

    #[test]
    fn requests_that_never_overlap_have_a_decode_speed() {
        let timings = [seconds(&[1.0, 2.0]), seconds(&[3.0, 4.0])];
        assert!((Speeds::of(&timings, 1).decode_tps - 1.0).abs() < 1e-9);
        assert_eq!(Speeds::of(&[seconds(&[1.0])], 1).decode_tps, 0.0);
    }

    #[test]
    fn median_averages_the_two_middle_values() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
    }
}

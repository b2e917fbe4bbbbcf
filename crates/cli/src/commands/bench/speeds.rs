//! From the times of tokens to speeds.

use std::time::Duration;

/// When the tokens of a request came, since the requests of its batch were submitted.
#[derive(Debug, Clone)]
pub struct Timing {
    /// One for each piece that came.
    pub times: Vec<Duration>,
    /// Tokens of a piece, which is one in this process and may be more from a server.
    pub tokens_per_piece: f64,
}

/// What is measured of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Speeds {
    pub prefill_tps: f64,
    pub decode_tps: f64,
    pub ttft_ms: f64,
}

impl Speeds {
    /// Of a batch with so many tokens in all prompts.
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
        // A token that comes at `from` was computed before.
        let rate = |from: f64, to: f64| {
            let tokens = |timing: &Timing| {
                let within = |time: &&Duration| {
                    let time = time.as_secs_f64();
                    time > from && time <= to
                };
                timing.times.iter().filter(within).count() as f64 * timing.tokens_per_piece
            };
            timings.iter().map(tokens).sum::<f64>() / (to - from)
        };
        let (all_started, first_ended) = (largest(&firsts), smallest(&lasts));
        // When the first request ends before the last one starts, all of them never generate together: then the rate
        // from the first token to the last one is what there is.
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

/// The middle value, or the one between the two middles.
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
            tokens_per_piece: 1.0,
        }
    }

    #[test]
    fn speeds_come_from_the_time_when_all_generate() {
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
    fn pieces_of_several_tokens_count_as_such() {
        let mut timing = seconds(&[1.0, 2.0, 3.0]);
        timing.tokens_per_piece = 1.5;
        assert!((Speeds::of(&[timing], 1).decode_tps - 1.5).abs() < 1e-9);
    }

    #[test]
    fn requests_that_never_overlap_still_have_a_rate() {
        let timings = [seconds(&[1.0, 2.0]), seconds(&[3.0, 4.0])];
        assert!((Speeds::of(&timings, 1).decode_tps - 1.0).abs() < 1e-9);
        assert_eq!(Speeds::of(&[seconds(&[1.0])], 1).decode_tps, 0.0);
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
    }
}

//! What is asked of the servers: the same requests in the same order for both, from a seed.

use std::time::Duration;

/// Words that the tokenizer of the models has as one token each, with the space before them.
const WORDS: [&str; 64] = [
    "time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world",
    "school", "state", "family", "student", "group", "country", "problem", "hand", "part", "place",
    "case", "week", "company", "system", "program", "question", "work", "number", "night", "point",
    "home", "water", "room", "mother", "area", "money", "story", "fact", "month", "lot", "right",
    "study", "book", "eye", "job", "word", "business", "issue", "side", "kind", "head", "house",
    "service", "friend", "father", "power", "hour", "game", "line", "end", "member", "law", "car",
];

/// Tokens of a prompt.
pub const PROMPT_TOKENS: (usize, usize) = (32, 512);

/// Tokens of an answer.
pub const OUTPUT_TOKENS: (usize, usize) = (16, 128);

/// A context that every request fits into, with room for what a tokenizer adds.
pub const CONTEXT_TOKENS: usize = 1024;

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub prompt: String,
    /// As many as are generated, since the servers are told to go on behind the end of a sequence.
    pub output_tokens: usize,
}

/// `count` requests. Lengths are spread evenly over their logarithm, so that short ones are more frequent, as in real
/// traffic; no prompt begins like another, so that no cache helps.
pub fn requests(seed: u64, count: usize) -> Vec<Request> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count)
        .map(|_| {
            let words = log_uniform(&mut random, PROMPT_TOKENS);
            let prompt: Vec<&str> = (0..words)
                .map(|_| WORDS[random.usize(..WORDS.len())])
                .collect();
            Request {
                prompt: prompt.join(" "),
                output_tokens: log_uniform(&mut random, OUTPUT_TOKENS),
            }
        })
        .collect()
}

/// When each of `count` requests arrives, counted from the start, if `rate` of them arrive per second on average and
/// independently of each other (a Poisson process).
pub fn arrivals(seed: u64, rate: f64, count: usize) -> Vec<Duration> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut at = 0.0;
    (0..count)
        .map(|_| {
            // 1 − x is above 0, so its logarithm is finite.
            at -= (1.0 - random.f64()).ln() / rate;
            Duration::from_secs_f64(at)
        })
        .collect()
}

fn log_uniform(random: &mut fastrand::Rng, (least, most): (usize, usize)) -> usize {
    let (low, high) = ((least as f64).ln(), (most as f64).ln());
    let value = (low + (high - low) * random.f64()).exp();
    (value.round() as usize).clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_requests() {
        assert_eq!(requests(7, 50), requests(7, 50));
        assert_ne!(requests(7, 50), requests(8, 50));
        assert_eq!(requests(7, 50)[..20], requests(7, 20));
        assert_eq!(arrivals(7, 2.0, 9), arrivals(7, 2.0, 9));
    }

    #[test]
    fn lengths_are_mixed_within_their_limits() {
        let requests = requests(1, 500);
        let words = |request: &Request| request.prompt.split(' ').count();
        for request in &requests {
            assert!((PROMPT_TOKENS.0..=PROMPT_TOKENS.1).contains(&words(request)));
            assert!((OUTPUT_TOKENS.0..=OUTPUT_TOKENS.1).contains(&request.output_tokens));
        }
        // Half of the prompts are shorter than the geometric mean of the limits, 128.
        let short = requests.iter().filter(|one| words(one) < 128).count();
        assert!((200..300).contains(&short), "{short}");
        assert!(requests.iter().any(|one| words(one) > 400));
        assert!(requests.iter().any(|one| one.output_tokens > 100));
    }

    #[test]
    fn prompts_soon_differ() {
        let mut beginnings: Vec<String> = requests(3, 256)
            .into_iter()
            .map(|request| request.prompt.split(' ').take(8).collect())
            .collect();
        beginnings.sort();
        beginnings.dedup();
        assert_eq!(beginnings.len(), 256);
    }

    #[test]
    fn arrivals_come_at_the_rate_and_irregularly() {
        let times = arrivals(5, 4.0, 2000);
        assert!(times.is_sorted());
        let rate = times.len() as f64 / times[1999].as_secs_f64();
        assert!((rate / 4.0 - 1.0).abs() < 0.1, "{rate}");
        // Times between the events of a Poisson process have a standard deviation like their mean.
        let gaps: Vec<f64> = times
            .windows(2)
            .map(|pair| pair[1].saturating_sub(pair[0]).as_secs_f64())
            .collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.15);
    }
}

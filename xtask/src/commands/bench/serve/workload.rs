//! The requests: the same for both servers and in the same order, generated from a seed.

use std::time::Duration;

/// Words that are one token each in the models' tokenizer, together with the preceding space.
const WORDS: [&str; 64] = [
    "time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world",
    "school", "state", "family", "student", "group", "country", "problem", "hand", "part", "place",
    "case", "week", "company", "system", "program", "question", "work", "number", "night", "point",
    "home", "water", "room", "mother", "area", "money", "story", "fact", "month", "lot", "right",
    "study", "book", "eye", "job", "word", "business", "issue", "side", "kind", "head", "house",
    "service", "friend", "father", "power", "hour", "game", "line", "end", "member", "law", "car",
];

/// Minimum and maximum tokens of prompts and of outputs, distributed log-uniformly: short ones are more frequent, as in
/// real traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    pub prompt_tokens: (usize, usize),
    pub output_tokens: (usize, usize),
}

/// The mix of short and long requests.
pub const MIXED: Lengths = Lengths {
    prompt_tokens: (32, 512),
    output_tokens: (16, 128),
};

/// Short prompts with long outputs, which take nearly all of the time.
pub const LONG_OUTPUTS: Lengths = Lengths {
    prompt_tokens: (16, 48),
    output_tokens: (128, 128),
};

/// A context that every request fits into, special tokens included.
pub const CONTEXT_TOKENS: usize = 1024;

/// Tokens of a repeated prompt, and the context that it fits into.
pub const REPEATED_TOKENS: usize = 2000;
pub const REPEATED_CONTEXT_TOKENS: usize = 2304;

/// Tokens of the question after a repeated prompt, and of the output.
const QUESTION_TOKENS: usize = 16;
const REPEATED_OUTPUT_TOKENS: usize = 16;

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub prompt: String,
    /// Exactly as many are generated: the end of sequence is ignored.
    pub output_tokens: usize,
}

/// `count` requests without common prefixes, so that prefix caching has no effect.
pub fn requests(lengths: Lengths, seed: u64, count: usize) -> Vec<Request> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count)
        .map(|_| {
            let length = log_uniform(&mut random, lengths.prompt_tokens);
            Request {
                prompt: words(&mut random, length),
                output_tokens: log_uniform(&mut random, lengths.output_tokens),
            }
        })
        .collect()
}

/// `count` pairs of requests: a new long prompt, and the same one followed by another question.
pub fn repeated_requests(seed: u64, count: usize) -> Vec<Request> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut requests = Vec::with_capacity(2 * count);
    for _ in 0..count {
        let text = words(&mut random, REPEATED_TOKENS);
        for _ in 0..2 {
            let question = words(&mut random, QUESTION_TOKENS);
            requests.push(Request {
                prompt: format!("{text} {question}"),
                output_tokens: REPEATED_OUTPUT_TOKENS,
            });
        }
    }
    requests
}

/// `count` words of one token each.
fn words(random: &mut fastrand::Rng, count: usize) -> String {
    let words: Vec<&str> = (0..count)
        .map(|_| WORDS[random.usize(..WORDS.len())])
        .collect();
    words.join(" ")
}

/// Arrival times of `count` requests since the start, from a Poisson process of `rate` requests per second.
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
    fn requests_are_determined_by_the_seed() {
        assert_eq!(requests(MIXED, 7, 50), requests(MIXED, 7, 50));
        assert_ne!(requests(MIXED, 7, 50), requests(MIXED, 8, 50));
        assert_eq!(requests(MIXED, 7, 50)[..20], requests(MIXED, 7, 20));
        assert_eq!(arrivals(7, 2.0, 9), arrivals(7, 2.0, 9));
    }

    #[test]
    fn lengths_are_log_uniform_within_their_limits() {
        let requests = requests(MIXED, 1, 500);
        let words = |request: &Request| request.prompt.split(' ').count();
        for request in &requests {
            assert!((32..=512).contains(&words(request)));
            assert!((16..=128).contains(&request.output_tokens));
        }
        // Half of the prompts are shorter than the geometric mean of the limits, 128.
        let short = requests.iter().filter(|one| words(one) < 128).count();
        assert!((200..300).contains(&short), "{short}");
        assert!(requests.iter().any(|one| words(one) > 400));
        assert!(requests.iter().any(|one| one.output_tokens > 100));
    }

    #[test]
    fn repeated_prompt_differs_only_in_its_question() {
        let requests = repeated_requests(1, 2);
        let (first, again) = (&requests[0].prompt, &requests[1].prompt);
        let shared = first.split(' ').zip(again.split(' '));
        let shared = shared.take_while(|(one, other)| one == other).count();
        assert!(
            (REPEATED_TOKENS..REPEATED_TOKENS + 4).contains(&shared),
            "{shared}"
        );
        assert_ne!(first, again);
        assert_ne!(first[..200], requests[2].prompt[..200]);
        assert!(first.split(' ').count() + REPEATED_OUTPUT_TOKENS < REPEATED_CONTEXT_TOKENS);
    }

    #[test]
    fn prompts_have_no_common_prefix() {
        let mut beginnings: Vec<String> = requests(MIXED, 3, 256)
            .into_iter()
            .map(|request| request.prompt.split(' ').take(8).collect())
            .collect();
        beginnings.sort();
        beginnings.dedup();
        assert_eq!(beginnings.len(), 256);
    }

    #[test]
    fn arrivals_form_a_poisson_process() {
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

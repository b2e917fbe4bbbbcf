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

/// Least and most tokens of prompts and of answers, spread evenly over their logarithm, so that short ones are more
/// frequent, as in real traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    pub prompt_tokens: (usize, usize),
    pub output_tokens: (usize, usize),
}

/// What clients of all kinds ask for.
pub const MIXED: Lengths = Lengths {
    prompt_tokens: (32, 512),
    output_tokens: (16, 128),
};

/// Questions whose answers take nearly all of the time.
pub const LONG_ANSWERS: Lengths = Lengths {
    prompt_tokens: (16, 48),
    output_tokens: (128, 128),
};

/// A context that every request fits into, with room for what a tokenizer adds.
pub const CONTEXT_TOKENS: usize = 1024;

/// A prompt that comes again, and the context that it fits into.
pub const REPEATED_TOKENS: usize = 2000;
pub const REPEATED_CONTEXT_TOKENS: usize = 2304;

/// What is asked behind a prompt that comes again, and the length of the answer.
const QUESTION_TOKENS: usize = 16;
const ANSWER_TOKENS: usize = 16;

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub prompt: String,
    /// As many as are generated, since the servers are told to go on behind the end of a sequence.
    pub output_tokens: usize,
}

/// `count` requests. No prompt begins like another, so that no cache helps.
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

/// `count` pairs of requests: a long prompt that is new, and the same one with another question behind it.
pub fn repeated_requests(seed: u64, count: usize) -> Vec<Request> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut requests = Vec::with_capacity(2 * count);
    for _ in 0..count {
        let text = words(&mut random, REPEATED_TOKENS);
        for _ in 0..2 {
            let question = words(&mut random, QUESTION_TOKENS);
            requests.push(Request {
                prompt: format!("{text} {question}"),
                output_tokens: ANSWER_TOKENS,
            });
        }
    }
    requests
}

/// So many words, of a token each.
fn words(random: &mut fastrand::Rng, count: usize) -> String {
    let words: Vec<&str> = (0..count)
        .map(|_| WORDS[random.usize(..WORDS.len())])
        .collect();
    words.join(" ")
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
        assert_eq!(requests(MIXED, 7, 50), requests(MIXED, 7, 50));
        assert_ne!(requests(MIXED, 7, 50), requests(MIXED, 8, 50));
        assert_eq!(requests(MIXED, 7, 50)[..20], requests(MIXED, 7, 20));
        assert_eq!(arrivals(7, 2.0, 9), arrivals(7, 2.0, 9));
    }

    #[test]
    fn lengths_are_mixed_within_their_limits() {
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
    fn a_repeated_prompt_differs_in_its_question_alone() {
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
        assert!(first.split(' ').count() + ANSWER_TOKENS < REPEATED_CONTEXT_TOKENS);
    }

    #[test]
    fn prompts_soon_differ() {
        let mut beginnings: Vec<String> = requests(MIXED, 3, 256)
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

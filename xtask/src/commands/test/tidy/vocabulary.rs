//! Words that must not occur because the field has a standard term for them.

use std::path::Path;

/// File name extensions of the files that are checked.
const EXTENSIONS: &[&str] = &["rs", "md", "py", "pyi", "toml", "yml"];

/// Words in any case, alone or as part of an identifier, and the terms to use instead.
const WORDS: &[(&str, &str)] = &[
    ("amplitude", "attention factor"),
    ("answers cancelled", "aborted requests"),
    ("aside", "in the background"),
    ("behind", "after"),
    ("beside", "next to, in addition to"),
    ("besides", "in addition"),
    ("chore", "task"),
    ("chores", "tasks"),
    ("compute apart", "retry individually"),
    ("deaf", "ignoring"),
    ("findable", "in the prefix cache"),
    ("foresight", "prefetch"),
    ("form grammar", "response grammar"),
    ("gave way", "was preempted"),
    ("give way", "be preempted"),
    ("gives way", "is preempted"),
    ("graphics processor", "GPU"),
    ("head norms", "QK norms"),
    ("held to a form", "structured output"),
    ("in its own words", "the exact message or format"),
    ("in own words", "the exact message or format"),
    ("in tiles", "repacked"),
    ("is told", "receives"),
    ("are told", "receive"),
    ("was told", "received"),
    ("told apart", "distinguished"),
    ("let ahead", "preempt for priority"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("mends", "fixes"),
    ("nobody", "no one, or name what is missing"),
    ("patience", "timeout, retry policy or max skips"),
    ("processor", "CPU"),
    ("processors", "CPUs"),
    ("project activated", "linear_act"),
    ("project gated", "gated_linear"),
    ("project onto", "linear_add"),
    ("queue seconds", "request_queue_time_seconds"),
    ("refuse", "reject, return an error"),
    ("refused", "rejected"),
    ("refuses", "rejects, returns an error"),
    ("refusing", "rejecting"),
    ("rotate and store", "rope_and_cache"),
    (
        "settle",
        "the concrete operation, such as promoting huge pages",
    ),
    ("settled", "decided"),
    ("settles", "decides"),
    ("sharpness", "inverse temperature"),
    ("start waiting", "admit waiting"),
    ("strangers", "unrelated requests or other programs"),
    ("surroundings", "environment"),
    ("taken apart", "parsed"),
    ("takes apart", "parses"),
    ("theatre", "a test that cannot fail"),
    ("unsent", "pending"),
    ("unused slots", "internal fragmentation"),
    ("visible tokens", "keep_special_tokens"),
    ("who asks", "the client or the caller"),
];

/// Identifiers in Rust code, in exactly this case.
const IDENTIFIERS: &[(&str, &str)] = &[
    ("Acceptance::Open", "Acceptance::Continue"),
    ("Acceptance::Complete", "Acceptance::Terminated"),
    ("Advised", "an error with a hint"),
    ("Arrived", "RequestStart"),
    ("Asked", "IdAndQuery"),
    ("Bell", "Waker"),
    ("DotLevel", "Int8DotLevel"),
    ("EndReason", "FinishReason"),
    ("Ended", "FinishReason"),
    ("Ending", "FinishReason"),
    ("FREED", "NULL"),
    ("GateUp::Joined", "GateUp::Fused"),
    ("GroupLoad", "CacheGroupStats"),
    ("KvType", "KvCacheDtype"),
    ("LoadReport", "EngineStats"),
    ("Making", "ResponseBuilder"),
    ("Match::Unsure", "Match::Incomplete"),
    ("Official", "FieldPolicy"),
    ("Opened", "LoadPlan"),
    ("Passing", "Transient"),
    ("Peaks", "block maxima"),
    ("Precision", "ActivationDtype"),
    ("Published", "a snapshot"),
    ("QUESTION_ATTEMPTS", "METADATA_ATTEMPTS"),
    ("ReasoningWatch", "ReasoningTracker"),
    ("Recorded", "ModelMetadata"),
    ("Statistics", "RequestMetrics"),
    ("Step::More", "Step::NeedMoreInput"),
    ("Told", "a named source"),
    ("Turns", "RopeCosSin"),
    ("Understood", "ParsedRequest"),
    ("bare_opening", "undelimited_start"),
    ("become_", "transition"),
    ("dismiss_ended", "reap_finished"),
    ("divided_by", "logits_scaling"),
    ("give_back", "flush_as_content"),
    ("keep_client_nonces", "keep_billing_header"),
    ("leave_out", "strip"),
    ("means_nothing", "is_noop"),
];

/// Where a word has another, standard meaning.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        word: "refused",
        context: "onnection refused",
        reason: "the name of the system's error ECONNREFUSED",
    },
    Exception {
        word: "refused",
        context: "ConnectionRefused",
        reason: "std::io::ErrorKind::ConnectionRefused",
    },
    Exception {
        word: "behind",
        context: "nothing behind",
        reason: "to leave nothing behind is plain English",
    },
    Exception {
        word: "behind",
        context: "left behind",
        reason: "plain English",
    },
    Exception {
        word: "behind",
        context: "behind a lock",
        reason: "the usual expression for shared state",
    },
    Exception {
        word: "behind",
        context: "behind a reverse proxy",
        reason: "the usual expression for proxies",
    },
    Exception {
        word: "behind",
        context: "behind the OpenAI",
        reason: "an API in front of a model",
    },
    Exception {
        word: "nobody",
        context: "postgres",
        reason: "a Unix user that can run a Postgres server",
    },
    Exception {
        word: "processor",
        context: "processor\\t: 0",
        reason: "a recorded line of /proc/cpuinfo",
    },
    Exception {
        word: "processor",
        context: "\"processor\"",
        reason: "part of CPU brand names",
    },
    Exception {
        word: "processor",
        context: "ogits processor",
        reason: "a term of transformers",
    },
    Exception {
        word: "processors",
        context: "ogits_processors",
        reason: "a parameter of mlx-lm",
    },
    Exception {
        word: "processor",
        context: "ost_processor",
        reason: "a key of tokenizer.json",
    },
    Exception {
        word: "processor",
        context: "ost-processor",
        reason: "a part of the tokenizers library",
    },
    Exception {
        word: "processors",
        context: "\"processors\": [",
        reason: "a key of tokenizer.json",
    },
    Exception {
        word: "processor",
        context: "processor_config",
        reason: "a file of Hugging Face repositories",
    },
    Exception {
        word: "processor",
        context: "PieceProcessor",
        reason: "a class of the sentencepiece library",
    },
    Exception {
        word: "processor",
        context: "processor.is_",
        reason: "methods of a SentencePieceProcessor",
    },
];

/// Files that are not checked.
const EXCLUDED: &[(&str, &str)] = &[
    (
        "xtask/src/commands/test/tidy/vocabulary.rs",
        "lists the words",
    ),
    (
        "benches/results/",
        "recorded results are not edited afterwards",
    ),
];

/// Text around a word that makes it acceptable.
struct Exception {
    word: &'static str,
    /// Must occur in the same line.
    context: &'static str,
    #[expect(dead_code, reason = "documents the entry")]
    reason: &'static str,
}

/// A word in a line and what to use instead of it.
pub type Hit = (&'static str, &'static str);

/// Whether the file is checked.
pub fn applies_to(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    EXTENSIONS.contains(&&*extension)
        && !EXCLUDED
            .iter()
            .any(|(excluded, _)| path.to_string_lossy().starts_with(excluded))
}

/// The words of the list that occur in a line.
pub fn find(line: &str, is_rust: bool) -> Vec<Hit> {
    let words = split_words(line).join(" ");
    let by_word = WORDS
        .iter()
        .filter(|(word, _)| contains_identifier(&words, word));
    let code = if is_rust {
        line.split("//").next().unwrap_or_default()
    } else {
        ""
    };
    let by_identifier = IDENTIFIERS
        .iter()
        .filter(|(identifier, _)| contains_identifier(code, identifier));
    by_word
        .chain(by_identifier)
        .filter(|(word, _)| {
            !EXCEPTIONS
                .iter()
                .any(|exception| exception.word == *word && line.contains(exception.context))
        })
        .copied()
        .collect()
}

/// The words of a line in lower case, with `snake_case` and `CamelCase` taken as several.
fn split_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut previous_is_lower = false;
    for letter in line.chars() {
        let starts_word = letter.is_uppercase() && previous_is_lower;
        if (starts_word || !letter.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
        previous_is_lower = letter.is_lowercase();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Whether the identifier or path occurs and is not part of a longer identifier.
fn contains_identifier(line: &str, identifier: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(identifier).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + identifier.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<&'static str> {
        find(line, true).into_iter().map(|(word, _)| word).collect()
    }

    #[test]
    fn words_are_found_in_prose_and_identifiers() {
        assert_eq!(words("/// Refused by nobody"), ["nobody", "refused"]);
        assert_eq!(words("fn form_grammar()"), ["form grammar"]);
        assert_eq!(words("Phase::Behind =>"), ["behind"]);
        assert_eq!(words("STEPS_TO_SETTLE"), ["settle"]);
    }

    #[test]
    fn parts_of_words_are_not_found() {
        assert!(words("behindhand, besidesx, recommend").is_empty());
    }

    #[test]
    fn identifiers_are_case_sensitive() {
        assert_eq!(words("struct Opened;"), ["Opened"]);
        assert!(words("the file is opened; OpenedFile // Opened").is_empty());
    }

    #[test]
    fn exceptions_need_their_context() {
        assert!(words("error: Connection refused (os error 111)").is_empty());
        assert_eq!(words("the request is refused"), ["refused"]);
    }

    #[test]
    fn only_text_of_the_project_is_checked() {
        assert!(applies_to(Path::new("docs/a.md")));
        assert!(!applies_to(Path::new("benches/results/a.md")));
        assert!(!applies_to(Path::new("tests/data/a.txt")));
    }
}

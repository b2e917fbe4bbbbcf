use super::*;
use proptest::prelude::*;

fn folded(text: &str) -> Vec<String> {
    words(text).map(|word| word.folded).collect()
}

#[test]
fn words_have_no_case_and_no_diacritics() {
    assert_eq!(
        folded("Déjà-vu: naïve_test(42) don't"),
        ["deja", "vu", "naive", "test", "42", "don", "t"]
    );
    assert_eq!(folded("De\u{301}ja\u{300}"), ["deja"]);
    assert_eq!(folded("ＡＢＣ １２"), ["abc", "12"]);
    assert_eq!(folded("हिन्दी भाषा"), ["हिन्दी", "भाषा"]);
    assert_eq!(folded("한국어"), ["한국어"]);
    assert!(folded(" … \0 🦀 ").is_empty());
}

#[test]
fn scripts_without_spaces_have_a_term_per_character_and_pair() {
    let mut expected = ["日", "本", "語", "日本", "本語", "rust"];
    expected.sort_unstable();
    assert_eq!(terms("日本語Rust"), expected.join(" "));
    assert_eq!(terms("日 本"), "日 本");
}

#[test]
fn queries_quote_every_term_and_extend_the_last() {
    let words = Words::new("fix \"flaky\" te");
    assert_eq!(words.to_fts5(), r#""fix" AND "flaky" AND "te" *"#);
    assert_eq!(words.to_tsquery(), "'fix' & 'flaky' & 'te':*");
    let words = Words::new("日本語 test ");
    assert_eq!(words.to_fts5(), r#""日本" AND "本語" AND "test""#);
    assert_eq!(words.to_tsquery(), "'日本' & '本語' & 'test'");
    for text in ["", " ", "*", "\" OR 1", "' | !", "NEAR(", "-", "\0"] {
        let words = Words::new(text);
        let plain = |text: String| text.replace(['"', '\'', '*', ' ', ':', '&'], "");
        assert!(
            plain(words.to_fts5())
                .replace("AND", "")
                .chars()
                .all(char::is_alphanumeric)
        );
        assert!(plain(words.to_tsquery()).chars().all(char::is_alphanumeric));
    }
    assert!(Words::new(" … ").is_empty());
}

#[test]
fn a_text_is_read_as_far_as_its_first_match() {
    let text = format!("a needle {}", "b ".repeat(1000));
    let mut read = 0;
    let first = Words::new("needle")
        .find(words(&text).inspect(|_| read += 1))
        .next();
    assert_eq!((first, read), (Some(2..8), 2));
}

#[test]
fn terms_have_a_limit() {
    let text = (0..200_000)
        .map(|number| format!("w{number} "))
        .collect::<Vec<_>>()
        .concat();
    let terms = terms(&text);
    assert!(terms.len() <= MAX_TERM_BYTES, "{}", terms.len());
    assert!(terms.len() > MAX_TERM_BYTES / 2, "{}", terms.len());
    assert_eq!(
        super::terms(&"ab".repeat(100_000)).chars().count(),
        MAX_WORD_CHARS
    );
}

proptest! {
    #[test]
    fn words_are_parts_of_the_text_in_order(text in any::<String>()) {
        let mut position = 0;
        for word in words(&text) {
            prop_assert!(word.range.start >= position);
            prop_assert!(word.range.end > word.range.start);
            prop_assert!(text.is_char_boundary(word.range.start));
            prop_assert!(text.is_char_boundary(word.range.end));
            prop_assert!(!word.is_joined || word.range.start == position);
            prop_assert!(word.folded.chars().all(|letter| letter.is_alphanumeric() || is_combining_mark(letter)));
            position = word.range.end;
        }
    }

    /// What the database compares: each term of a search for a part of a text is a term of the text, or begins one.
    #[test]
    fn a_part_of_a_text_finds_it(text in "[a-zÀ-ž0-9 ,.日本語ก-ฮ\u{301}-]{0,80}", from in any::<prop::sample::Index>()) {
        let all: Vec<Word> = words(&text).collect();
        prop_assume!(!all.is_empty());
        let start = all[from.index(all.len())].range.start;
        let stored = terms(&text);
        let stored: Vec<&str> = stored.split(' ').collect();
        for query in Words::new(&text[start..]).to_tsquery().split(" & ") {
            let is_found = match query.strip_suffix(":*") {
                Some(prefix) => stored.iter().any(|term| term.starts_with(prefix.trim_matches('\''))),
                None => stored.contains(&query.trim_matches('\'')),
            };
            prop_assert!(is_found, "{query} in {stored:?}");
        }
    }
}

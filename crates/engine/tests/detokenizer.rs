//! Incremental decoding gives the same text as decoding at once, for every kind of tokenizer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mlxm_engine::text::Tokenizer;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn added(id: usize, content: &str, special: bool) -> Value {
    json!({"id": id, "content": content, "special": special, "single_word": false, "lstrip": false,
           "rstrip": false, "normalized": false})
}

fn from_json(mut document: Value, config: &Value) -> (tokenizers::Tokenizer, Tokenizer) {
    document["version"] = json!("1.0");
    for part in [
        "truncation",
        "padding",
        "normalizer",
        "pre_tokenizer",
        "post_processor",
        "decoder",
    ] {
        document
            .as_object_mut()
            .unwrap()
            .entry(part)
            .or_insert(Value::Null);
    }
    let backend = tokenizers::Tokenizer::from_bytes(document.to_string()).unwrap();
    let ours = Tokenizer::from_backend(backend.clone(), config.as_object().unwrap()).unwrap();
    (backend, ours)
}

fn numbered<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Map<String, Value> {
    tokens
        .into_iter()
        .enumerate()
        .map(|(id, token)| (token.to_owned(), json!(id)))
        .collect()
}

/// As in GPT-2: a byte-level BPE, and an added token with characters that spell no byte.
fn byte_level() -> (tokenizers::Tokenizer, Tokenizer) {
    let mut alphabet: Vec<String> = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet()
        .into_iter()
        .map(String::from)
        .collect();
    alphabet.sort();
    let merged = ["Ġt", "he", "Ġthe", "Ã©", "ðŁ", "ðŁĺ", "ðŁĺĢ", "åı", "ĠåıŃ"];
    let merges =
        ["Ġ t", "h e", "Ġt he", "Ã ©", "ð Ł", "ðŁ ĺ", "ðŁĺ Ģ", "å ı"].map(|pair| json!(pair));
    let vocab = numbered(alphabet.iter().map(String::as_str).chain(merged));
    let next = vocab.len();
    from_json(
        json!({
            "model": {"type": "BPE", "vocab": vocab, "merges": merges},
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            "added_tokens": [added(next, "<|end|>", true), added(next + 1, "<tool 日本>", false)],
        }),
        &json!({"clean_up_tokenization_spaces": true}),
    )
}

const WORDS: [&str; 12] = [
    "▁", "▁hello", "▁the", "ll", "o", "▁▁", "é", "叫", ".", "▁?", "'s", "日本",
];

fn byte_fallback_vocab() -> Map<String, Value> {
    let bytes: Vec<String> = (0..=255u8).map(|byte| format!("<0x{byte:02X}>")).collect();
    numbered(
        ["<unk>", "<s>", "</s>"]
            .into_iter()
            .chain(bytes.iter().map(String::as_str))
            .chain(WORDS),
    )
}

/// As in Llama 2, or as in Gemma without `strip`.
fn sentencepiece(strip: bool) -> (tokenizers::Tokenizer, Tokenizer) {
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if strip {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    from_json(
        json!({
            "model": {"type": "BPE", "vocab": byte_fallback_vocab(), "merges": [], "byte_fallback": true,
                      "unk_token": "<unk>", "fuse_unk": true},
            "decoder": {"type": "Sequence", "decoders": decoders},
            "added_tokens": [added(0, "<unk>", true), added(1, "<s>", true), added(2, "</s>", true)],
        }),
        &json!({}),
    )
}

/// As in T5, with byte fallback: a Unigram vocabulary, for which transformers applies `clean_up_tokenization_spaces`.
fn metaspace(prepend_scheme: &str, cleans_up: bool) -> (tokenizers::Tokenizer, Tokenizer) {
    let pieces: Vec<Value> = byte_fallback_vocab()
        .keys()
        .map(|token| json!([token, -1.0]))
        .collect();
    from_json(
        json!({
            "model": {"type": "Unigram", "vocab": pieces, "unk_id": 0, "byte_fallback": true},
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "ByteFallback"},
                {"type": "Metaspace", "replacement": "▁", "prepend_scheme": prepend_scheme, "split": true},
            ]},
            "added_tokens": [added(0, "<unk>", true), added(1, "<s>", true), added(2, "</s>", true)],
        }),
        &json!({"clean_up_tokenization_spaces": cleans_up}),
    )
}

/// With decoder steps after the fusing step.
fn fused_metaspace() -> (tokenizers::Tokenizer, Tokenizer) {
    from_json(
        json!({
            "model": {"type": "WordLevel", "vocab": byte_fallback_vocab(), "unk_token": "<unk>"},
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Replace", "pattern": {"String": "ll▁"}, "content": "|"},
                {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
                {"type": "Strip", "content": "o", "start": 2, "stop": 0},
            ]},
            "added_tokens": [],
        }),
        &json!({}),
    )
}

const PIECES: [&str; 16] = [
    "[UNK]", "[CLS]", "[SEP]", "the", "##ing", "go", ".", "?", "do", "not", "'", "s", "n", "##'t",
    "日", "'re",
];

/// As in BERT.
fn wordpiece(cleans_up: bool) -> (tokenizers::Tokenizer, Tokenizer) {
    from_json(
        json!({
            "model": {"type": "WordPiece", "vocab": numbered(PIECES), "unk_token": "[UNK]",
                      "continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": cleans_up},
            "added_tokens": [added(0, "[UNK]", true), added(1, "[CLS]", true), added(2, "[SEP]", true)],
        }),
        &json!({"clean_up_tokenization_spaces": cleans_up}),
    )
}

fn word_level(decoder: Value) -> (tokenizers::Tokenizer, Tokenizer) {
    from_json(
        json!({
            "model": {"type": "WordLevel", "vocab": numbered(["<unk>", "<pad>", "a</w>", "b", "c</w>", "|", ""]),
                      "unk_token": "<unk>"},
            "decoder": decoder,
            "added_tokens": [added(1, "<pad>", true)],
        }),
        &json!({}),
    )
}

fn cleaned_up(text: &str) -> String {
    [" .", " ?", " !", " ,"]
        .iter()
        .fold(text.to_owned(), |text, mark| text.replace(mark, &mark[1..]))
        .replace(" ' ", "'")
        .replace(" n't", "n't")
        .replace(" 'm", "'m")
        .replace(" 's", "'s")
        .replace(" 've", "'ve")
        .replace(" 're", "'re")
}

fn check(
    (backend, tokenizer): &(tokenizers::Tokenizer, Tokenizer),
    cleans_up: bool,
    choices: &[u32],
    skip_special: bool,
) {
    // Includes two ids outside the vocabulary, which are ignored.
    let ids: Vec<u32> = choices
        .iter()
        .map(|choice| choice % (tokenizer.vocab_size() as u32 + 2))
        .collect();
    let whole = tokenizer.decode(&ids, skip_special);
    if ids.iter().any(|&id| tokenizer.id_to_token(id).is_some()) && !skip_special {
        let expected = backend.decode(&ids, skip_special).unwrap();
        let expected = if cleans_up {
            cleaned_up(&expected)
        } else {
            expected
        };
        assert_eq!(whole, expected, "whole decoding of {ids:?}");
    }
    let mut detokenizer = tokenizer.detokenizer(skip_special);
    // The second round checks that `finish` resets the state.
    for _ in 0..2 {
        let mut text = String::new();
        for &id in &ids {
            text.push_str(&detokenizer.push(id));
            assert!(
                whole.starts_with(&text),
                "{text:?} is not a prefix of {whole:?}"
            );
        }
        text.push_str(&detokenizer.finish());
        assert_eq!(text, whole, "piecewise decoding of {ids:?}");
    }
}

fn streams() -> impl Strategy<Value = (Vec<u32>, bool)> {
    (prop::collection::vec(any::<u32>(), 0..40), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn byte_level_streams_like_decode((ids, skip) in streams()) {
        check(&byte_level(), false, &ids, skip);
    }

    #[test]
    fn checkpoint_tokenizer_streams_like_decode((ids, skip) in streams()) {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-4bit");
        let backend = tokenizers::Tokenizer::from_file(format!("{directory}/tokenizer.json")).unwrap();
        check(&(backend, Tokenizer::from_dir(directory).unwrap()), false, &ids, skip);
    }

    #[test]
    fn sentencepiece_streams_like_decode((ids, skip) in streams(), strip in any::<bool>()) {
        check(&sentencepiece(strip), false, &ids, skip);
    }

    /// Mostly byte tokens, so that some runs form characters.
    #[test]
    fn byte_runs_stream_like_decode(
        text in "[aé叫😀 ]{0,8}",
        noise in prop::collection::vec((any::<prop::sample::Index>(), 0u32..270), 0..3),
    ) {
        let tokenizer = sentencepiece(true);
        let mut ids: Vec<u32> = text.bytes().map(|byte| u32::from(byte) + 3).collect();
        for (position, id) in noise {
            let position = position.index(ids.len() + 1);
            ids.insert(position, id);
        }
        check(&tokenizer, false, &ids, false);
        let byte_level = byte_level();
        let encoded = byte_level.1.encode(&text, false).unwrap();
        check(&byte_level, false, &encoded, false);
    }

    #[test]
    fn metaspace_streams_like_decode(
        (ids, skip) in streams(), scheme in prop::sample::select(vec!["always", "never", "first"]), cleans_up in any::<bool>()
    ) {
        let words: Vec<u32> = ids.iter().map(|id| if id % 3 == 0 { id % 259 } else { 259 + id % 12 }).collect();
        check(&metaspace(scheme, cleans_up), cleans_up, &words, skip);
    }

    #[test]
    fn steps_after_fusing_stream_like_decode((ids, skip) in streams()) {
        let words: Vec<u32> = ids.iter().map(|id| if id % 5 == 0 { id % 259 } else { 259 + id % 12 }).collect();
        check(&fused_metaspace(), false, &words, skip);
    }

    #[test]
    fn wordpiece_streams_like_decode((ids, skip) in streams(), cleans_up in any::<bool>()) {
        check(&wordpiece(cleans_up), cleans_up, &ids, skip);
    }

    #[test]
    fn other_decoders_stream_like_decode((ids, skip) in streams()) {
        check(&word_level(Value::Null), false, &ids, skip);
        check(&word_level(json!({"type": "BPEDecoder", "suffix": "</w>"})), false, &ids, skip);
        check(
            &word_level(json!({"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": true})),
            false, &ids, skip,
        );
        // Needs the whole text, so all of it comes from `finish`.
        check(
            &word_level(json!({"type": "Sequence", "decoders": [
                {"type": "Fuse"}, {"type": "Replace", "pattern": {"Regex": "a.*b"}, "content": "-"}]})),
            false, &ids, skip,
        );
    }
}

#[test]
fn character_is_returned_with_its_last_byte() {
    let (_, tokenizer) = byte_level();
    let mut detokenizer = tokenizer.detokenizer(false);
    let ids: Vec<u32> = ["ð", "Ł", "ĺ", "Ģ"]
        .iter()
        .map(|token| tokenizer.token_to_id(token).unwrap())
        .collect();
    let pieces: Vec<String> = ids.iter().map(|&id| detokenizer.push(id)).collect();
    assert_eq!(pieces, ["", "", "", "😀"]);
    assert_eq!(detokenizer.finish(), "");
}

#[test]
fn the_first_space_is_kept_after_a_prompt() {
    let (_, tokenizer) = sentencepiece(true);
    let hello = tokenizer.token_to_id("▁hello").unwrap();
    let texts = [vec![], vec![hello]].map(|prompt| {
        let mut detokenizer = tokenizer.detokenizer(false);
        detokenizer.continue_from(&prompt);
        let text = detokenizer.push(hello) + &detokenizer.push(hello);
        text + &detokenizer.finish()
    });
    assert_eq!(texts, ["hello hello", " hello hello"]);
}

#[test]
fn invalid_bytes_are_replaced() {
    let (_, tokenizer) = byte_level();
    let mut detokenizer = tokenizer.detokenizer(false);
    assert_eq!(detokenizer.push(tokenizer.token_to_id("ð").unwrap()), "");
    assert_eq!(
        detokenizer.push(tokenizer.token_to_id("a").unwrap()),
        "\u{FFFD}a"
    );
    assert_eq!(detokenizer.push(tokenizer.token_to_id("ðŁ").unwrap()), "");
    assert_eq!(detokenizer.finish(), "\u{FFFD}");

    let (_, tokenizer) = sentencepiece(true);
    let mut detokenizer = tokenizer.detokenizer(false);
    assert_eq!(
        detokenizer.push(tokenizer.token_to_id("▁hello").unwrap()),
        "hello"
    );
    assert_eq!(
        detokenizer.push(tokenizer.token_to_id("<0xE5>").unwrap()),
        ""
    );
    assert_eq!(
        detokenizer.push(tokenizer.token_to_id("<0x8F>").unwrap()),
        ""
    );
    assert_eq!(
        detokenizer.push(tokenizer.token_to_id("ll").unwrap()),
        "\u{FFFD}\u{FFFD}ll"
    );
}

#[test]
fn special_tokens_are_kept_or_skipped() {
    let (_, tokenizer) = byte_level();
    let end = tokenizer.token_to_id("<|end|>").unwrap();
    let tool = tokenizer.token_to_id("<tool 日本>").unwrap();
    assert!(tokenizer.is_special(end) && !tokenizer.is_special(tool));
    assert_eq!(
        tokenizer.encode("<tool 日本><|end|>", true).unwrap(),
        [tool, end]
    );
    assert_eq!(tokenizer.decode(&[tool, end], true), "<tool 日本>");
    assert_eq!(tokenizer.decode(&[tool, end], false), "<tool 日本><|end|>");
}

#[test]
fn detokenizer_keeps_selected_special_tokens() {
    let (_, tokenizer) = byte_level();
    let end = tokenizer.token_to_id("<|end|>").unwrap();
    let the = tokenizer.token_to_id("Ġthe").unwrap();
    let text = |kept: &[u32]| {
        let mut detokenizer = tokenizer.detokenizer_keeping_special(kept.into());
        let mut text = detokenizer.push(the) + &detokenizer.push(end) + &detokenizer.push(the);
        text += &detokenizer.finish();
        text
    };
    assert_eq!(text(&[]), " the the");
    assert_eq!(text(&[end]), " the<|end|> the");
    assert_eq!(text(&[end + 1]), " the the");
}

/// Decodes from the bytes of the single tokens.
fn decode_token_bytes(tokenizer: &Tokenizer, ids: &[u32]) -> Option<String> {
    let bytes: Option<Vec<Vec<u8>>> = ids.iter().map(|&id| tokenizer.token_bytes(id)).collect();
    let bytes = bytes?.concat();
    let kept = match bytes.strip_prefix(b" ") {
        Some(rest) if tokenizer.drops_leading_space() => rest,
        _ => &bytes,
    };
    Some(String::from_utf8_lossy(kept).into_owned())
}

fn check_token_bytes(tokenizer: &Tokenizer, choices: &[u32], first: impl Fn(u32) -> bool) {
    let size = tokenizer.vocab_size() as u32;
    let ids = choices.iter().map(|choice| choice % size);
    let ids: Vec<u32> = ids.skip_while(|&id| !first(id)).collect();
    let whole = tokenizer.decode(&ids, false);
    // The number of U+FFFD for invalid bytes may differ.
    if !whole.contains('\u{FFFD}') {
        assert_eq!(decode_token_bytes(tokenizer, &ids), Some(whole), "{ids:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn token_bytes_concatenate_to_the_text((ids, _) in streams(), strip in any::<bool>()) {
        let any = |_| true;
        check_token_bytes(&byte_level().1, &ids, any);
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-4bit");
        check_token_bytes(&Tokenizer::from_dir(directory).unwrap(), &ids, any);
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/gemma3-window-8");
        check_token_bytes(&Tokenizer::from_dir(directory).unwrap(), &ids, any);
        let words: Vec<u32> = ids.iter().map(|id| if id % 9 == 0 { id % 259 } else { 259 + id % 12 }).collect();
        check_token_bytes(&sentencepiece(strip).1, &words, any);
        // Removes all `▁` of the first token, so its first token must not have two.
        let one_mark = |id: u32| id >= 259 && WORDS[id as usize - 259] != "▁▁";
        check_token_bytes(&metaspace("always", false).1, &words, one_mark);
        check_token_bytes(&metaspace("never", false).1, &words, any);
        // A continuation token in first place keeps its `##`.
        let whole_word = |id: u32| !PIECES[id as usize].starts_with("##");
        check_token_bytes(&wordpiece(false).1, &ids, whole_word);
    }

    #[test]
    fn token_bytes_of_encoded_text_concatenate_to_it(text in "\\PC{0,24}") {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-4bit");
        let tokenizer = Tokenizer::from_dir(directory).unwrap();
        let ids = tokenizer.encode(&text, false).unwrap();
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| tokenizer.token_bytes(id).unwrap()).collect();
        prop_assert_eq!(String::from_utf8(bytes).unwrap(), text);
    }
}

#[test]
fn token_bytes_are_none_if_they_depend_on_adjacent_tokens() {
    assert_eq!(wordpiece(true).1.token_bytes(3), None);
    assert_eq!(metaspace("always", true).1.token_bytes(260), None);
    assert_eq!(fused_metaspace().1.token_bytes(260), None);
    let suffixed = word_level(json!({"type": "BPEDecoder", "suffix": "</w>"})).1;
    assert_eq!(suffixed.token_bytes(2), None);
    let (_, tokenizer) = byte_level();
    assert_eq!(tokenizer.token_bytes(tokenizer.vocab_size() as u32), None);
    let half = tokenizer.token_to_id("ðŁ").unwrap();
    assert_eq!(tokenizer.token_bytes(half).unwrap(), [0xF0, 0x9F]);
}

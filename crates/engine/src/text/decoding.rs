//! Incremental version of the decoders of the `tokenizers` library.
//!
//! A decoder is a chain of steps. The first ones map token strings to token strings. A fusing step then joins the tokens to one
//! text, and the following steps transform the text. Here each step is a stage that processes one token at a time and keeps only
//! the state it needs for the same result: a run of bytes, a partial match, whether a token is the first.

mod token_bytes;

use serde_json::Value;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::{Decoder, decoders};

/// The replacements of `clean_up_tokenization_spaces` in transformers, in order.
const CLEAN_UP: [(&str, &str); 10] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

/// Decodes a complete, non-empty list of tokens.
pub(super) fn decode_whole(decoder: Option<&DecoderWrapper>, tokens: Vec<String>) -> String {
    match decoder {
        // Fails only if a regular expression exceeds its limits. The tokens are then the best approximation.
        Some(decoder) => decoder
            .decode(tokens.clone())
            .unwrap_or_else(|_| tokens.concat()),
        None => tokens.join(" "),
    }
}

pub(super) fn clean_up_spaces(text: &str) -> String {
    CLEAN_UP
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The stages of a decoder with their state. Cloning an unused pipeline starts a new stream.
#[derive(Debug, Clone)]
pub(super) struct Pipeline {
    token_stages: Vec<TokenStage>,
    fusion: Fusion,
    text_stages: Vec<TextStage>,
}

impl Pipeline {
    /// `None` if a step of the decoder needs the whole text.
    pub(super) fn new(decoder: Option<&DecoderWrapper>, cleans_up_spaces: bool) -> Option<Self> {
        let mut pipeline = Self {
            token_stages: Vec::new(),
            fusion: Fusion::None,
            text_stages: Vec::new(),
        };
        match decoder {
            Some(decoder) => pipeline.append(decoder)?,
            None => pipeline
                .token_stages
                .push(TokenStage::JoinWithSpaces { first: true }),
        }
        if cleans_up_spaces {
            pipeline.text_stages.extend(
                CLEAN_UP
                    .iter()
                    .map(|(from, to)| TextStage::replace(from, to)),
            );
        }
        Some(pipeline)
    }

    fn append(&mut self, decoder: &DecoderWrapper) -> Option<()> {
        match decoder {
            DecoderWrapper::Sequence(sequence) => {
                for decoder in sequence.get_decoders() {
                    self.append(decoder)?;
                }
            }
            DecoderWrapper::Fuse(_) => {
                if matches!(self.fusion, Fusion::None) {
                    self.fusion = Fusion::Concat;
                }
            }
            _ if matches!(self.fusion, Fusion::None) => self.append_to_tokens(decoder),
            _ => self.text_stages.push(TextStage::new(decoder)?),
        }
        Some(())
    }

    fn append_to_tokens(&mut self, decoder: &DecoderWrapper) {
        self.token_stages.push(match decoder {
            DecoderWrapper::ByteLevel(_) => {
                self.fusion = Fusion::Bytes(Vec::new());
                return;
            }
            DecoderWrapper::ByteFallback(_) => TokenStage::ByteFallback { run: Vec::new() },
            DecoderWrapper::Metaspace(_) | DecoderWrapper::WordPiece(_) => {
                TokenStage::FirstTokenDiffers {
                    decoder: decoder.clone(),
                    first: true,
                }
            }
            DecoderWrapper::BPE(_) => TokenStage::LastTokenDiffers {
                decoder: decoder.clone(),
                held: None,
            },
            DecoderWrapper::CTC(_) => TokenStage::Deduplicate {
                decoder: decoder.clone(),
                previous: None,
            },
            _ => TokenStage::PerToken(decoder.clone()),
        });
    }

    pub(super) fn push(&mut self, token: String) -> String {
        let mut tokens = vec![token];
        for stage in &mut self.token_stages {
            let mut next = Vec::with_capacity(tokens.len());
            for token in tokens {
                stage.push(token, &mut next);
            }
            tokens = next;
        }
        self.fuse(tokens)
    }

    pub(super) fn finish(mut self) -> String {
        self.flush()
    }

    /// Adds a token that stands for its own text, whatever the decoder does to others, and returns the text up to its end.
    pub(super) fn push_literal(&mut self, literal: &str) -> String {
        let mut text = self.flush();
        // What follows is not at the start of the text.
        for stage in &mut self.token_stages {
            if let TokenStage::FirstTokenDiffers { first, .. } = stage {
                *first = false;
            }
        }
        for stage in &mut self.text_stages {
            if let TextStage::StripStart { remaining, .. } = stage {
                *remaining = 0;
            }
        }
        text.push_str(literal);
        text
    }

    /// Returns what is held back.
    fn flush(&mut self) -> String {
        let mut tokens = Vec::new();
        for stage in &mut self.token_stages {
            let mut next = Vec::new();
            for token in tokens {
                stage.push(token, &mut next);
            }
            stage.finish(&mut next);
            tokens = next;
        }
        let mut text = self.fuse(tokens);
        if let Fusion::Bytes(pending) = &mut self.fusion
            && !pending.is_empty()
        {
            let tail = String::from_utf8_lossy(&std::mem::take(pending)).into_owned();
            text.push_str(&run_text_stages(&mut self.text_stages, tail));
        }
        for index in 0..self.text_stages.len() {
            let (done, rest) = self.text_stages.split_at_mut(index + 1);
            let held = done[index].finish();
            text.push_str(&run_text_stages(rest, held));
        }
        text
    }

    fn fuse(&mut self, tokens: Vec<String>) -> String {
        let text = match &mut self.fusion {
            Fusion::None | Fusion::Concat => tokens.concat(),
            Fusion::Bytes(pending) => {
                for token in tokens {
                    append_token_bytes(&token, pending);
                }
                drain_complete(pending)
            }
        };
        run_text_stages(&mut self.text_stages, text)
    }
}

fn run_text_stages(stages: &mut [TextStage], mut text: String) -> String {
    for stage in stages {
        if text.is_empty() {
            break;
        }
        text = stage.push(&text);
    }
    text
}

#[derive(Debug, Clone)]
enum Fusion {
    /// No fusing step: all steps work on tokens, which are concatenated at the end.
    None,
    /// Tokens are concatenated.
    Concat,
    /// Tokens spell bytes. Holds the bytes of an incomplete character.
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone)]
enum TokenStage {
    /// `<0xE5>` tokens. A run of them decodes to text only if all of it is valid UTF-8, so it is held back until its end.
    ByteFallback { run: Vec<u8> },
    /// The first token is decoded differently.
    FirstTokenDiffers {
        decoder: DecoderWrapper,
        first: bool,
    },
    /// The last token is decoded differently, so one token is always held back.
    LastTokenDiffers {
        decoder: DecoderWrapper,
        held: Option<String>,
    },
    /// Consecutive repetitions of a token are removed.
    Deduplicate {
        decoder: DecoderWrapper,
        previous: Option<String>,
    },
    /// Each token is decoded independently.
    PerToken(DecoderWrapper),
    /// Without a decoder, tokens are words.
    JoinWithSpaces { first: bool },
}

impl TokenStage {
    fn push(&mut self, token: String, out: &mut Vec<String>) {
        match self {
            Self::ByteFallback { run } => {
                if let Some(byte) = fallback_byte(&token) {
                    run.push(byte);
                } else {
                    flush_run(run, out);
                    out.push(token);
                }
            }
            Self::FirstTokenDiffers { decoder, first } => {
                // With an empty token before it, the token is not the first.
                let tokens = if *first {
                    vec![token]
                } else {
                    vec![String::new(), token]
                };
                *first = false;
                out.extend(decode_chain(decoder, tokens).pop());
            }
            Self::LastTokenDiffers { decoder, held } => {
                if let Some(previous) = held.replace(token) {
                    out.extend(
                        decode_chain(decoder, vec![previous, String::new()])
                            .into_iter()
                            .next(),
                    );
                }
            }
            Self::Deduplicate { decoder, previous } => {
                if previous.as_ref() != Some(&token) {
                    out.append(&mut decode_chain(decoder, vec![token.clone()]));
                    *previous = Some(token);
                }
            }
            Self::PerToken(decoder) => out.append(&mut decode_chain(decoder, vec![token])),
            Self::JoinWithSpaces { first } => {
                out.push(if *first { token } else { format!(" {token}") });
                *first = false;
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<String>) {
        match self {
            Self::ByteFallback { run } => flush_run(run, out),
            Self::LastTokenDiffers { decoder, held } => {
                if let Some(last) = held.take() {
                    out.append(&mut decode_chain(decoder, vec![last]));
                }
            }
            _ => {}
        }
    }
}

fn decode_chain(decoder: &DecoderWrapper, tokens: Vec<String>) -> Vec<String> {
    decoder.decode_chain(tokens.clone()).unwrap_or(tokens)
}

fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 {
        u8::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

fn flush_run(run: &mut Vec<u8>, out: &mut Vec<String>) {
    if run.is_empty() {
        return;
    }
    let length = run.len();
    out.push(String::from_utf8(std::mem::take(run)).unwrap_or_else(|_| "\u{FFFD}".repeat(length)));
}

/// Appends the bytes that a token of a byte-level vocabulary spells. A byte is spelled as itself if it is a printable
/// character, else as a character from U+0100 on. A token with other characters stands for its UTF-8 bytes.
fn append_token_bytes(token: &str, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    for character in token.chars() {
        if let Some(byte) = byte_of(character) {
            bytes.push(byte);
        } else {
            bytes.truncate(start);
            bytes.extend_from_slice(token.as_bytes());
            return;
        }
    }
}

fn byte_of(character: char) -> Option<u8> {
    match character as u32 {
        code @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => Some(code as u8),
        // The bytes that are not printable, in order, have the code points from 0x100 on.
        code @ 0x100..=0x120 => Some((code - 0x100) as u8),
        code @ 0x121..=0x142 => Some((code - 0x121 + 0x7F) as u8),
        0x143 => Some(0xAD),
        _ => None,
    }
}

/// Removes and decodes the complete characters. An incomplete character at the end remains.
fn drain_complete(pending: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut taken = 0;
    for chunk in pending.utf8_chunks() {
        text.push_str(chunk.valid());
        taken += chunk.valid().len();
        let invalid = chunk.invalid();
        if invalid.is_empty() {
            continue;
        }
        let at_end = taken + invalid.len() == pending.len();
        let incomplete =
            std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
        if at_end && incomplete {
            break;
        }
        text.push('\u{FFFD}');
        taken += invalid.len();
    }
    pending.drain(..taken);
    text
}

/// A step after the fusing step, which transforms text.
#[derive(Debug, Clone)]
enum TextStage {
    StripStart {
        content: char,
        remaining: usize,
    },
    Replace {
        from: String,
        to: String,
        held: String,
    },
}

impl TextStage {
    fn new(decoder: &DecoderWrapper) -> Option<Self> {
        match decoder {
            DecoderWrapper::Strip(decoders::strip::Strip {
                content,
                start,
                stop: 0,
                ..
            }) => Some(Self::StripStart {
                content: *content,
                remaining: *start,
            }),
            // The patterns of these two decoders are only accessible in their serialized form.
            DecoderWrapper::Replace(_) => {
                let fields = serde_json::to_value(decoder).ok()?;
                let from = fields.get("pattern")?.get("String")?.as_str()?;
                Some(Self::replace(from, fields.get("content")?.as_str()?))
            }
            DecoderWrapper::Metaspace(_) => {
                let fields = serde_json::to_value(decoder).ok()?;
                let from = fields.get("replacement")?.as_str()?;
                // The whole text is one token, the first, which loses its `▁` unless the scheme is `never`.
                let kept = fields.get("prepend_scheme").and_then(Value::as_str) == Some("never");
                Some(Self::replace(from, if kept { " " } else { "" }))
            }
            _ => None,
        }
    }

    fn replace(from: &str, to: &str) -> Self {
        Self::Replace {
            from: from.to_owned(),
            to: to.to_owned(),
            held: String::new(),
        }
    }

    fn push(&mut self, text: &str) -> String {
        match self {
            Self::StripStart { content, remaining } => {
                let mut rest = text;
                while *remaining > 0 && !rest.is_empty() {
                    if let Some(stripped) = rest.strip_prefix(*content) {
                        rest = stripped;
                        *remaining -= 1;
                    } else {
                        *remaining = 0;
                    }
                }
                rest.to_owned()
            }
            Self::Replace { from, to, held } => {
                held.push_str(text);
                let mut certain = String::new();
                let mut rest = held.as_str();
                while let Some(position) = rest.find(from.as_str()) {
                    certain.push_str(&rest[..position]);
                    certain.push_str(to);
                    rest = &rest[position + from.len()..];
                }
                let kept = partial_match_length(rest, from);
                certain.push_str(&rest[..rest.len() - kept]);
                *held = rest[rest.len() - kept..].to_owned();
                certain
            }
        }
    }

    fn finish(&mut self) -> String {
        match self {
            Self::StripStart { .. } => String::new(),
            Self::Replace { held, .. } => std::mem::take(held),
        }
    }
}

/// Length of the longest suffix of `text` that is a proper prefix of `pattern`, in bytes.
fn partial_match_length(text: &str, pattern: &str) -> usize {
    (1..pattern.len())
        .rev()
        .find(|&length| pattern.is_char_boundary(length) && text.ends_with(&pattern[..length]))
        .unwrap_or(0)
}

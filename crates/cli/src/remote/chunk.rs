//! Chunks of a streamed chat completion or text completion.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::error::{RemoteError, message};
use crate::generate::TokenLogprob;

/// The data of the event after the last chunk.
const DONE: &str = "[DONE]";

/// A chunk. Servers omit unset fields or send `null`.
#[derive(Debug, Default, Deserialize)]
pub struct Chunk {
    /// One entry per completion; empty in the chunk with the usage.
    #[serde(default, deserialize_with = "null_as_default")]
    pub choices: Vec<Choice>,
    /// Token usage, in the last chunk.
    pub usage: Option<Usage>,
    /// An error of the server; the other fields are unset.
    error: Option<Value>,
}

/// A delta of one completion.
#[derive(Debug, Default, Deserialize)]
pub struct Choice {
    delta: Option<Delta>,
    text: Option<String>,
    /// Why the completion ended.
    pub finish_reason: Option<String>,
    logprobs: Option<Logprobs>,
}

#[derive(Debug, Default, Deserialize)]
struct Delta {
    content: Option<String>,
    /// Reasoning text has two names; some servers send the same text under both.
    reasoning_content: Option<String>,
    /// Not always text: servers also describe the reasoning with an object.
    reasoning: Option<Value>,
}

/// Token counts.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Usage {
    /// Prompt tokens.
    #[serde(default, deserialize_with = "count")]
    pub prompt_tokens: Option<usize>,
    /// Generated tokens.
    #[serde(default, deserialize_with = "count")]
    pub completion_tokens: Option<usize>,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct PromptDetails {
    #[serde(default, deserialize_with = "count")]
    cached_tokens: Option<usize>,
}

/// Log probabilities: `content` in chat completions, the other fields in text completions.
#[derive(Debug, Default, Deserialize)]
struct Logprobs {
    content: Option<Vec<ChatLogprob>>,
    tokens: Option<Vec<String>>,
    #[serde(rename = "token_logprobs")]
    sampled: Option<Vec<Option<f64>>>,
    #[serde(rename = "top_logprobs")]
    top: Option<Vec<Option<serde_json::Map<String, Value>>>>,
}

#[derive(Debug, Deserialize)]
struct ChatLogprob {
    id: Option<u64>,
    token: String,
    /// `null` for minus infinity, which JSON cannot express.
    logprob: Option<f64>,
    #[serde(default, deserialize_with = "null_as_default")]
    top_logprobs: Vec<ChatLogprob>,
}

/// A value whose default stands for `null`.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A count that may be written with a fraction, such as `9.0`.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let number = Option::<f64>::deserialize(deserializer)?;
    Ok(number.map(|number| number as usize))
}

impl Chunk {
    /// Parses the data of an event; `None` marks the end of the stream. `url` is used in error messages.
    pub fn parse(data: &str, url: &str) -> Result<Option<Self>, RemoteError> {
        if data.trim() == DONE {
            return Ok(None);
        }
        let chunk: Self = serde_json::from_str(data).map_err(|error| RemoteError::Malformed {
            url: url.to_owned(),
            expected: "completion chunks",
            reason: error.to_string(),
        })?;
        match &chunk.error {
            Some(error) if !error.is_null() => {
                let body = serde_json::json!({"error": error});
                let text = message(&body).unwrap_or_else(|| error.to_string());
                Err(RemoteError::Failed(text))
            }
            _ => Ok(Some(chunk)),
        }
    }
}

impl Choice {
    /// Reasoning text, if the server separates it.
    pub fn reasoning(&self) -> &str {
        let Some(delta) = &self.delta else {
            return "";
        };
        let names = [
            delta.reasoning_content.as_deref(),
            delta.reasoning.as_ref().and_then(Value::as_str),
        ];
        names
            .into_iter()
            .flatten()
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    }

    /// Content text.
    pub fn content(&self) -> &str {
        let delta = self.delta.as_ref();
        delta
            .and_then(|delta| delta.content.as_deref())
            .or(self.text.as_deref())
            .unwrap_or_default()
    }

    /// Log probabilities of the tokens in this delta, if requested.
    pub fn logprobs(&self) -> Vec<TokenLogprob> {
        let Some(logprobs) = &self.logprobs else {
            return Vec::new();
        };
        if let Some(content) = &logprobs.content {
            return content.iter().map(ChatLogprob::to_token).collect();
        }
        let (Some(tokens), Some(values)) = (&logprobs.tokens, &logprobs.sampled) else {
            return Vec::new();
        };
        let tops = logprobs.top.as_deref().unwrap_or_default();
        let token_logprob =
            |(index, (token, logprob)): (usize, (&String, &Option<f64>))| TokenLogprob {
                id: None,
                text: Some(token.clone()),
                logprob: logprob.unwrap_or_default(),
                top: tops
                    .get(index)
                    .and_then(Option::as_ref)
                    .map(sorted_by_logprob)
                    .unwrap_or_default(),
            };
        tokens
            .iter()
            .zip(values)
            .enumerate()
            .map(token_logprob)
            .collect()
    }
}

impl ChatLogprob {
    fn to_token(&self) -> TokenLogprob {
        TokenLogprob {
            id: self.id,
            text: Some(self.token.clone()),
            logprob: self.logprob.unwrap_or(f64::NEG_INFINITY),
            top: self.top_logprobs.iter().map(Self::to_token).collect(),
        }
    }
}

/// The tokens of a map from text to log probability, most likely first.
fn sorted_by_logprob(top: &serde_json::Map<String, Value>) -> Vec<TokenLogprob> {
    let mut tokens: Vec<TokenLogprob> = top
        .iter()
        .filter_map(|(token, logprob)| {
            Some(TokenLogprob {
                id: None,
                text: Some(token.clone()),
                logprob: logprob.as_f64()?,
                top: Vec::new(),
            })
        })
        .collect();
    tokens.sort_by(|left, right| right.logprob.total_cmp(&left.logprob));
    tokens
}

impl Usage {
    /// Prompt tokens found in the prefix cache.
    pub fn cached_tokens(&self) -> Option<usize> {
        self.prompt_tokens_details?.cached_tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(data: &str) -> Chunk {
        Chunk::parse(data, "http://host").unwrap().unwrap()
    }

    #[test]
    fn parse_treats_missing_and_null_alike() {
        let chunk = parse(
            r#"{"choices": [{"delta": {"role": "assistant", "content": null}, "finish_reason": null, "logprobs": null}],
                "usage": null, "error": null}"#,
        );
        let choice = &chunk.choices[0];
        assert_eq!((choice.content(), choice.reasoning()), ("", ""));
        assert!(choice.logprobs().is_empty() && choice.finish_reason.is_none());
        assert!(parse("{}").choices.is_empty());
        assert!(Chunk::parse(" [DONE]", "").unwrap().is_none());
    }

    #[test]
    fn reasoning_is_read_once_under_either_name_or_both() {
        for (delta, expected) in [
            (r#"{"reasoning": null, "reasoning_content": "x"}"#, "x"),
            (r#"{"reasoning_content": "x", "reasoning": null}"#, "x"),
            (r#"{"reasoning": "x", "reasoning_content": "x"}"#, "x"),
            (r#"{"reasoning": "x", "reasoning_content": ""}"#, "x"),
            (r#"{"reasoning": "", "reasoning_content": "x"}"#, "x"),
            (r#"{"reasoning": "x"}"#, "x"),
            (r#"{"reasoning": {"effort": "low"}}"#, ""),
            (r#"{"reasoning": null, "reasoning_content": null}"#, ""),
        ] {
            let chunk = parse(&format!(r#"{{"choices": [{{"delta": {delta}}}]}}"#));
            assert_eq!(chunk.choices[0].reasoning(), expected, "{delta}");
        }
    }

    #[test]
    fn parse_accepts_null_choices_and_fractional_counts() {
        let chunk = parse(
            r#"{"choices": null, "usage": {"prompt_tokens": 1.0, "completion_tokens": 2,
                "prompt_tokens_details": null}}"#,
        );
        assert!(chunk.choices.is_empty());
        let usage = chunk.usage.unwrap();
        assert_eq!(
            (usage.prompt_tokens, usage.completion_tokens),
            (Some(1), Some(2))
        );
    }

    #[test]
    fn parse_reads_chat_and_text_completions() {
        let chat = parse(r#"{"choices": [{"delta": {"content": "a", "reasoning_content": "b"}}]}"#);
        assert_eq!(
            (chat.choices[0].content(), chat.choices[0].reasoning()),
            ("a", "b")
        );
        assert_eq!(
            parse(r#"{"choices": [{"text": "c"}]}"#).choices[0].content(),
            "c"
        );
        let usage = parse(
            r#"{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}}}"#,
        )
        .usage
        .unwrap();
        assert_eq!(
            (
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cached_tokens()
            ),
            (Some(9), Some(4), Some(5))
        );
    }

    #[test]
    fn logprobs_reads_both_formats() {
        let chat = parse(
            r#"{"choices": [{"delta": {"content": "a"}, "logprobs": {"content": [
                {"token": "a", "logprob": -0.5, "bytes": [97], "id": 97,
                 "top_logprobs": [{"token": "a", "logprob": -0.5, "bytes": [97]}, {"token": "b", "logprob": -1.5}]}]}}]}"#,
        );
        let completion = parse(
            r#"{"choices": [{"text": "a", "logprobs": {"tokens": ["a"], "token_logprobs": [-0.5],
                "top_logprobs": [{"b": -1.5, "a": -0.5}], "text_offset": [0]}}]}"#,
        );
        for (chunk, id) in [(chat, Some(97)), (completion, None)] {
            let tokens = chunk.choices[0].logprobs();
            assert_eq!(tokens.len(), 1);
            assert_eq!((tokens[0].id, tokens[0].logprob), (id, -0.5));
            let top: Vec<_> = tokens[0]
                .top
                .iter()
                .map(|token| token.text.as_deref())
                .collect();
            assert_eq!(top, [Some("a"), Some("b")]);
        }
    }

    #[test]
    fn parse_returns_stream_errors() {
        for data in [
            r#"{"error": {"message": "out of memory", "code": 500}}"#,
            r#"{"error": "out of memory"}"#,
        ] {
            assert_eq!(
                Chunk::parse(data, "").unwrap_err(),
                RemoteError::Failed("out of memory".to_owned())
            );
        }
        assert!(matches!(
            Chunk::parse("<html>", "http://host"),
            Err(RemoteError::Malformed { .. })
        ));
    }
}

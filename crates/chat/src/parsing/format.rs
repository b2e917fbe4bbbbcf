//! Syntaxes of tool calls and reasoning.

use std::fmt;
use std::str::FromStr;

use crate::parsing::formats;

/// Syntax of tool calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ToolFormat {
    /// `<tool_call>{"name": …, "arguments": {…}}</tool_call>`: Hermes, Qwen and many others.
    Hermes,
    /// `<tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></tool_call>`: Qwen3-Coder, Nemotron 3.
    Qwen3Coder,
    /// `{"name": …, "parameters": {…}}` as the whole output: Llama 3.
    Llama3Json,
    /// `[name(key=value), …]` as the whole output: Llama 3.2 and 4.
    Pythonic,
    /// `[TOOL_CALLS]` followed by a list of objects or `NAME[ARGS]{…}`.
    Mistral,
    /// `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>`: GLM 4.5 and later.
    Glm4,
    /// `<start_function_call>call:NAME{key:<escape>value<escape>}<end_function_call>`.
    FunctionGemma,
    /// `<|tool_call>call:NAME{key:<|"|>value<|"|>}<tool_call|>`.
    Gemma4,
    /// `<|channel|>commentary to=functions.NAME<|message|>{…}<|call|>`: gpt-oss.
    Harmony,
    /// `<minimax:tool_call><invoke name="NAME"><parameter name="KEY">VALUE</parameter></invoke></minimax:tool_call>`.
    MiniMax,
    /// `<｜tool▁calls▁begin｜>…`: V3, R1 and V3.1.
    DeepSeek,
    /// `<|tool_call_start|>[name(key=value)]<|tool_call_end|>`.
    Lfm2,
}

impl ToolFormat {
    /// All formats.
    pub const ALL: [Self; 12] = [
        Self::Hermes,
        Self::Qwen3Coder,
        Self::Llama3Json,
        Self::Pythonic,
        Self::Mistral,
        Self::Glm4,
        Self::FunctionGemma,
        Self::Gemma4,
        Self::Harmony,
        Self::MiniMax,
        Self::DeepSeek,
        Self::Lfm2,
    ];

    /// The name of the format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hermes => "hermes",
            Self::Qwen3Coder => "qwen3_coder",
            Self::Llama3Json => "llama3_json",
            Self::Pythonic => "pythonic",
            Self::Mistral => "mistral",
            Self::Glm4 => "glm4",
            Self::FunctionGemma => "function_gemma",
            Self::Gemma4 => "gemma4",
            Self::Harmony => "harmony",
            Self::MiniMax => "minimax",
            Self::DeepSeek => "deepseek",
            Self::Lfm2 => "lfm2",
        }
    }
}

/// Delimiters of reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReasoningFormat {
    /// `<think>…</think>`.
    Think,
    /// `<think:opensource>…</think:opensource>`.
    Hunyuan,
    /// `<seed:think>…</seed:think>`.
    Seed,
    /// `[THINK]…[/THINK]`.
    Mistral,
    /// `<|START_THINKING|>…<|END_THINKING|>`.
    CommandR,
    /// `<|channel>thought … <channel|>`.
    Gemma,
    /// The analysis channel of gpt-oss.
    Harmony,
    /// Any of the tags above.
    AnyTags,
}

impl ReasoningFormat {
    /// All formats.
    pub const ALL: [Self; 8] = [
        Self::Think,
        Self::Hunyuan,
        Self::Seed,
        Self::Mistral,
        Self::CommandR,
        Self::Gemma,
        Self::Harmony,
        Self::AnyTags,
    ];

    /// The name of the format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Think => "think",
            Self::Hunyuan => "hunyuan",
            Self::Seed => "seed",
            Self::Mistral => "mistral",
            Self::CommandR => "command_r",
            Self::Gemma => "gemma",
            Self::Harmony => "harmony",
            Self::AnyTags => "any_tags",
        }
    }
}

/// An unknown format name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} format {name:?} is unknown; choose one of {}", known.join(", "))]
pub struct UnknownFormat {
    /// `tool` or `reasoning`.
    pub kind: &'static str,
    /// The given name.
    pub name: String,
    /// The known names.
    pub known: Vec<&'static str>,
}

impl fmt::Display for ToolFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Display for ReasoningFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for ToolFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let wanted = normalize_name(name);
        Self::ALL
            .into_iter()
            .find(|format| normalize_name(format.as_str()) == wanted)
            .ok_or_else(|| UnknownFormat {
                kind: "tool",
                name: name.to_owned(),
                known: Self::ALL.map(Self::as_str).to_vec(),
            })
    }
}

impl FromStr for ReasoningFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let wanted = normalize_name(name);
        Self::ALL
            .into_iter()
            .find(|format| normalize_name(format.as_str()) == wanted)
            .ok_or_else(|| UnknownFormat {
                kind: "reasoning",
                name: name.to_owned(),
                known: Self::ALL.map(Self::as_str).to_vec(),
            })
    }
}

/// `qwen3-coder`, `Qwen3Coder` and `qwen3_coder` are equivalent.
fn normalize_name(name: &str) -> String {
    name.chars()
        .filter(|character| !matches!(character, '_' | '-'))
        .map(|character| character.to_ascii_lowercase())
        .collect()
}

/// The syntaxes of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Format {
    /// Of tool calls; `None` leaves them in the content.
    pub tools: Option<ToolFormat>,
    /// Of reasoning; `None` leaves it in the content.
    pub reasoning: Option<ReasoningFormat>,
}

impl Format {
    /// The delimiters of these syntaxes. In some vocabularies they are special tokens, which must be decoded for the
    /// [`Parser`](crate::parsing::Parser).
    pub fn delimiters(&self) -> Vec<&'static str> {
        let mut delimiters = Vec::new();
        if let Some(format) = self.tools {
            delimiters.extend(formats::delimiters(format));
        }
        if let Some(format) = self.reasoning {
            if format == ReasoningFormat::Harmony && self.tools != Some(ToolFormat::Harmony) {
                delimiters.extend(formats::delimiters(ToolFormat::Harmony));
            }
            delimiters.extend(format.tags().iter().flat_map(|tags| tags.delimiters));
        }
        delimiters
    }

    /// Whether the output consists of Harmony channels.
    pub(crate) fn has_channels(self) -> bool {
        self.tools == Some(ToolFormat::Harmony) || self.reasoning == Some(ReasoningFormat::Harmony)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_names_round_trip() {
        for format in ToolFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        for format in ReasoningFormat::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!("Qwen3-Coder".parse(), Ok(ToolFormat::Qwen3Coder));
    }

    #[test]
    fn unknown_format_error_lists_the_known_names() {
        let error = "hermess".parse::<ToolFormat>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "tool format \"hermess\" is unknown; choose one of hermes, qwen3_coder, llama3_json, pythonic, mistral, \
             glm4, function_gemma, gemma4, harmony, minimax, deepseek, lfm2"
        );
    }

    #[test]
    fn delimiters_include_both_syntaxes() {
        let format = Format {
            tools: Some(ToolFormat::Hermes),
            reasoning: Some(ReasoningFormat::Mistral),
        };
        assert_eq!(
            format.delimiters(),
            ["<tool_call>", "</tool_call>", "[THINK]", "[/THINK]"]
        );
        assert!(Format::default().delimiters().is_empty());
    }
}

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
    /// `functools[{"name": …, "arguments": {…}}]` or a list between `<|tool_call|>` and `<|/tool_call|>`.
    Phi4Mini,
    /// `<|tool_call|>[{"name": …, "arguments": {…}}]`: Granite 3.
    Granite,
    /// `[{"name": …, "arguments": {…}}]` as the whole output or in a code block.
    Xlam,
    /// `<tools>{"name": …, "arguments": {…}}</tools>`.
    Qwen25Coder,
    /// `{"name": …, "arguments": {…}}`, bare or in a code block.
    Json,
    /// `<|START_ACTION|>[{"tool_name": …, "parameters": {…}}]<|END_ACTION|>`.
    CommandR,
    /// `<|tool_call_begin|>functions.NAME:INDEX<|tool_call_argument_begin|>{…}<|tool_call_end|>`.
    KimiK2,
    /// `<tool_calls>[{"name": …, "arguments": {…}}]</tool_calls>`, and content in `<answer>` tags.
    HunyuanA13b,
    /// `<seed:tool_call><function=NAME><parameter=KEY>VALUE</parameter></function></seed:tool_call>`.
    SeedOss,
    /// `<function_calls>name(key=value)</function_calls>`, one call a line.
    Olmo3,
    /// `<|action_start|><|plugin|>{"name": …, "parameters": {…}}<|action_end|>`.
    InternLm,
    /// `<tool_calls>[{"name": …, "arguments": {…}}]</tool_calls>`.
    Jamba,
    /// `<｜DSML｜invoke name="NAME"><｜DSML｜parameter name="KEY" string="true">VALUE</｜DSML｜parameter></｜DSML｜invoke>`.
    DeepSeekV32,
    /// `<|tools_prefix|>[{"NAME": {…}}]<|tools_suffix|>`.
    Apertus,
    /// `<steptml:invoke name="NAME"><steptml:parameter name="KEY">VALUE</steptml:parameter></steptml:invoke>`.
    Step3,
    /// `]<]minimax[>[<invoke name="NAME">` with an element for each argument.
    MiniMaxM3,
}

impl ToolFormat {
    /// All formats.
    pub const ALL: [Self; 28] = [
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
        Self::Phi4Mini,
        Self::Granite,
        Self::Xlam,
        Self::Qwen25Coder,
        Self::Json,
        Self::CommandR,
        Self::KimiK2,
        Self::HunyuanA13b,
        Self::SeedOss,
        Self::Olmo3,
        Self::InternLm,
        Self::Jamba,
        Self::DeepSeekV32,
        Self::Apertus,
        Self::Step3,
        Self::MiniMaxM3,
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
            Self::Phi4Mini => "phi4_mini",
            Self::Granite => "granite",
            Self::Xlam => "xlam",
            Self::Qwen25Coder => "qwen2_5_coder",
            Self::Json => "json",
            Self::CommandR => "command_r",
            Self::KimiK2 => "kimi_k2",
            Self::HunyuanA13b => "hunyuan_a13b",
            Self::SeedOss => "seed_oss",
            Self::Olmo3 => "olmo3",
            Self::InternLm => "internlm",
            Self::Jamba => "jamba",
            Self::DeepSeekV32 => "deepseek_v32",
            Self::Apertus => "apertus",
            Self::Step3 => "step3",
            Self::MiniMaxM3 => "minimax_m3",
        }
    }

    /// Other names of the format.
    pub fn aliases(self) -> impl Iterator<Item = &'static str> {
        let aliases = ALIASES.iter().filter(move |(_, format)| *format == self);
        aliases.map(|(alias, _)| *alias)
    }
}

/// Other names: those of vLLM, and of model versions.
static ALIASES: [(&str, ToolFormat); 20] = [
    ("qwen25", ToolFormat::Hermes),
    ("granite4", ToolFormat::Hermes),
    ("qwen3_xml", ToolFormat::Qwen3Coder),
    ("llama3", ToolFormat::Llama3Json),
    ("llama4_json", ToolFormat::Llama3Json),
    ("llama4_pythonic", ToolFormat::Pythonic),
    ("glm45", ToolFormat::Glm4),
    ("glm47", ToolFormat::Glm4),
    ("functiongemma", ToolFormat::FunctionGemma),
    ("openai", ToolFormat::Harmony),
    ("gpt-oss", ToolFormat::Harmony),
    ("minimax_m2", ToolFormat::MiniMax),
    ("deepseek_v3", ToolFormat::DeepSeek),
    ("deepseek_v31", ToolFormat::DeepSeek),
    ("deepseek_v3.1", ToolFormat::DeepSeek),
    ("deepseek_v3.2", ToolFormat::DeepSeekV32),
    ("phi4_mini_json", ToolFormat::Phi4Mini),
    ("command-r", ToolFormat::CommandR),
    ("hunyuan", ToolFormat::HunyuanA13b),
    ("internlm2", ToolFormat::InternLm),
];

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
    /// `<|inner_prefix|>…<|inner_suffix|>`.
    Apertus,
    /// `<mm:think>…</mm:think>`.
    MiniMaxM3,
    /// Any of the tags above.
    AnyTags,
}

impl ReasoningFormat {
    /// All formats.
    pub const ALL: [Self; 10] = [
        Self::Think,
        Self::Hunyuan,
        Self::Seed,
        Self::Mistral,
        Self::CommandR,
        Self::Gemma,
        Self::Harmony,
        Self::Apertus,
        Self::MiniMaxM3,
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
            Self::Apertus => "apertus",
            Self::MiniMaxM3 => "minimax_m3",
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
        let alias = ALIASES
            .iter()
            .find(|(alias, _)| normalize_name(alias) == wanted);
        Self::ALL
            .into_iter()
            .find(|format| normalize_name(format.as_str()) == wanted)
            .or_else(|| alias.map(|(_, format)| *format))
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

/// `deepseek-v3.2`, `DeepSeekV32` and `deepseek_v32` are equivalent.
fn normalize_name(name: &str) -> String {
    name.chars()
        .filter(|character| !matches!(character, '_' | '-' | '.'))
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
        assert_eq!("deepseek_v3.2".parse(), Ok(ToolFormat::DeepSeekV32));
        assert_eq!("command-r".parse(), Ok(ToolFormat::CommandR));
    }

    #[test]
    fn format_aliases_are_parsed() {
        for format in ToolFormat::ALL {
            for alias in format.aliases() {
                assert_eq!(alias.parse(), Ok(format));
            }
        }
        assert_eq!("glm-4.5".parse(), Ok(ToolFormat::Glm4));
    }

    #[test]
    fn unknown_format_error_lists_the_known_names() {
        let error = "hermess".parse::<ToolFormat>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "tool format \"hermess\" is unknown; choose one of hermes, qwen3_coder, llama3_json, pythonic, mistral, \
             glm4, function_gemma, gemma4, harmony, minimax, deepseek, lfm2, phi4_mini, granite, xlam, qwen2_5_coder, \
             json, command_r, kimi_k2, hunyuan_a13b, seed_oss, olmo3, internlm, jamba, deepseek_v32, apertus, step3, \
             minimax_m3"
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
